"""A link with a delay, under the kernel's own TCP: two tun devices, and a process that carries packets between them.

Unlike the relay, which delays what it has taken from a connection, this delays packets: connecting costs a round
trip, and acknowledgements come late, as on a real link.
"""

import contextlib
import fcntl
import heapq
import itertools
import multiprocessing
import os
import select
import struct
import time

from netns import inside, ip, within

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
NEAR, FAR = "198.19.255.1", "198.19.255.2"
MTU = 9000


@contextlib.contextmanager
def up(namespace, delay):
    """Joins the root namespace and `namespace`; `delay` seconds each way. Yields the address at the far end."""
    near, far = device("ferrybench0"), inside(namespace, lambda: device("ferrybench0"))
    for where, own, peer in ((None, NEAR, FAR), (namespace, FAR, NEAR)):
        ip(*within(where), "address", "add", own, "peer", peer, "dev", "ferrybench0")
        ip(*within(where), "link", "set", "ferrybench0", "mtu", str(MTU), "txqueuelen", "10000", "up")
    carrier = multiprocessing.get_context("fork").Process(target=carry, args=(near, far, delay), daemon=True)
    carrier.start()
    try:
        yield FAR
    finally:
        carrier.kill()
        carrier.join()
        os.close(near)
        os.close(far)


def device(name):
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return handle


def carry(near, far, delay):
    """Takes packets from either device and gives them to the other one when they are due."""
    other, waiting, order = {near: far, far: near}, [], itertools.count()
    poll = select.epoll()
    for handle in other:
        poll.register(handle, select.EPOLLIN)
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else -1
        for handle, _ in poll.poll(pause):
            with contextlib.suppress(BlockingIOError):
                while True:
                    packet = os.read(handle, 65536)
                    heapq.heappush(waiting, (time.monotonic() + delay, next(order), other[handle], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, handle, packet = heapq.heappop(waiting)
            # A full queue drops, as a link does.
            with contextlib.suppress(OSError):
                os.write(handle, packet)
