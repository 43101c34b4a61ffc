"""A link with a delay, under the kernel's own TCP: two TUN devices, and `link`, which carries packets between them.

Unlike the relay, which delays what it has taken from a connection, this delays packets of 1500 bytes: connecting costs
a round trip, acknowledgements come late, and the kernels' socket buffers limit what is on its way.
"""

import contextlib
import subprocess
from pathlib import Path

from netns import inside, ip, within
from process import WITH_PARENT, stop

NAME, NEAR, FAR = "ferrybench", "198.19.255.1", "198.19.255.2"
MTU = 1500

# As distributions come. The kernel of the machine may have others: Linux 6.18 comes with a tcp_rmem of 32 MiB.
CONGESTION_CONTROL = "cubic"
# tcp(7)'s limits of a socket's buffers, which belong to a network namespace.
MIB = 1 << 20
STOCK = {"tcp_rmem": f"4096 131072 {6 * MIB}", "tcp_wmem": f"4096 16384 {4 * MIB}"}
RAISED = {"tcp_rmem": f"4096 131072 {64 * MIB}", "tcp_wmem": f"4096 16384 {64 * MIB}"}


@contextlib.contextmanager
def up(program, namespace, delay, settings=STOCK):
    """Joins the root namespace and `namespace`; `delay` milliseconds each way. Yields the address at the far end."""
    words = WITH_PARENT + [str(program), f"{NAME}0", f"{NAME}1", str(delay)]
    with contextlib.ExitStack() as stack:
        for where in (None, namespace):
            stack.enter_context(sysctl(where, settings))
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        stack.callback(stop, child)
        if child.stdout.readline() != b"ready\n":
            raise RuntimeError("the link did not get ready; what it says is above")
        ip("link", "set", f"{NAME}1", "netns", namespace)
        for where, device, own, peer in ((None, f"{NAME}0", NEAR, FAR), (namespace, f"{NAME}1", FAR, NEAR)):
            ip(*within(where), "address", "add", own, "peer", peer, "dev", device)
            ip(*within(where), "link", "set", device, "mtu", str(MTU), "txqueuelen", "20000", "up")
            # By the route: as a sysctl it would need leave that is given for the whole machine.
            route = [peer, "dev", device, "src", own, "congctl", CONGESTION_CONTROL]
            ip(*within(where), "route", "change", *route)
        # The way from sshd to the FTP server, too.
        for loop in ("127.0.0.0/8", "127.0.0.1"):
            route = ["local", loop, "dev", "lo", "table", "local", "proto", "kernel", "scope", "host", "src", "127.0.0.1"]
            ip(*within(namespace), "route", "change", *route, "congctl", CONGESTION_CONTROL)
        yield FAR


@contextlib.contextmanager
def sysctl(namespace, settings):
    """Sets values of net.ipv4 in a namespace, and puts the former ones back."""
    folder = Path("/proc/sys/net/ipv4")

    def write(values):
        before = {name: (folder / name).read_text() for name in values}
        for name, value in values.items():
            (folder / name).write_text(value)
        return before

    before = inside(namespace, lambda: write(settings))
    try:
        yield
    finally:
        inside(namespace, lambda: write(before))
