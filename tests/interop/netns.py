"""The network of a run: an SSH host with FTP servers only it can reach, and a third host only the SSH host can reach.

    root namespace            namespace "site"                          namespace "far"
    client, ferryline  <--->  sshd on its veth address        <--->     FTP server on its veth address
                              FTP servers on 127.0.0.1 and ::1

A line whose address was not rewritten names an address that the other side cannot reach, so it cannot work by luck.
The addresses are from 198.18.0.0/15, the range for benchmarks (RFC 2544), which no real network uses. The outer link
has addresses from that range of IPv6, too (2001:2::/48, RFC 5180): lftp takes ::1 for unusable without another.
"""

import contextlib
import ctypes
import os
import re
import shutil
import socket
import threading
from pathlib import Path

from process import checked, eventually, kill, run

PREFIX = "ferrytest"
CLONE_NEWNET = 0x40000000


class Network:
    """Both namespaces and the wires between them. `files` are bound over those of /etc inside "site" and "far" only,
    so that accounts and PAM services exist there and nowhere else (ip-netns(8))."""

    def __init__(self, files: dict[str, str]):
        sweep()
        pid = os.getpid()
        self.site, self.far = f"{PREFIX}-{pid}-site", f"{PREFIX}-{pid}-far"
        net = f"198.{18 + pid % 2}.{pid // 2 % 256}"
        # Two links of four addresses each.
        self.client_address, self.ssh_address = f"{net}.1", f"{net}.2"
        self.ssh_inner_address, self.far_address = f"{net}.5", f"{net}.6"
        self.six = f"2001:2:0:{pid % 65536:x}::"
        self._files = files

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            sweep(os.getpid())
            raise
        return self

    def __exit__(self, *_):
        sweep(os.getpid())

    def _build(self):
        pid = os.getpid()
        for name in (self.site, self.far):
            etc = Path("/etc/netns") / name
            for path, text in self._files.items():
                (etc / path).parent.mkdir(parents=True, exist_ok=True)
                (etc / path).write_text(text)
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        # Never more than the 15 characters that an interface name may have.
        wire(f"fy{pid}a", None, self.client_address, f"fy{pid}b", self.site, self.ssh_address)
        if has_ipv6():
            ip("address", "add", f"{self.six}1/64", "dev", f"fy{pid}a", "nodad")
            ip("-n", self.site, "address", "add", f"{self.six}2/64", "dev", f"fy{pid}b", "nodad")
        wire(f"fy{pid}c", self.site, self.ssh_inner_address, f"fy{pid}d", self.far, self.far_address)


def wire(name, namespace, address, peer, peer_namespace, peer_address):
    """Joins two namespaces (None: the root namespace) by a veth pair."""
    ip(*within(peer_namespace), "link", "add", peer, "type", "veth", "peer", "name", name)
    ip(*within(peer_namespace), "link", "set", name, "netns", namespace or str(os.getpid()))
    for link, where, own in ((name, namespace, address), (peer, peer_namespace, peer_address)):
        ip(*within(where), "address", "add", f"{own}/30", "dev", link)
        ip(*within(where), "link", "set", link, "up")


def within(namespace):
    return ["-n", namespace] if namespace else []


def ip(*words):
    checked(["ip", *words])


def has_ipv6():
    """Whether this machine can connect to ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        return True
    except OSError:
        return False


def entering(namespace):
    """The words that run what follows them inside a namespace."""
    return ["ip", "netns", "exec", namespace] if namespace else []


def inside(namespace, work):
    """Calls `work` on a thread that has entered a namespace; sockets that it makes stay in that namespace."""
    outcome = {}

    def body():
        try:
            if namespace:
                with open(f"/run/netns/{namespace}") as handle:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
            outcome["result"] = work()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            outcome["error"] = error

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def wait_for_listener(namespace, host, port, child=None):
    """Waits until a server accepts connections; if it has ended meanwhile, that is an error at once."""

    def reachable():
        if child is not None and child.poll() is not None:
            raise RuntimeError(f"the server for {host}:{port} ended with code {child.returncode}")
        try:
            inside(namespace, lambda: socket.create_connection((host, port), 1)).close()
            return True
        except OSError:
            return False

    eventually(reachable, 15, f"a listener on {host}:{port}")


def sweep(own=None):
    """Removes the namespaces of run `own`, or of every run whose process is gone."""
    for line in run(["ip", "netns", "list"]).out.decode().splitlines():
        name = line.split()[0] if line.split() else ""
        found = re.fullmatch(rf"{PREFIX}-(\d+)-\w+", name)
        if not found or (own is None and is_running(int(found[1]))) or own not in (None, int(found[1])):
            continue
        kill(int(pid) for pid in run(["ip", "netns", "pids", name]).out.split())
        run(["ip", "netns", "delete", name])
    for etc in Path("/etc/netns").glob(f"{PREFIX}-*"):
        pid = int(etc.name.split("-")[1])
        if pid == own or (own is None and not is_running(pid)):
            shutil.rmtree(etc, ignore_errors=True)
    # The folder of all namespaces' files, if it existed for ours alone.
    with contextlib.suppress(OSError):
        Path("/etc/netns").rmdir()


def is_running(pid):
    """Whether `pid` is a run of this suite or of the benchmarks: after a restart of the machine it may be any
    program."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return (b"interop" in command or b"benches" in command) and pid != os.getpid()
    except OSError:
        return False
