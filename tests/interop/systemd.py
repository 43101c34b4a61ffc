"""What stands in for systemd, so that `ferryline serve` can be tested where systemd does not run: it listens at the notify
socket, passes sockets, and starts what a unit says as the unit says. `hosts.py` has a host that systemd itself runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from process import daemon

# Puts the sockets where sd_listen_fds(3) looks for them. LISTEN_PID is the number of the process that it becomes.
PASS = """
import os, sys
count, words = int(sys.argv[1]), sys.argv[2:]
os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=str(os.getpid()))
given = sorted(int(number) for number in os.environ.pop("GIVEN").split())
for place, number in enumerate(given, 3):
    os.dup2(number, place)
os.execvp(words[0], words)
"""


class Service:
    """A running service. `notify` is the path of its notify socket, `told` the one that the service is given, where it
    has another root."""

    def __init__(self, argv, log: Path, notify: Path, *, env, told=None, sockets=()):
        self.log = log
        notify.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(notify))
        notify.chmod(0o666)
        env = {**env, "NOTIFY_SOCKET": str(told or notify)}
        numbers = [one.fileno() for one in sockets]
        if numbers:
            env["GIVEN"] = " ".join(map(str, numbers))
            argv = [sys.executable, "-c", PASS, len(numbers), *argv]
        self.child = daemon(argv, log, env=env, stdout=subprocess.DEVNULL, pass_fds=numbers)

    def says(self, part, timeout=30):
        """Waits for a message with this part; returns it."""
        until = time.monotonic() + timeout
        while True:
            self._notify.settimeout(max(until - time.monotonic(), 0.001))
            try:
                message = self._notify.recv(4096).decode()
            except TimeoutError:
                raise RuntimeError(
                    f"the service did not say {part!r} in {timeout} s; exit code {self.child.poll()}, log {self.log}"
                ) from None
            if part in message:
                return message

    def ready(self):
        self.says("READY=1")
        return self

    def reload(self):
        """Has it read its file anew; returns when it says that this is over, however it went."""
        self.child.send_signal(signal.SIGHUP)
        self.says("RELOADING=1")
        self.ready()

    def logs(self, *words, timeout=10):
        """Whether the log has all of these words, now or soon: a thread of its own writes it, beside the work."""
        until = time.monotonic() + timeout
        while not all(word in self.log.read_text("utf-8", "replace") for word in words):
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def terminate(self):
        self.child.send_signal(signal.SIGTERM)

    def kill(self):
        self.child.kill()
        self.child.wait()
        self._notify.close()

    def ended(self, timeout=20):
        """Waits for its end; returns its exit code, None if it had to be killed."""
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        finally:
            self._notify.close()

    def stop(self, timeout=20):
        if self.child.poll() is None:
            self.terminate()
        return self.ended(timeout)


class Unit:
    """The file of a service unit."""

    def __init__(self, text):
        lines = (line.strip() for line in text.splitlines())
        self._settings = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]

    def get(self, name):
        """The last value of a setting; None where there is none."""
        return next((value for key, value in reversed(self._settings) if key == name), None)

    def start(self, root, entering, log, user_id, group_id):
        """Starts the service on a host whose files are below `root`, by the words that run what follows them there."""
        user = self.get("User")
        for kind, parent in (("State", "var/lib"), ("Logs", "var/log"), ("Runtime", "run")):
            folder = root / parent / self.get(f"{kind}Directory")
            folder.mkdir(exist_ok=True)
            folder.chmod(int(self.get(f"{kind}DirectoryMode") or "755", 8))
            os.chown(folder, user_id, group_id)
        capability = self.get("AmbientCapabilities").removeprefix("CAP_").lower()
        caps = f"-all,+{capability}"
        env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
            "HOME": f"/var/lib/{user}",
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/usr/sbin/nologin",
            "LANG": "C.UTF-8",
            "WATCHDOG_USEC": str(int(self.get("WatchdogSec")) * 1_000_000),
        }
        argv = [
            *entering,
            *("setpriv", "--reuid", user, "--regid", user, "--init-groups", "--no-new-privs"),
            *("--inh-caps", caps, "--ambient-caps", caps, "--bounding-set", caps, "--pdeathsig", "KILL", "--"),
            *("sh", "-c", f'umask {self.get("UMask")}; exec "$@"', "sh"),
            *self.get("ExecStart").split(),
        ]
        return Service(argv, log, root / "run/notify", env=env, told="/run/notify")
