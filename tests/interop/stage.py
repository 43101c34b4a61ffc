"""The stage of every cell: the network, the servers, the files, and the ferrylines, each started at first use."""

import os
import random
import re
import shutil
import tempfile
from pathlib import Path

from clients import MODES, Target
from ferryline import Ferryline, Tunnel
from netns import Network, is_running
from process import checked
from servers import UID, Place, Sshd, etc_files

# One file of each kind of size; the last ones hold every byte value, line ends and Telnet's IAC among them.
SIZES = {"empty.bin": 0, "one.bin": 1, "middle.bin": 300_000, "big.bin": 5 * 1024 * 1024 + 7}
# Sparse: larger than all buffers on the way together, so that a reader that stops also stops the server.
HUGE, HUGE_SIZE = "huge.bin", 512 * 1024 * 1024

SSH_PORT = 22
PREFIX = "ferrytest-"


class Failed(Exception):
    """A cell that did not do what it should. The message says what; `transcript` is the client's own log."""

    def __init__(self, message, transcript=""):
        super().__init__(message)
        self.transcript = transcript


class Stage:
    def __init__(self, program: Path, cache: Path, direct: bool, logs="logs"):
        self.program, self.direct = program, direct
        self.programs = cache / "root"
        self.logs = cache / logs
        # Every session of every ferryline, as it recorded it.
        self.recorded = self.logs / "sessions"
        self._servers, self._ferrylines, self._sshds = {}, {}, []

    def __enter__(self):
        shutil.rmtree(self.logs, ignore_errors=True)
        self.recorded.mkdir(parents=True)
        sweep_scratch()
        # Not under the repository: the FTP user has to be able to reach it, whoever owns the folders above.
        self.scratch = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.scratch.chmod(0o755)
        self.home = self.scratch / "home"
        self.network = Network(etc_files(self.home))
        try:
            self._fill_home()
            self._make_keys()
            self.network.__enter__()
        except BaseException:
            shutil.rmtree(self.scratch, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_):
        self.stop_ferrylines()
        for server in [*self._servers.values(), *self._sshds]:
            server.stop()
        self.network.__exit__()
        shutil.rmtree(self.scratch, ignore_errors=True)

    # Servers and tunnels

    def server(self, kind):
        """The one server of a kind, started at first use."""
        if kind.name not in self._servers:
            far = kind.far
            place = Place(
                self.programs,
                self.scratch,
                self.logs,
                self.home,
                self.network.far if far else self.network.site,
            )
            arguments = (self.network.far_address,) if far else ()
            self._servers[kind.name] = kind(place, kind.usual_port, *arguments).start()
        return self._servers[kind.name]

    def sshd(self, name="sshd", options=(), port=SSH_PORT):
        """An sshd with further configuration lines, stopped with the stage at the latest."""
        place = Place(self.programs, self.scratch, self.logs, self.home, self.network.site)
        sshd = Sshd(place, port, self.network.ssh_address, self.keys, options, name).start()
        self._sshds.append(sshd)
        return sshd

    def tunnel(self, port=SSH_PORT, identity="user", known_hosts="known_hosts"):
        if port == SSH_PORT and not any(sshd.port == SSH_PORT for sshd in self._sshds):
            self.sshd()
        if known_hosts == "known_hosts":
            self._know_host(port)
        return Tunnel(
            self.program,
            self.network.ssh_address,
            port,
            self.keys / identity,
            self.keys / known_hosts,
            self.scratch,
            self.recorded,
        )

    def ferryline(self, server):
        """The ferryline that serves all cells of a server."""
        if server.name not in self._ferrylines:
            log = self.logs / f"ferryline-{server.name}.log"
            self._ferrylines[server.name] = Ferryline(self.tunnel(), log, server.host, server.port)
        return self._ferrylines[server.name]

    def stop_ferrylines(self):
        """Ends the shared ferrylines, and with them all sessions; the next use starts a new one."""
        for ferryline in self._ferrylines.values():
            ferryline.stop()
        self._ferrylines.clear()

    def target(self, server, mode):
        """The address at which a client reaches a server: ferryline's, or (--direct) the server's own, from its
        namespace."""
        host = MODES[mode][0]
        if self.direct:
            return Target(host, server.port, mode, self.network.site)
        return Target(host, self.ferryline(server).port(host), mode)

    # Files

    @property
    def files(self):
        return [self.home / "down" / name for name in SIZES]

    def upload_folder(self, name):
        """A fresh folder that the FTP user may write to: its name for the client, its path for the suite."""
        folder = self.home / "up" / re.sub(r"\W+", "-", name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        os.chown(folder, UID, UID)
        return folder.relative_to(self.home), folder

    def download_folder(self, name):
        folder = self.scratch / "downloads" / re.sub(r"\W+", "-", name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _fill_home(self):
        generator = random.Random(959)
        for folder in (self.home, self.home / "down", self.home / "up"):
            folder.mkdir()
        for name, size in SIZES.items():
            (self.home / "down" / name).write_bytes(generator.randbytes(size))
        with (self.home / HUGE).open("wb") as huge:
            huge.truncate(HUGE_SIZE)
        checked(["chown", "-R", f"{UID}:{UID}", self.home])

    # Keys

    def _make_keys(self):
        self.keys = self.scratch / "keys"
        self.keys.mkdir(mode=0o700)
        for name in ("host", "user", "other"):
            checked(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.keys / name])
        (self.keys / "known_hosts").touch()

    def _know_host(self, port):
        self.write_known_hosts("known_hosts", "host", port, append=True)

    def write_known_hosts(self, name, key, port, append=False):
        """A known_hosts file that holds `key` for the SSH server at `port`."""
        kind, blob, *_ = (self.keys / f"{key}.pub").read_text().split()
        address = self.network.ssh_address
        host = address if port == 22 else f"[{address}]:{port}"
        with (self.keys / name).open("a" if append else "w") as file:
            file.write(f"{host} {kind} {blob}\n")


def sweep_scratch():
    """Removes what killed runs have left in the folder for temporary files."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdigit() and not is_running(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
