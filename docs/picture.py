#!/usr/bin/env python3
"""Makes docs/demo.svg, the picture of README, from what `ferryline demo --once` prints on a terminal.

    docs/picture.py target/debug/ferryline            rewrites the picture where the demo prints something else now
    docs/picture.py target/debug/ferryline --check    only compares, and exits with 1 where they differ

The ports and the sizes of listings differ from run to run, so numbers are not compared. Python's standard library is
all that it needs.
"""

import argparse
import difflib
import os
import pty
import re
import sys
from html import escape, unescape
from pathlib import Path

PICTURE = Path(__file__).with_name("demo.svg")

# Sizes in pixels.
LETTER, LINE, MARGIN = 7.8, 18, 16
# By the codes of ECMA-48, SGR, that src/paint.rs and src/demo/paint.rs use: readable on a dark ground.
STYLES = {"1": "bold", "2": "faint", "31": "bad", "32": "good", "33": "before", "1;32": "after"}
CSS = """
    text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d5d9e0 }
    .bold { font-weight: bold; fill: #ffffff }
    .faint { fill: #8a919e }
    .bad { fill: #ff7b72 }
    .good { fill: #56d364 }
    .before { fill: #e3b341 }
    .after { font-weight: bold; fill: #56d364 }
"""
SPAN = re.compile(r"\x1b\[([0-9;]*)m")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("ferryline", help="the program")
    arguments.add_argument("--check", action="store_true", help="compare only")
    arguments = arguments.parse_args()
    printed = demo(arguments.ferryline)
    old = comparable(words(PICTURE.read_text())) if PICTURE.exists() else []
    new = comparable([SPAN.sub("", line) for line in printed])
    if old == new:
        return 0
    if arguments.check:
        sys.stderr.writelines(f"{line}\n" for line in difflib.unified_diff(old, new, str(PICTURE), "the demo", lineterm=""))
        return 1
    PICTURE.write_text(drawn(printed))
    return 0


def demo(program):
    """The lines that the demo prints on a terminal, with their colours."""
    program = os.path.abspath(program)
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
        os.environ.pop("NO_COLOR", None)
        os.environ.pop("RUST_LOG", None)
        os.execv(program, [program, "demo", "--once"])
    printed = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            # Linux's word for the end of a terminal.
            break
        if not part:
            break
        printed += part
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"{program} demo --once failed:\n{printed.decode(errors='replace')}")
    lines = printed.decode().replace("\r\n", "\n").strip("\n").split("\n")
    # What is shown while it waits is erased again (ECMA-48, EL).
    return [line.rpartition("\x1b[K")[2] for line in lines]


def comparable(lines):
    """Without the numbers that differ from run to run."""
    return [re.sub(r"\d+(,\d+)*", "0", line).rstrip() for line in lines]


def words(picture):
    """The lines of a picture."""
    lines = re.findall(r"<text [^>]*>(.*?)</text>", picture)
    return [unescape(re.sub(r"<[^>]*>", "", line)).replace("\u00a0", " ") for line in lines]


def drawn(lines):
    width = max(len(SPAN.sub("", line)) for line in lines) * LETTER + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}">',
        "<title>What ferryline demo prints</title>",
        f"<style>{CSS}</style>",
        '<rect width="100%" height="100%" rx="8" fill="#161b22"/>',
    ]
    for number, line in enumerate(lines):
        top = MARGIN + (number + 0.75) * LINE
        parts.append(f'<text x="{MARGIN}" y="{top:.1f}">{coloured(line)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def coloured(line):
    """A line as SVG. Blanks do not break, so that no viewer joins them."""
    pieces = SPAN.split(line)
    shown = text(pieces[0])
    for code, piece in zip(pieces[1::2], pieces[2::2]):
        style = STYLES.get(code)
        shown += f'<tspan class="{style}">{text(piece)}</tspan>' if style and piece else text(piece)
    return shown


def text(piece):
    return escape(piece, quote=False).replace(" ", "\u00a0")


if __name__ == "__main__":
    sys.exit(main())
