"""What the benchmarks play on: the interop suite's network and servers, the tunnels side by side, the long links."""

import contextlib
import os
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import longlink
from netns import wait_for_listener
from process import daemon, descendants, stop
from servers import PASSWORD, SSH_USER, UID, USER, Place, Sshd, Vsftpd
from stage import Stage

# The data ports that the FTP server uses, so that `ssh -L` can forward them one by one.
DATA_PORTS = range(50000, 50016)
# The same of the FTP server for many clients.
CROWD_DATA = range(51000, 60000)
CROWD_FTP, CROWD_SSH = 2131, 2223
BULK, FILES, SMALL = "bulk.bin", 500, 4096
# How /proc/net/tcp says it.
ESTABLISHED = "01"
TICKS = os.sysconf("SC_CLK_TCK")


class BenchVsftpd(Vsftpd):
    """vsftpd with a fixed range of data ports and no log of commands."""

    name = "vsftpd-bench"
    usual_port = 2121

    def __init__(self, place, port, address="127.0.0.1", data_ports=DATA_PORTS):
        super().__init__(place, port)
        self.name = f"vsftpd-bench-{address}-{port}"
        self.listens = address
        self.extra = f"""listen=YES
listen_address={address}
pasv_min_port={data_ports[0]}
pasv_max_port={data_ports[-1]}
max_clients=2000
"""

    def command(self):
        command = super().command()
        config = Path(command[-1])
        quiet = config.read_text().replace("log_ftp_protocol=YES", "log_ftp_protocol=NO")
        config.write_text(quiet.replace("xferlog_enable=YES", "xferlog_enable=NO").replace("max_per_ip=200", "max_per_ip=2000"))
        return command


