"""A download that stands still: whether other clients' commands wait for it."""

import time
from statistics import median, quantiles

from rawftp import RawFtp, drain
from result import Result
from scene import BULK

COMMANDS = 400


def stalled(scene):
    alone, beside = [], []
    with scene.ferry() as way, RawFtp(way.address, way.port) as client, RawFtp(way.address, way.port) as other:
        client.login()
        other.login()
        for _ in range(scene.runs):
            with other.retrieve(BULK) as data:
                drain(data, 1 << 20)
                # It stands still when nothing comes to ferryline any more: the window is full on all the way.
                wait_until_still(way)
                beside += round_trips(client)
            # It was given up.
            other.reply()
            wait_until_still(way)
            alone += round_trips(client)
    figures = ", ".join(
        f"{name} {median(of):.3f} ms (p99 {quantiles(of, n=100)[98]:.3f})" for name, of in (("alone", alone), ("beside it", beside))
    )
    ratio = median(beside) / median(alone)
    # Such medians move by less than that from run to run.
    yield Result(f"NOOP: {figures}", f"{ratio:.2f}×", "1× ± 0.25", ratio <= 1.25)


def wait_until_still(way):
    used, still = None, 0
    while still < 5:
        time.sleep(0.1)
        before, used = used, way.cpu()
        still = still + 1 if used == before else 0


def round_trips(client):
    """Milliseconds of each."""
    times = []
    for _ in range(COMMANDS):
        began = time.perf_counter()
        client.ask("NOOP")
        times.append(1000 * (time.perf_counter() - began))
    return times


LINES = {"commands beside a stalled download": stalled}
