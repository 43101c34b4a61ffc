"""Many clients at once, beside the same without a tunnel: small files, slow readers, log-ins, a mirror, memory.

sshd has MaxStartups as distributions ship it (10:30:100), and ferryline its default options.
"""

import contextlib
import shutil
import time
from pathlib import Path
from statistics import median

from load import load
from process import checked
from result import Result, at_least, at_most
from scene import BULK, SMALL
from servers import PASSWORD, USER

SECONDS = 5
# Clients of small files: the ratios to reach, of files a second and of p99. Each keeps its data connection until it
# has read the 226, so that it makes 23 files a second at most (`load.rs` says why).
CLIENTS = {1: (0.9, 2), 8: (0.9, 2), 32: (0.9, 2), 128: (0.5, 4)}
# Those that close at the end of the file, as most programs do: eight of them ask for all there is.
EAGER = (1, 8, 32, 128)
# Readers of a large file: how many are slow and their bytes a second, how many take what they get.
SLOW, RATE, FAST = (16, 40, 100), 200_000, 10
SETTLE, MEASURED = 2, 6
LOGINS, WITHIN = 500, 5
MIRRORED, MIRRORED_SIZE = 3000, 2000
RUNNING, MOST = 128, 40

# What the lines have found, for the picture: clients → (direct, ferryline), in files a second.
curve = {}


def clients(number, rate_wanted, p99_wanted, end="keep"):
    """Each fetches a small file over and over."""

    def line(scene):
        direct, own, pages = [], [], []
        with scene.crowd() as crowd:
            for _ in range(scene.runs):
                with crowd.direct() as way:
                    direct.append(files(scene, way, number, end))
                with crowd.ferry() as way:
                    held = {}

                    def look():
                        held["peak"] = way.resident("VmHWM")
                        held["lanes"] = crowd.ssh_connections()
                        held["processes"], held["memory"] = crowd.ssh_server()

                    own.append(files(scene, way, number, end, look))
                    pages.append(held)
        rates = {name: middle(of, "rate") for name, of in (("direct", direct), ("ferryline", own))}
        if end == "keep":
            curve[number] = rates["direct"], rates["ferryline"]
        yield at_least(
            f"{rates['ferryline']:.0f} files/s, direct {rates['direct']:.0f}; failed {failures(own)}, direct {failures(direct)}",
            rates["ferryline"] / rates["direct"],
            rate_wanted,
        )
        yield at_most(
            f"p50 {middle(own, 'p50'):.0f} p99 {middle(own, 'p99'):.0f} max {middle(own, 'max'):.0f} ms, "
            f"direct {middle(direct, 'p50'):.0f} {middle(direct, 'p99'):.0f} {middle(direct, 'max'):.0f}",
            middle(own, "p99") / middle(direct, "p99"),
            p99_wanted,
        )
        cpu = median(1000 * run.cpu / max(1, run["files"]) for run in own)
        resident = median(max(run.resident) for run in own)
        yield told(f"CPU {cpu:.2f} ms a file, memory {resident:.0f} MiB, at its peak {median(h['peak'] for h in pages):.0f}")
        lanes, processes = (median(held[name] for held in pages) for name in ("lanes", "processes"))
        memory = median(held["memory"] for held in pages)
        yield told(f"on the SSH host {lanes:.0f} connections, {processes:.0f} processes, {memory:.0f} MiB")

    return line


def files(scene, way, number, end, at_end=lambda: None):
    return load(scene, way, "files", number, SECONDS, f"small/{number}.bin", end, at_end=at_end)


def slow(number):
    """Slow readers and fast ones of a large file at once."""

    def line(scene):
        alone, beside, direct, connections = [], [], [], []
        with scene.crowd() as crowd:
            for _ in range(scene.runs):
                with crowd.direct() as way:
                    direct.append(readers(scene, way, number, FAST))
                with crowd.ferry() as way:
                    alone.append(readers(scene, way, 0, FAST))
                with crowd.ferry() as way:
                    beside.append(readers(scene, way, number, FAST, lambda: connections.append(crowd.ssh_connections())))
        own, before, plain = (middle(of, "fast") / 1e6 for of in (beside, alone, direct))
        yield at_least(f"{FAST} fast: {own:.0f} MB/s, alone {before:.0f} MB/s, direct beside the slow {plain:.0f}", own / before, 0.8)
        least = min(run["slow_min"] for run in beside)
        yield at_least(f"each slow one {least / 1000:.0f} kB/s or more, direct {middle(direct, 'slow_min') / 1000:.0f}", least / RATE, 0.95)
        first = max(run["first_byte_fast"] for run in beside)
        yield told(
            f"first byte of a fast one within {first:.0f} ms, {median(connections):.0f} SSH connections; "
            f"failed {failures(beside)}, direct {failures(direct)}"
        )
        yield told(f"NOOP of another: {noop(beside)}; beside the fast only {noop(alone)}; direct {noop(direct)}")

    return line


def readers(scene, way, slow, fast, at_end=lambda: None):
    return load(scene, way, "readers", slow, RATE, fast, SETTLE, MEASURED, BULK, at_end=at_end)


