"""Several downloads at once."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from curl import download
from result import at_least
from scene import BULK

CLIENTS = 4


def four(link, options, wanted):
    def line(scene):
        size = scene.mib << 20
        rate = {}
        with link(scene) as at:
            for _ in range(scene.runs):
                for name, tunnel in (("ssh", lambda at: scene.ssh(*options, at=at)), ("ferryline", lambda at: scene.ferry(at=at))):
                    with tunnel(at) as way, ThreadPoolExecutor(CLIENTS) as clients:
                        # Twice: ferryline opens its lanes on the first occasion.
                        list(clients.map(lambda _: download(way, "small/0.bin", 4096), range(CLIENTS)))
                        began = time.monotonic()
                        list(clients.map(lambda _: download(way, BULK, size), range(CLIENTS)))
                        rate.setdefault(name, []).append(CLIENTS * size / (time.monotonic() - began) / 1e6)
        own, ssh = median(rate["ferryline"]), median(rate["ssh"])
        yield at_least(f"{own:.0f} MB/s in all, ssh -L {ssh:.0f} {' '.join(options)}", own / ssh, wanted)

    return line


LINES = {
    f"{CLIENTS} downloads": four(lambda _: contextlib.nullcontext(), ("-c", "aes128-gcm@openssh.com"), 1.0),
    f"{CLIENTS} downloads, long link": four(lambda scene: scene.delayed(), (), 2),
}
