#!/usr/bin/env python3
"""Prints the licences of the libraries that the program is linked with, each with the texts that its crate brings.

A crate without a text is listed with the name of its licence.
"""

import json
import subprocess
from pathlib import Path

NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")


def main():
    crates = linked()
    print("The program ferryline is linked with the Rust libraries in this list and with Rust's standard library")
    print("(MIT or Apache-2.0). The texts of their licences follow; a text that several have stands there once.\n")
    for crate in crates:
        authors = ", ".join(crate["authors"])
        print(f"{crate['name']} {crate['version']}: {crate['license'] or 'see its text'}" + (f" ({authors})" if authors else ""))
    texts = {}
    for crate in crates:
        for file in sorted(Path(crate["manifest_path"]).parent.iterdir()):
            if file.is_file() and file.name.upper().startswith(NAMES):
                text = "\n".join(line.rstrip() for line in file.read_text("utf-8", "replace").strip().splitlines())
                texts.setdefault(text, []).append(f"{crate['name']} ({file.name})")
    for text, names in texts.items():
        print(f"\n{'=' * 79}\n{', '.join(names)}\n\n{text}")


def linked():
    """The crates of others that end up in the program for this machine, by their names."""
    target = next(line.split()[1] for line in said("rustc", "-vV").splitlines() if line.startswith("host:"))
    metadata = json.loads(said("cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    queue = [package["id"] for package in packages.values() if package["name"] == "ferryline"]
    found = set()
    while queue:
        one = queue.pop()
        if one in found:
            continue
        found.add(one)
        for dependency in nodes[one]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                queue.append(dependency["pkg"])
    foreign = [packages[one] for one in found if packages[one]["source"] is not None]
    return sorted(foreign, key=lambda package: (package["name"], package["version"]))


def said(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True).stdout


if __name__ == "__main__":
    main()