def logins(scene):
    """Clients that log in and stay."""
    direct, own = [], []
    with scene.crowd() as crowd:
        for _ in range(scene.runs):
            with crowd.direct() as way:
                direct.append(load(scene, way, "logins", LOGINS, WITHIN))
            with crowd.ferry() as way:
                own.append(load(scene, way, "logins", LOGINS, WITHIN))
    worst = min(own, key=lambda run: run["in"] + run["refused"])
    answered = worst["in"] + worst["refused"]
    yield Result(
        f"{worst['in']} in, {worst['refused']} read a 421, failed {failures(own)}; direct {min(run['in'] for run in direct)} in",
        f"{answered / LOGINS:.2f}×",
        "1×",
        answered == LOGINS and not any(run["failed"] for run in own),
    )
    yield told(
        f"log-in: p50 {middle(own, 'p50'):.0f} max {middle(own, 'max'):.0f} ms, "
        f"direct {middle(direct, 'p50'):.0f} {middle(direct, 'max'):.0f}; all in {middle(own, 'seconds'):.1f} s"
    )
    longest = max(run["noop"]["max"] for run in own)
    yield Result(f"NOOP of another: {noop(own)}; direct {noop(direct)}", f"{longest:.0f} ms", "≤ 50 ms", longest <= 50)


def mirror(parallel, wanted):
    """lftp fetches a folder of small files, over one connection or several."""

    def line(scene):
        fill(scene.home / "mirror")
        times = {"direct": [], "ferryline": []}
        with scene.crowd() as crowd:
            for _ in range(scene.runs):
                for name, tunnel in (("direct", crowd.direct), ("ferryline", crowd.ferry)):
                    with tunnel() as way:
                        times[name].append(mirrored(scene, way, parallel))
        own, direct = median(times["ferryline"]), median(times["direct"])
        figures = f"{MIRRORED / own:.0f} files/s ({own:.1f} s), direct {MIRRORED / direct:.0f} ({direct:.1f} s)"
        yield at_least(figures, direct / own, wanted)

    return line


def fill(folder):
    if folder.exists():
        return
    folder.mkdir()
    for number in range(MIRRORED):
        (folder / f"{number}.bin").write_bytes(bytes(MIRRORED_SIZE))


def mirrored(scene, way, parallel):
    into = scene.memory / "mirrored"
    shutil.rmtree(into, ignore_errors=True)
    settings = {"cmd:fail-exit": "yes", "ftp:ssl-allow": "no", "net:max-retries": "1", "xfer:log": "no"}
    script = [f"set {name} {value}" for name, value in settings.items()]
    script += [f"open -u {USER},{PASSWORD} ftp://{way.address}:{way.port}", f"mirror -P {parallel} mirror {into}", "exit"]
    began = time.monotonic()
    try:
        checked([scene.program("lftp/usr/bin/lftp"), "--norc", "-c", "; ".join(script)], timeout=600)
        took = time.monotonic() - began
        whole = sum(file.stat().st_size == MIRRORED_SIZE for file in into.iterdir())
        if whole != MIRRORED:
            raise RuntimeError(f"lftp mirrored {whole} of {MIRRORED} files")
    finally:
        shutil.rmtree(into, ignore_errors=True)
    return took


def memory(scene):
    """Large downloads, all moving."""
    runs, held = [], []
    with scene.crowd() as crowd:
        for _ in range(scene.runs):
            with crowd.ferry() as way:
                runs.append(readers(scene, way, 0, RUNNING, lambda: held.append((crowd.ssh_connections(), *crowd.ssh_server()))))
    most = median(max(run.resident) for run in runs)
    figures = f"{RUNNING} downloads at {middle(runs, 'fast') / 1e6:.0f} MB/s in all, the slowest {middle(runs, 'fast_min') / 1e6:.1f}"
    yield Result(f"{figures}; failed {failures(runs)}", f"{most:.0f} MiB", f"≤ {MOST} MiB", most <= MOST)
    connections, processes, pss = (median(of) for of in zip(*held))
    yield told(f"on the SSH host {connections:.0f} connections, {processes:.0f} processes, {pss:.0f} MiB")


def middle(runs, name):
    """The median of a figure."""
    return median(run[name] for run in runs)


def failures(runs):
    """How many clients failed, and what the first one of them saw."""
    count = sum(run["failed"] for run in runs)
    seen = next((run["failure"] for run in runs if run["failure"]), None)
    return f"{count} ({seen})" if count else "0"


def noop(runs):
    times = [run["noop"] for run in runs]
    return f"{median(of['p50'] for of in times):.1f} ms, max {max(of['max'] for of in times):.0f}"


def told(figures):
    """A figure that nothing is asked of."""
    return Result(figures, "", "", None)


LINES = {
    **{f"many/clients-{number}": clients(number, *wanted) for number, wanted in CLIENTS.items()},
    **{f"many/eager-{number}": clients(number, None, None, "close") for number in EAGER},
    **{f"many/slow-{number}": slow(number) for number in SLOW},
    "many/logins": logins,
    "many/mirror": mirror(1, 0.75),
    "many/mirror-8": mirror(8, 0.5),
    "many/memory": memory,
}
