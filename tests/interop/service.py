"""`ferryline serve` with real software: reloads under load, killed, told to stop, started again, with a disk that is full."""

import contextlib
import ftplib
import hashlib
import io
import json
import random
import socket
import subprocess
import threading
from pathlib import Path

from clients import Curl, Target
from gateway import whole
from load import together
from process import WITH_PARENT, eventually, run
from rawftp import RawFtp, drain
from servers import PASSWORD, USER, Vsftpd
from stage import HUGE, HUGE_SIZE, SSH_PORT, Failed
from systemd import Service

TUNNELS, CLIENTS, RELOADS, TRANSFERS = 20, 100, 10, 1000
SSH_PORTS = (SSH_PORT, 2201, 2202)
BLOCK = 1 << 16
# The beginning of a line of the audit record, as a program that is killed leaves it.
CUT_OFF = '{"v":1,"seq":'
# Lines of the audit record that wait for a full disk have 4 MiB. Each of these has more than twice its command.
LONG_COMMANDS, LONG_COMMAND = 700, "RETR " + "x" * 3900


def ssh_table(stage, name, port=SSH_PORT, more=""):
    return f"""[ssh.{name}]
destination = "root@{stage.network.ssh_address}:{port}"
identity = "{stage.keys / "user"}"
option.UserKnownHostsFile = "{stage.keys / "known_hosts"}"
option.StrictHostKeyChecking = "yes"
{more}
"""


def tunnel_table(stage, name, port, ssh="dc0", more=""):
    return f"""[tunnel.{name}]
ssh = "{ssh}"
local-forward = "127.0.0.1:{port}:localhost:{stage.server(Vsftpd).port}"
record = "{stage.recorded}"
{more}
"""


def audit_table(file):
    return f'[audit]\nfile = "{file}"\n'


def free_ports(count):
    """Ports that are free now. They are below those that the kernel gives to clients."""
    found, candidate = [], random.randrange(20_000, 25_000)
    while len(found) < count:
        candidate += 1
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", candidate)).close()
            found.append(candidate)
    return found


class Played:
    """A service of one file, in a folder of its own, with its audit record."""

    def __init__(self, stage, name):
        self.stage, self.name = stage, name
        self.folder = stage.scratch / f"service-{name}"
        self.folder.mkdir()
        self.file, self.audit = self.folder / "ferryline.toml", self.folder / "audit.jsonl"
        stage.tunnel()
        self.service = None

    def write(self, *tables):
        self.file.write_text("\n".join(tables))

    def start(self, *, before=(), sockets=()):
        argv = [*before, self.stage.program, "serve", "-c", self.file]
        log = self.stage.logs / f"service-{self.name}.log"
        home = self.stage.tunnel().env
        self.service = Service(argv, log, self.folder / "notify", env=home, sockets=sockets)
        return self.service.ready()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.service is not None and self.service.child.poll() is None:
            self.service.stop()

    def verified(self, file=None):
        """What `ferryline audit verify` says of the record, which has to be whole; and its lines."""
        file = file or self.audit
        done = run([self.stage.program, "audit", "verify", file])
        if done.code != 0:
            raise Failed(f"the audit record does not verify: {done.text}")
        text = file.read_text()
        if not text.endswith("\n"):
            raise Failed("the audit record does not end with a whole line")
        # What was cut off stands in a line of its own, and the next line tells of it.
        lines = [line for line in text.splitlines() if line != CUT_OFF]
        return done.text, [json.loads(line) for line in lines]

    def transfers(self, file=None):
        return [line for line in self.verified(file)[1] if line["event"] == "transfer"]


# Reloads under load


