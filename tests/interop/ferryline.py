"""ferryline as a user runs it: started with ssh's options, ready when it prints its lines, stopped by a signal."""

import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from netns import entering
from process import daemon, run

READY = re.compile(r"^(?:ftp|tcp)://(?P<host>\[[^]]*\]|[^:/]+):(?P<port>\d+) (?:→|->) .+ (?:→|->) .+$")


@dataclass
class Tunnel:
    """The settings of a ferryline: program, SSH server, identity, known hosts, where it records and where it runs."""

    program: Path
    address: str
    port: int
    identity: Path
    known_hosts: Path
    scratch: Path
    record: Path
    # The namespace in which ferryline itself runs; None for the root namespace.
    namespace: str | None = None

    def argv(self, forward, *options):
        return [
            *entering(self.namespace),
            *(self.program, "forward", "--record", self.record, *options),
            # Without HOME, ssh, which ferryline asks for its configuration, would find the caller's home.
            *("-F", "none", "-p", self.port, "-i", self.identity),
            *("-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "StrictHostKeyChecking=yes"),
            *("-L", forward, f"root@{self.address}"),
        ]

    @property
    def env(self):
        # No ~/.ssh of the caller and no agent: the command line says everything.
        home = self.scratch / "ferryline-home"
        home.mkdir(exist_ok=True)
        return {"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "RUST_BACKTRACE": "1"}

    def run(self, forward, *options, timeout=40):
        """Runs a start that has to fail to its end."""
        return run(self.argv(forward, *options), env=self.env, timeout=timeout)


class Ferryline:
    """A running `ferryline forward` with one forward, `-L 0:HOST:PORT`."""

    def __init__(self, tunnel: Tunnel, log: Path, host="localhost", port=21, options=(), bind="0"):
        self.log, self._told = log, False
        target = f"[{host}]" if ":" in host else host
        self._lines, self._changed = [], threading.Condition()
        self.child = daemon(
            tunnel.argv(f"{bind}:{target}:{port}", "-v", *options),
            log,
            env=tunnel.env,
            stdout=subprocess.PIPE,
        )
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.ready()
        except BaseException:
            self.child.kill()
            self.child.wait()
            raise

    def _read(self):
        for line in self.child.stdout:
            with self._changed:
                self._lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._lines.append(None)
            self._changed.notify_all()

    def ready(self, timeout=30):
        """Waits for the line that announces the forward."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines and (self._endpoints() or self._lines[-1] is None), timeout)
            if not self._endpoints():
                raise RuntimeError(
                    f"ferryline did not get ready; it printed {self._lines}, exit code {self.child.poll()}, log {self.log}"
                )

    def _endpoints(self):
        found = [READY.match(line) for line in self._lines if line is not None]
        return {match["host"].strip("[]"): int(match["port"]) for match in found if match}

    def port(self, host="127.0.0.1"):
        """The port to use at `host`: the one printed for it, else the one printed for any (ssh binds both alike)."""
        with self._changed:
            endpoints = self._endpoints()
        return endpoints.get(host) or next(iter(endpoints.values()))

    def says(self, *words, timeout=10):
        """Whether the log has all of these words, now or soon: a thread of its own writes it, beside the work."""
        until = time.monotonic() + timeout
        while not all(word in self.log.read_text() for word in words):
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def terminate(self):
        """Asks it to end. Send it once only: a second signal ends it at once."""
        if not self._told:
            self._told = True
            self.child.send_signal(signal.SIGTERM)

    def stop(self, timeout=20):
        """Asks it to end; returns its exit code (None if it had to be killed) and the seconds it took."""
        began = time.monotonic()
        if self.child.poll() is None:
            self.terminate()
        try:
            code = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            code = None
        return code, time.monotonic() - began


class PlainSsh:
    """`ssh -L`, which rewrites nothing: it shows that without rewriting no transfer works here."""

    def __init__(self, tunnel: Tunnel, log: Path, local_port: int, port: int):
        self.child = daemon(
            [
                *("ssh", "-F", "none", "-N", "-p", tunnel.port, "-i", tunnel.identity, "-o", "BatchMode=yes"),
                *("-o", f"UserKnownHostsFile={tunnel.known_hosts}", "-o", "ExitOnForwardFailure=yes"),
                *("-L", f"127.0.0.1:{local_port}:localhost:{port}", f"root@{tunnel.address}"),
            ],
            log,
        )
