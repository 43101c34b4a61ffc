"""The benchmarks' entry: which lines of the table, and the table. `run` starts it."""

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import bulk
import idle
import many
import parallel
import picture
import real
import small
import soak
import stalled
from process import run
from scene import Scene

REPOSITORY = Path(__file__).resolve().parents[1]
LINES = {**bulk.LINES, **parallel.LINES, **small.LINES, **idle.LINES, **stalled.LINES, **many.LINES, **real.LINES}
TOOLS = ["relay", "link", "load"]


def main():
    options = arguments()
    chosen = {name: line for name, line in LINES.items() if not options.k or any(wants(part, name) for part in options.k)}
    if options.list:
        print(*chosen, sep="\n")
        return
    if os.geteuid() != 0:
        sys.exit("benches/run: root is needed (it makes network namespaces)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A soak needs no tool.
    ferryline, tools = build(options.ferryline, [] if options.soak else TOOLS)
    with Scene(ferryline, tools, REPOSITORY / "target" / "interop", options) as scene:
        if options.soak:
            sys.exit(0 if soak.soak(scene, options.soak) else 1)
        print(f"{versions(scene, ferryline)}\nmedians of {options.runs} interleaved runs\n", flush=True)
        print(ROW.format("work", "figures", "ratio", "reach", ""))
        for name, line in chosen.items():
            for result in line(scene):
                print(ROW.format(name, result.figures, result.ratio, result.reach, result.verdict), flush=True)
        if options.picture:
            options.picture.write_text(picture.curve(many.curve, versions(scene, ferryline)))


def wants(part, name):
    """A whole name means that line only: many/clients-1 is not many/clients-128."""
    return name == part if part in LINES else part in name


ROW = "{:<34} {:<78} {:>9} {:>9}  {}"


def arguments():
    parser = argparse.ArgumentParser(prog="benches/run", description="Measures ferryline against ssh -L.")
    option = parser.add_argument
    option("-k", action="append", metavar="PART", help="only the lines whose name has PART in it")
    option("--runs", type=int, default=3, metavar="N", help="runs of each, interleaved; the median counts (3)")
    option("--mib", type=int, default=1024, metavar="N", help="size of a bulk transfer in MiB (1024)")
    option("--rtt", type=float, default=50, metavar="MS", help="round trip of the long link in milliseconds (50)")
    option("--ferryline", type=Path, metavar="PATH", help="the program to measure (default: a release build)")
    option("--option", action="append", default=[], metavar="WORD", help="a further argument for ferryline")
    option("--soak", type=float, metavar="MINUTES", help="no table: mixed clients for so long, nothing lost, memory flat")
    option("--picture", type=Path, metavar="FILE", help="draw the lines many/clients-… into this SVG file")
    option("--list", action="store_true", help="print the names of the lines and end")
    return parser.parse_args()


def build(ferryline, tools):
    """The program, and the tools' programs by name; all as cargo builds them for release."""
    if ferryline is None:
        cargo("build", "--release", "-p", "ferryline")
        ferryline = REPOSITORY / "target" / "release" / "ferryline"
    # They are a package of their own, so that they are built in seconds, without ferryline.
    if tools:
        cargo("build", "--release", "-p", "ferryline-bench-tools")
    return ferryline.resolve(), {tool: REPOSITORY / "target" / "release" / tool for tool in tools}


def cargo(*words):
    done = subprocess.run(["cargo", *words], cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"benches/run: cargo {' '.join(words)} failed\n{done.stderr}")
    return done.stdout


def versions(scene, ferryline):
    vsftpd = run(["sh", "-c", f"{scene.program('vsftpd/usr/sbin/vsftpd')} -v 0>&1"]).text.strip()
    return "\n".join(
        [
            run([ferryline, "--version"]).text.strip() + " against " + run(["ssh", "-V"]).text.strip(),
            f"{vsftpd}, {run(['curl', '--version']).text.split(' (')[0]}",
            f"{processor()}, {os.cpu_count()} cores, Linux {platform.release()}",
        ]
    )


def processor():
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    main()