def reload(stage):
    """Twenty tunnels over three SSH servers, a hundred clients, ten reloads and one of a broken file: no transfer fails,
    and the audit record has each with the hash of its file."""
    stage.tunnel()
    for number, port in enumerate(SSH_PORTS[1:], 1):
        stage.sshd(f"sshd-reload-{number}", ("MaxStartups 500", "MaxSessions 500"), port)
        stage.tunnel(port)
    ports = free_ports(TUNNELS + 1)
    folder, _ = stage.upload_folder("service-reload")
    counted = Counter()
    with Played(stage, "reload") as played:
        played.write(configuration(stage, ports, 0), audit_table(played.audit))
        service = played.start()
        failures = []
        work = threading.Thread(target=lambda: failures.extend(together(CLIENTS, client(ports, folder, counted))))
        work.start()
        for turn in range(1, RELOADS + 1):
            counted.wait(turn * TRANSFERS // (RELOADS + 2))
            played.write(configuration(stage, ports, turn), audit_table(played.audit))
            service.reload()
            eventually(lambda: service.log.read_text().count("INFO reloaded: ") == turn, what=f"reload {turn} in the log")
        counted.wait((RELOADS + 1) * TRANSFERS // (RELOADS + 2))
        broken = configuration(stage, ports, 0).replace("local-forward", "local-froward", 1)
        played.write(broken, audit_table(played.audit))
        service.reload()
        if not service.logs("not reloaded, what was there stays", "local-froward"):
            raise Failed("the log does not say that the file is broken")
        busy = work.is_alive()
        work.join()
        if failures:
            raise Failed(f"{len(failures)} of {CLIENTS} clients failed, the first with: {failures[0]}")
        # The old file is in force.
        with RawFtp("127.0.0.1", ports[0]) as one:
            one.login()
        code = service.stop()
        if code != 0 or not busy:
            raise Failed(f"the service ended with {code}; clients at the last reload: {busy}")
        demand_truth(played, counted)
    return f"{counted.done} transfers, {RELOADS} reloads, each hash is that of its file"


def configuration(stage, ports, turn):
    """The file of a turn: a third of the tunnels, one SSH connection and one further tunnel are not as before."""
    tables = []
    for number, port in enumerate(SSH_PORTS):
        changed = f"option.ServerAliveInterval = {20 + turn}" if number == turn % 3 else ""
        tables.append(ssh_table(stage, f"dc{number}", port, changed))
    for number, port in enumerate(ports[:TUNNELS]):
        changed = f"max-line = {1000 + turn}" if number % 3 == turn % 3 else ""
        tables.append(tunnel_table(stage, f"t{number:02}", port, f"dc{number % 3}", changed))
    if turn % 2:
        tables.append(tunnel_table(stage, "now-and-then", ports[TUNNELS], "dc1"))
    return "\n".join(tables)


class Counter:
    """Counts transfers that were right, and keeps the hashes of the files."""

    def __init__(self):
        self.done, self.hashes, self._changed = 0, {}, threading.Condition()

    def add(self, path, content):
        with self._changed:
            self.done += 1
            self.hashes[path] = hashlib.sha256(content).hexdigest()
            self._changed.notify_all()

    def wait(self, number, timeout=120):
        with self._changed:
            if not self._changed.wait_for(lambda: self.done >= number, timeout):
                raise Failed(f"{self.done} of {number} transfers in {timeout} s")


def client(ports, folder, counted):
    """The work of one client: sessions at its tunnel, each with a file up and down, in each mode in turn."""
    material = random.Random(1076).randbytes(60_000)

    def work(number):
        port = ports[number % TUNNELS]
        for turn in range(TRANSFERS // CLIENTS // 2):
            start = (number * 10 + turn) * 53
            own = material[start:] + material[:start]
            path = f"{folder}/{number}-{turn}.bin"
            with ftplib.FTP(timeout=60) as ftp:
                ftp.connect("127.0.0.1", port)
                ftp.login(USER, PASSWORD)
                ftp.set_pasv(turn % 2 == 0)
                ftp.storbinary(f"STOR {path}", io.BytesIO(own))
                counted.add(path, own)
                got = io.BytesIO()
                ftp.retrbinary(f"RETR {path}", got.write)
                ftp.quit()
            if got.getvalue() != own:
                raise Failed(f"client {number}: {len(got.getvalue())} bytes came back, and not those that were sent")
            counted.add(path, own)

    return work


def demand_truth(played, counted):
    """The record has a line for each transfer, with the hash of its file."""
    lines = [line for line in played.transfers() if line["direction"] in ("upload", "download")]
    if len(lines) != counted.done or any(line["result"] != "complete" for line in lines):
        raise Failed(f"{counted.done} transfers, and the audit record has {len(lines)}")
    for line in lines:
        path = line["path"].removeprefix("/").removeprefix(str(played.stage.home).removeprefix("/")).removeprefix("/")
        if line["sha256"] != counted.hashes.get(path):
            raise Failed(f"the audit record has another hash for {path}: {line}")


# Stopped, killed


@contextlib.contextmanager
def one_tunnel(stage, name, more=""):
    """A service with one tunnel, started; yields it and its port."""
    (port,) = free_ports(1)
    with Played(stage, name) as played:
        played.write(ssh_table(stage, "dc0"), tunnel_table(stage, "one", port), audit_table(played.audit), more)
        played.start()
        yield played, port


def terminated(stage):
    """SIGTERM: a transfer that ends within the ten seconds is whole, one that does not is told so, the exit code is 0."""
    with one_tunnel(stage, "terminated") as (played, port):
        with RawFtp("127.0.0.1", port) as soon, RawFtp("127.0.0.1", port) as late:
            soon.login()
            late.login()
            with soon.retrieve("down/big.bin") as first, late.retrieve(HUGE) as second:
                drain(second, BLOCK)
                played.service.terminate()
                played.service.says("STOPPING=1")
                if drain(first) != (stage.home / "down/big.bin").read_bytes():
                    raise Failed("the transfer that was in time is not whole")
                soon.expect(226)
                code = played.service.ended()
                try:
                    size = len(drain(second))
                    end = "an EOF"
                except ConnectionResetError:
                    size, end = 0, "a reset"
                got = answers(late)
        if code != 0 or end != "a reset" or not got & {421, 426}:
            raise Failed(f"exit code {code}, the late transfer got {end} after {size} bytes, and the replies {got}")
        results = {line["argument"]: line["result"] for line in played.transfers()}
        if results != {"down/big.bin": "complete", HUGE: "cut"}:
            raise Failed(f"the audit record says {results}")
    return f"exit code {code}; the late one got {' '.join(map(str, sorted(got)))}"


def answers(client):
    """The codes of the replies that come until the end."""
    codes = set()
    with contextlib.suppress(ConnectionError):
        while True:
            codes.add(client.reply()[0])
    return codes


def killed(stage):
    """SIGKILL in the middle of a download and an upload: both clients fail, and after the next start the audit record is
    whole lines."""
    with one_tunnel(stage, "killed") as (played, port):
        folder, path = stage.upload_folder("service-killed")
        source = stage.scratch / "killed.bin"
        with source.open("wb") as file:
            file.truncate(HUGE_SIZE)
        down = stage.download_folder("service-killed") / HUGE
        curl = Curl(stage.programs, stage.scratch)
        target = Target("127.0.0.1", port, "EPSV")
        words = [*curl.command(target), "--limit-rate", "20M"]
        children = [
            subprocess.Popen(
                WITH_PARENT + [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for argv in (
                [*words, "-o", down, f"{target.url}/{HUGE}"],
                [*words, "-T", source, f"{target.url}/{folder}/killed.bin"],
            )
        ]
        eventually(lambda: down.exists() and down.stat().st_size > BLOCK, what="a download")
        eventually(lambda: (path / "killed.bin").exists(), what="an upload")
        played.service.kill()
        codes = [child.wait(30) for child in children]
        source.unlink()
        if 0 in codes:
            raise Failed(f"a client takes a cut file for whole: exit codes {codes}")
        # As if it had been killed in the middle of a line.
        with played.audit.open("a") as file:
            file.write(CUT_OFF)
        played.start()
        whole(stage, Curl, target, "service-killed-again")
        if played.service.stop() != 0:
            raise Failed("the service did not end well")
        said, lines = played.verified()
        begins = [line for line in lines if line["event"] == "begin"]
        told = begins[-1]["unfinished"] or {}
        if len(begins) != 2 or told.get("bytes") != len(CUT_OFF) or "1 line cut off" not in said:
            raise Failed(f"the audit record has the starts {begins}, and 'audit verify' says {said}")
    return f"curl's exit codes {codes}; {' '.join(said.split())}"


def full_disk(stage):
    """The audit file's disk is full: each session goes on, lines wait, and when these are too many the further ones are
    lost and counted."""
    (port,) = free_ports(1)
    with Played(stage, "full-disk") as played:
        small = played.folder / "small"
        small.mkdir()
        file = small / "audit.jsonl"
        played.write(ssh_table(stage, "dc0"), tunnel_table(stage, "one", port), audit_table(file))
        mount = 'mount -t tmpfs -o size=8m none "$1"; shift; exec "$@"'
        played.start(before=("unshare", "--mount", "--propagation", "private", "sh", "-ec", mount, "sh", small))
        there = Path(f"/proc/{played.service.child.pid}/root") / str(small).removeprefix("/")
        target = Target("127.0.0.1", port, "EPSV")
        whole(stage, Curl, target, "service-disk-before")
        filler = there / "filler"
        with filler.open("wb", buffering=0) as sink, contextlib.suppress(OSError):
            while True:
                sink.write(bytes(4096))
        with RawFtp("127.0.0.1", port) as client:
            client.login()
            for _ in range(LONG_COMMANDS):
                client.expect(425, LONG_COMMAND)
            client.expect(221, "QUIT")
        whole(stage, Curl, target, "service-disk-full")
        if not played.service.logs("No space left on device"):
            raise Failed("the log does not say that the disk is full")
        filler.unlink()
        eventually(lambda: b"lost-lines" in (there / "audit.jsonl").read_bytes(), what="a line that counts the lost ones")
        whole(stage, Curl, target, "service-disk-again")
        # The file is gone with the mount namespace of the service.
        copy = played.folder / "copy.jsonl"
        with (there / "audit.jsonl").open("rb") as kept:
            if played.service.stop() != 0:
                raise Failed("the service did not end well")
            copy.write_bytes(kept.read())
        said, lines = played.verified(copy)
        lost = sum(line["lines"] for line in lines if line["event"] == "lost-lines")
        there = sum(line["event"] in ("log-in", "transfer", "session-end") for line in lines)
        # Each `whole` is two sessions, each with all files.
        due = 3 * 2 * (len(stage.files) + 2) + LONG_COMMANDS + 2
        if lost == 0 or there + lost != due or f"{lost} lines lost" not in said:
            raise Failed(f"{due} lines were due, {there} are there, {lost} are lost, and 'audit verify' says {said}")
    return f"of {due} lines {lost} are lost and counted"


# Started again


def restart(stage):
    """Killed, and started again with the same socket, as systemd does: clients that come in between wait, and are
    served."""
    with Played(stage, "restart") as played, socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = listener.getsockname()[1]
        played.write(ssh_table(stage, "dc0"), tunnel_table(stage, "one", port))
        played.start(sockets=(listener,))
        target = Target("127.0.0.1", port, "EPSV")
        whole(stage, Curl, target, "service-restart-before")
        played.service.kill()
        # The kernel takes their connections: systemd holds the socket.
        waiting = [RawFtp("127.0.0.1", port) for _ in range(10)]
        try:
            played.start(sockets=(listener,))
            want = (stage.home / "down/middle.bin").read_bytes()
            for client in waiting:
                client.login()
                with client.retrieve("down/middle.bin") as data:
                    if drain(data) != want:
                        raise Failed("the file that came is not the file")
                client.expect(226)
        finally:
            for client in waiting:
                client.__exit__()
        whole(stage, Curl, target, "service-restart-after")
        code = played.service.stop()
        if code != 0:
            raise Failed(f"the service ended with {code}")
    return f"{len(waiting)} clients waited and were served"


CELLS = {
    "service/reload": reload,
    "service/terminated": terminated,
    "service/killed": killed,
    "service/full-disk": full_disk,
    "service/restart": restart,
}