class Scene:
    """`runs` and `mib` as the command line says; the rest as methods that give tunnels."""

    def __init__(self, ferryline, tools, cache, options):
        self.ferryline, self.tools, self.env = ferryline, tools, {}
        self.runs, self.mib, self.rtt, self.options = options.runs, options.mib, options.rtt, options.option
        self._stage = Stage(ferryline, cache, False, "bench-logs")

    def __enter__(self):
        self._stage.__enter__()
        self.sshd = self._stage.sshd(options=["LogLevel ERROR", "MaxStartups 100:30:200"])
        self.server = self._vsftpd("127.0.0.1")
        home = self._stage.home
        with (home / BULK).open("wb") as bulk:
            bulk.truncate(self.mib << 20)
        (home / "small").mkdir()
        for number in range(FILES):
            (home / "small" / f"{number}.bin").write_bytes(os.urandom(SMALL))
        # What is uploaded, or mirrored, goes to memory: disks are not what is measured.
        self.memory = Path(f"/dev/shm/ferrybench-{os.getpid()}")
        self.memory.mkdir()
        os.chown(self.memory, UID, UID)
        (home / "sink").symlink_to(self.memory)
        return self

    def __exit__(self, *_):
        self.server.stop()
        for file in self.memory.iterdir():
            file.unlink()
        self.memory.rmdir()
        self._stage.__exit__()

    def program(self, path):
        return self._stage.programs / path

    @property
    def home(self):
        return self._stage.home

    # Tunnels: each is used as `with scene.ssh() as tunnel`, and has `port`, `address`, `cpu()` and `pid`.

    @contextlib.contextmanager
    def ssh(self, *options, at=None):
        """`ssh -L` for the control connection and every data port."""
        address, port = at or (self.address, self.sshd.port)
        local = free_port()
        keys = self._stage.keys
        words = ["ssh", "-F", "none", "-N", "-p", port, "-i", keys / "user", "-o", "BatchMode=yes"]
        words += ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={os.devnull}", *options]
        words += ["-L", f"127.0.0.1:{local}:127.0.0.1:{self.server.port}"]
        for data in DATA_PORTS:
            words += ["-L", f"127.0.0.1:{data}:127.0.0.1:{data}"]
        child = daemon([*words, f"root@{address}"], self._stage.logs / "ssh.log")
        try:
            wait_for_listener(None, "127.0.0.1", local, child)
            yield Tunnel("127.0.0.1", local, child.pid)
        finally:
            stop(child)

    @contextlib.contextmanager
    def ferry(self, *options, at=None, user="root", server=None):
        """`ferryline forward`."""
        address, port = at or (self.address, self.sshd.port)
        keys = self._stage.keys
        words = [self.ferryline, "forward", "-q", "-p", port, "-i", keys / "user", *self.options, *options]
        words += ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={os.devnull}"]
        words += ["-L", f"127.0.0.1:0:127.0.0.1:{(server or self.server).port}", f"{user}@{address}"]
        env = {"HOME": str(self._stage.scratch), "PATH": os.environ["PATH"], **self.env}
        child = daemon(words, self._stage.logs / "ferryline.log", env=env, stdout=subprocess.PIPE)
        try:
            line = child.stdout.readline().decode()
            found = re.match(r"ftp://127\.0\.0\.1:(\d+) ", line)
            if not found:
                raise RuntimeError(f"ferryline did not get ready; it printed {line!r}, log {self._stage.logs}/ferryline.log")
            yield Tunnel("127.0.0.1", int(found[1]), child.pid)
        finally:
            stop(child)

    @contextlib.contextmanager
    def direct(self, address):
        """An FTP server that is reached without any tunnel."""
        server = self._vsftpd(address)
        try:
            yield Tunnel(address, server.port, server.child.pid)
        finally:
            server.stop()

    @contextlib.contextmanager
    def crowd(self):
        """What many clients are measured on: an SSH server as distributions ship it, with a user who is not root
        (sshd serves root with one process less), and an FTP server that has a data port for each client, reached
        through the SSH server or directly."""
        stage = self._stage
        keys = stage.scratch / "crowd.pub"
        keys.write_text((stage.keys / "user.pub").read_text())
        # The user reads it: it cannot stay in the folder of the keys.
        keys.chmod(0o644)
        options = ["LogLevel ERROR", f"AuthorizedKeysFile {keys}", "MaxStartups 10:30:100"]
        with contextlib.ExitStack() as stack:
            sshd = stage.sshd("sshd-crowd", options, CROWD_SSH)
            stack.callback(sshd.stop)
            servers = [self._vsftpd(address, CROWD_FTP, CROWD_DATA) for address in ("127.0.0.1", self.address)]
            for server in servers:
                stack.callback(server.stop)
            yield Crowd(self, sshd, *servers)

    @property
    def address(self):
        return self._stage.network.ssh_address

    # Long links

    @contextlib.contextmanager
    def delayed(self):
        """A relay to sshd with a delay and no other limit; the address and port to connect to."""
        target = f"{self.address}:{self.sshd.port}"
        words = [self.tools["relay"], "127.0.0.1:0", target, self.rtt / 2]
        child = daemon(words, self._stage.logs / "relay.log", stdout=subprocess.PIPE)
        try:
            yield "127.0.0.1", int(child.stdout.readline().decode().rpartition(":")[2])
        finally:
            stop(child)

    @contextlib.contextmanager
    def long_link(self, settings=longlink.STOCK):
        """A link with a delay under the kernel's own TCP; the address of its far end, and the SSH server's port there."""
        stage = self._stage
        with longlink.up(self.tools["link"], stage.network.site, self.rtt / 2, settings) as address:
            place = Place(stage.programs, stage.scratch, stage.logs, stage.home, stage.network.site)
            sshd = Sshd(place, 2222, address, stage.keys, ["LogLevel ERROR"], "sshd-far").start()
            try:
                yield address, sshd.port
            finally:
                sshd.stop()

    def _vsftpd(self, address, port=BenchVsftpd.usual_port, data_ports=DATA_PORTS):
        stage = self._stage
        place = Place(stage.programs, stage.scratch, stage.logs, stage.home, stage.network.site)
        return BenchVsftpd(place, port, address, data_ports).start()


@dataclass
class Crowd:
    """Two ways to the FTP server of many clients, and what the SSH server pays for the one through it."""

    scene: Scene
    sshd: Sshd
    near: BenchVsftpd
    open: BenchVsftpd

    def ferry(self, *options):
        return self.scene.ferry(*options, at=(self.scene.address, self.sshd.port), user=SSH_USER, server=self.near)

    @contextlib.contextmanager
    def direct(self):
        yield Tunnel(self.scene.address, self.open.port, self.open.child.pid)

    def ssh_connections(self):
        """How many SSH connections the SSH server has: ferryline's first one and its lanes."""
        port = f":{self.sshd.port:04X}"
        table = Path(f"/proc/{self.sshd.child.pid}/net/tcp").read_text().splitlines()[1:]
        rows = [line.split() for line in table]
        return sum(local.endswith(port) and state == ESTABLISHED for _, local, _, state, *_ in rows)

    def ssh_server(self):
        """The SSH server's processes but its listener, and their memory in MiB, what they share divided among them."""
        pids, kib = descendants(self.sshd.child.pid), 0
        for pid in pids:
            with contextlib.suppress(OSError):
                kib += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[1])
        return len(pids), kib / 1024


@dataclass
class Tunnel:
    """Where a client goes, and the process that carries it."""

    address: str
    port: int
    pid: int

    def url(self, path=""):
        return f"ftp://{USER}:{PASSWORD}@{self.address}:{self.port}/{path}"

    def cpu(self):
        """The seconds of processor time that the process has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident(self, field="VmRSS"):
        """Its resident memory in MiB; `VmHWM`: the most that it was."""
        return int(re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1]) / 1024


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
