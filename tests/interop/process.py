"""Processes: start them, wait for them with a limit, never leave one behind."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

# The kernel kills it when the suite dies, for whatever reason. (setpriv replaces itself: signals reach the
# program.)
WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]


@dataclass
class Finished:
    """How a program ended. `code` is None where it had to be killed because its time was up."""

    code: int | None
    out: bytes
    err: bytes

    @property
    def text(self):
        return (self.out + self.err).decode("utf-8", "replace")


def run(argv, *, stdin=b"", env=None, cwd=None, timeout=30):
    """Runs a program to its end; after `timeout` seconds it is killed with all its children."""
    child = subprocess.Popen(
        WITH_PARENT + [str(word) for word in argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        out, err = child.communicate(stdin, timeout)
        return Finished(child.returncode, out, err)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
        return Finished(None, out, err + f"\n[killed after {timeout} s]\n".encode())


def checked(argv, **options):
    """Runs a program of the setup, which has to succeed; returns its standard output as text."""
    done = run(argv, **options)
    if done.code != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit code {done.code}\n{done.text}")
    return done.out.decode()


def daemon(argv, log: Path, *, env=None, stdout=None, pass_fds=()):
    """Starts a program that keeps running, its output in `log`. It gets the descriptors of `pass_fds`, too."""
    with log.open("ab") as sink:
        return subprocess.Popen(
            WITH_PARENT + [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=stdout if stdout is not None else sink,
            stderr=sink,
            env=env,
            pass_fds=pass_fds,
        )


def stop(child, timeout=10):
    """Ends a program by SIGTERM, then by SIGKILL; returns its exit code."""
    if child.poll() is None:
        child.terminate()
    try:
        return child.wait(timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def descendants(pid):
    """The process ids below `pid`, read from /proc."""
    children = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything, so the fields are counted from its end.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def kill(pids):
    """Kills processes by id; one that is already gone is no error."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def eventually(condition, timeout=10, what="a condition"):
    """Waits until another process reaches a state for which it reports no event; returns what `condition` found."""
    limit = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {timeout} s in vain for {what}")
        time.sleep(0.02)
