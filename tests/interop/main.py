"""The suite's entry: which cells, in which order, and the table at the end. `run` starts it."""

import argparse
import fnmatch
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import booted
import doctor
import early_word
import faults
import gateway
import layouts
import load
import logins
import lost
import matrix
import monitor
import odd_lines
import odd_peers
import order
import outage
import package
import port_21
import recorded
import rekey
import route
import service
import ssh_ways
import timeouts
import users
from report import Report, save_evidence
from stage import Failed, Stage

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / "target" / "interop"
# Seconds after which a cell counts as hung; the slowest takes a fourth of that on two cores.
CELL_LIMIT = 240


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("tests/interop/run: root is needed (it makes network namespaces)")
    # A signal unwinds like an error, so that the namespaces are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    cells = [cell for cell in every_cell(options.direct, bool(options.k or options.list)) if selected(cell[0], options.k)]
    if options.list:
        print(*(name for name, _ in cells), sep="\n")
        return 0
    if all(name in recorded.CELLS for name, _ in cells):
        sys.exit(f"tests/interop/run: no cell matches {options.k}")

    program = None if options.direct else options.ferryline or build()
    report = Report()
    with Stage(program, CACHE, options.direct) as stage:
        for name, play in cells:
            report.add(name, *attempt(stage, name, play))
        if options.keep:
            keep(stage)
    report.print(stage.logs, matrix.legend(options.direct))
    return 1 if report.failed else 0


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/interop/run", description="Drives ferryline with real clients and servers."
    )
    option = parser.add_argument
    option("-k", action="append", metavar="PATTERN", help="only cells whose name has PATTERN in it or matches it")
    option("--ferryline", type=Path, metavar="PATH", help="the program to test (default: what cargo builds)")
    option("--direct", action="store_true", help="the clients straight at the servers, without ferryline")
    option("--keep", action="store_true", help="leave servers and namespaces up until interrupted")
    option("--list", action="store_true", help="print the names of the cells and end")
    return parser.parse_args()


def every_cell(direct, long):
    yield from matrix.cells(direct)
    if long and not direct:
        for name, play in outage.LONG_CELLS.items():
            yield name, lambda stage, _, play=play: play(stage)
    if not direct:
        for module in (
            layouts, gateway, faults, ssh_ways, logins, doctor, lost, timeouts, early_word, order, outage, load, rekey, users,
            port_21, odd_peers, route, odd_lines, package, booted, service, monitor, recorded,
        ):
            for name, play in module.CELLS.items():
                yield name, lambda stage, _, play=play: play(stage)


def selected(name, patterns):
    # They check the recordings of whatever ran.
    return not patterns or name in recorded.CELLS or any(pattern in name or fnmatch.fnmatch(name, pattern) for pattern in patterns)


def build():
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=REPOSITORY, stdin=subprocess.DEVNULL, check=True)
    return REPOSITORY / "target" / "release" / "ferryline"


def attempt(stage, name, play):
    """Runs a cell; returns the seconds, the note, and what failed (None: nothing)."""
    began = time.monotonic()
    before = {log: log.stat().st_size for log in stage.logs.glob("*.log")}
    note, failure = "", None
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(CELL_LIMIT)
    try:
        note = play(stage, name) or ""
    except Exception as error:
        failure = f"{error}" if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        evidence = [("what the client said", getattr(error, "transcript", "") or traceback.format_exc())]
        evidence += [(log.name, added(log, before.get(log, 0))) for log in sorted(stage.logs.glob("*.log"))]
        save_evidence(stage.logs, name, evidence)
    finally:
        signal.alarm(0)
    return time.monotonic() - began, note, failure


def out_of_time(*_):
    raise TimeoutError(f"nothing came of it in {CELL_LIMIT} s")


def added(log, start):
    with log.open("rb") as file:
        file.seek(start)
        return file.read().decode("utf-8", "replace")


def keep(stage):
    print(f"kept: {stage.scratch}, {stage.network.site}, {stage.network.far}; interrupt to end", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    sys.exit(main())
