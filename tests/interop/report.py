"""The suite's output: a line for each cell as it ends, a table at the end, the tails of the logs of failed cells."""

import time
from pathlib import Path

# Lines of each log that are shown for a failed cell, and failed cells that are shown with them.
TAIL, SHOWN = 25, 12
# Heads a section of a failed cell's evidence; no program's log has it.
SECTION = "##### "


class Report:
    def __init__(self):
        self.began = time.monotonic()
        self.results = {}

    @property
    def failed(self):
        return [name for name, (_, _, failure) in self.results.items() if failure]

    def add(self, name, seconds, note, failure):
        self.results[name] = seconds, note, failure
        said = failure or note
        print(f"{'FAIL' if failure else 'ok':4} {seconds:6.2f} s  {name}{'  - ' + said if said else ''}", flush=True)

    def print(self, logs: Path, legend):
        self._print_matrix(legend)
        self._print_named()
        for name in self.failed[:SHOWN]:
            print(f"\n=== {name}: {self.results[name][2]}")
            print_tails(logs, name)
        print(f"\nlogs: {logs}; {time.monotonic() - self.began:.0f} s")
        print(f"{len(self.results) - len(self.failed)} passed, {len(self.failed)} failed", flush=True)

    def _print_matrix(self, legend):
        rows = {}
        columns = {}
        for name in self.results:
            if name.count("/") == 3:
                client, server, mode, action = name.split("/")
                columns.setdefault(server, {})[action] = None
                rows.setdefault((client, mode), {})[server, action] = self._mark(name)
        if not rows:
            return
        heads = [(server, action) for server, actions in columns.items() for action in actions]
        print(f"\n{'client':14}{'mode':8}" + "".join(f"{server:30}" for server in columns))
        print(" " * 22 + "".join(f"{action:10}" for _, action in heads))
        for (client, mode), marks in rows.items():
            print(f"{client:14}{mode:8}" + "".join(f"{marks.get(head, '-'):10}" for head in heads))
        print(*(f"-  {line}" for line in legend), sep="\n")

    def _print_named(self):
        named = {name: result for name, result in self.results.items() if name.count("/") != 3}
        if named:
            print()
        for name, (seconds, note, _) in named.items():
            print(f"{name:40}{self._mark(name):6}{seconds:6.1f} s  {note}")

    def _mark(self, name):
        return "FAIL" if self.results[name][2] else "ok"


def save_evidence(logs: Path, name, sections):
    """Writes the logs of a failed cell and of the programs behind it, from the time in which it ran."""
    text = "".join(f"{SECTION}{title}\n{said.rstrip()}\n" for title, said in sections if said.strip())
    evidence_file(logs, name).write_text(text)


def print_tails(logs: Path, name):
    """Prints the end of each section of a failed cell's evidence."""
    path = evidence_file(logs, name)
    print(f"(all of it: {path})")
    for section in path.read_text().split(SECTION)[1:]:
        lines = section.splitlines()
        print(f"{SECTION}{lines[0]}", *lines[1:][-TAIL:], sep="\n")


def evidence_file(logs, name):
    return logs / f"{name.replace('/', '-')}.failed.txt"
