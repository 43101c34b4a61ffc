"""Real SSH set-ups: configuration files, jump hosts, a ProxyCommand, old algorithms, another server than OpenSSH."""

import contextlib
import re
import socket
from dataclasses import dataclass

from faults import active_command, demand_failure
from ferryline import Ferryline, Tunnel
from process import checked
from rawftp import RawFtp, drain
from servers import SSH_UID, SSH_USER, Server, Sshd, Vsftpd
from stage import Failed

BIG = "down/big.bin"


@dataclass
class Configured(Tunnel):
    """A ferryline that gets a host and further arguments, and finds the rest in a configuration file."""

    config: str = "none"
    words: tuple = ()

    def argv(self, forward, *options):
        return [
            *(self.program, "forward", "--record", self.record, *options),
            *("-F", self.config, "-L", forward, *self.words),
        ]


def configured(stage, name, text, *words):
    """A tunnel that reads a configuration file with this text."""
    file = stage.scratch / f"ssh-config-{name}"
    file.write_text(text)
    plain = stage.tunnel()
    return Configured(**vars(plain), config=file, words=words)


def login(stage, user="root"):
    """The lines of a configuration file that log in with the stage's key."""
    return f"""
  User {user}
  IdentityFile {stage.keys}/user
  IdentitiesOnly yes
  UserKnownHostsFile {stage.keys}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
"""


@contextlib.contextmanager
def running(stage, tunnel, name, *options):
    ferryline = Ferryline(tunnel, stage.logs / f"ferryline-{name}.log", port=stage.server(Vsftpd).port, options=options)
    try:
        yield ferryline.port()
    finally:
        ferryline.stop()


def transfers(stage, port):
    """A download in passive mode and one in active mode, compared byte for byte."""
    content = (stage.home / BIG).read_bytes()
    with RawFtp("127.0.0.1", port) as client, socket.create_server(("127.0.0.1", 0)) as listener:
        client.login()
        with client.retrieve(BIG) as data:
            passive = drain(data)
        client.expect(226)
        listener.settimeout(20)
        client.expect(200, active_command("PORT", *listener.getsockname()))
        client.expect(150, f"RETR {BIG}")
        active = drain(listener.accept()[0])
        client.expect(226)
    for mode, got in (("passive", passive), ("active", active)):
        if got != content:
            raise Failed(f"{mode}: {len(got)} bytes came, and not those of the file")


def include_and_match(stage):
    """The file includes another, and a Match decides the port."""
    known = stage.scratch / "ssh-config-included"
    known.write_text(f"Host ssh-by-alias\n  HostName {stage.network.ssh_address}\n{login(stage)}")
    text = f"""
Include {known}
Match originalhost ssh-by-alias exec "test %n = ssh-by-alias"
  Port 22
Host *
  Port 1
"""
    with running(stage, configured(stage, "match", text, "ssh-by-alias"), "match") as port:
        transfers(stage, port)
    return "Include, HostName, Match originalhost exec"


def match_does_not_apply(stage):
    """The same, with a Match that does not fit: the port of the rest of the file applies, and nothing listens there."""
    text = f"""
Match exec "false"
  Port 22
Host ssh-by-alias
  HostName {stage.network.ssh_address}
  Port 2298
{login(stage)}
"""
    return demand_failure(configured(stage, "no-match", text, "ssh-by-alias").run("0:localhost:21"), 1, "port 2298")


@contextlib.contextmanager
def inner_sshds(stage):
    """Two sshds on the SSH host's loopback, where only the SSH host itself can reach them."""
    with contextlib.ExitStack() as stack:
        for port in (2205, 2206):
            place = stage.server(Vsftpd).place
            sshd = Sshd(place, port, "127.0.0.1", stage.keys, (), f"sshd-inner-{port}").start()
            stack.callback(sshd.stop)
            kind, blob, *_ = (stage.keys / "host.pub").read_text().split()
            with (stage.keys / "known_hosts").open("a") as file:
                file.write(f"[127.0.0.1]:{port} {kind} {blob}\n")
        yield


def hops(stage):
    return f"""
Host first
  HostName {stage.network.ssh_address}
{login(stage)}
Host second
  HostName 127.0.0.1
  Port 2205
{login(stage)}
Host third
  HostName 127.0.0.1
  Port 2206
{login(stage)}
"""


def jump(words, more=""):
    """Over two hops, by -J or by the file."""

    def play(stage):
        with inner_sshds(stage):
            text = hops(stage) + more
            with running(stage, configured(stage, "jump", text, *words), "jump") as port:
                transfers(stage, port)
        return f"{' '.join(words)} {' '.join(more.split())}".strip()

    return play


def jump_without_key(stage):
    """The error names the hop that refuses the log-in."""
    with inner_sshds(stage):
        text = "Host second\n  IdentityFile none\n  BatchMode yes\n" + hops(stage).replace(
            f"Port 2205\n\n  User root\n  IdentityFile {stage.keys}/user", "Port 2205\n  User root"
        )
        tunnel = configured(stage, "jump-key", text, "-J", "first,second", "third")
        return demand_failure(tunnel.run("0:localhost:21"), 1, "jump host root@127.0.0.1:2205")


def proxy_command(stage):
    """OpenSSH's own client as ProxyCommand leads to an sshd that only the SSH host can reach."""
    with inner_sshds(stage):
        outer = stage.scratch / "ssh-config-outer"
        outer.write_text(hops(stage))
        text = hops(stage) + f"Host third\n  ProxyCommand ssh -F {outer} -W %h:%p first\n"
        with running(stage, configured(stage, "command", text, "third"), "command") as port:
            transfers(stage, port)
    return "ProxyCommand ssh -W %h:%p"


def proxy_command_fails(stage):
    tunnel = configured(stage, "bad-command", "", "-o", "ProxyCommand=sh -c 'exit 5'", "root@nowhere")
    return demand_failure(tunnel.run("0:localhost:21"), 1, "exit status: 5")


def options(stage):
    """Compression, and several key exchanges in the middle of a file."""
    words = ("-o", "Compression=yes", "-o", "RekeyLimit=1M", "-o", "AddressFamily=inet")
    with running(stage, stage.tunnel(), "options", *words) as port:
        transfers(stage, port)
    return " ".join(words[1::2])


def legacy(stage):
    """An sshd with old algorithms only: refused, with the option that allows each kind, one kind after the other."""
    port = 2207
    rsa = stage.keys / "host_rsa"
    checked(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", rsa])
    sshd = stage.sshd(
        "sshd-legacy",
        [
            f"HostKey {rsa}",
            "HostKeyAlgorithms ssh-rsa",
            "KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1",
            "Ciphers aes256-cbc,3des-cbc",
            "MACs hmac-sha1",
        ],
        port,
    )
    kind, blob, *_ = rsa.with_suffix(".pub").read_text().split()
    with (stage.keys / "known_hosts").open("a") as file:
        file.write(f"[{stage.network.ssh_address}]:{port} {kind} {blob}\n")
    words = []
    try:
        tunnel = stage.tunnel(port)
        for _ in range(4):
            said = demand_failure(tunnel.run("0:localhost:21", *words), 1, "-o ")
            found = re.search(r"-o (\S+=\+\S+)", said)
            if not found or found[1] in words:
                raise Failed(f"no advice that helps: {said}")
            words += ["-o", found[1]]
        with running(stage, tunnel, "legacy", *words) as local:
            transfers(stage, local)
        # russh's 3DES, too.
        with running(stage, tunnel, "legacy-3des", *words, "-o", "Ciphers=3des-cbc") as local:
            with RawFtp("127.0.0.1", local) as client:
                client.login()
    except RuntimeError as error:
        raise Failed(f"with {' '.join(words)}: {error}") from error
    finally:
        sshd.stop()
    return " ".join(words[1::2])


class Dropbear(Server):
    """Debian's dropbear on the SSH host's outer address, with a user that has the run's key."""

    name = "dropbear"
    package = "dropbear-bin"
    usual_port = 2208

    def __init__(self, stage):
        super().__init__(stage.server(Vsftpd).place, self.usual_port)
        self.listens = stage.network.ssh_address
        self.key = stage.keys / "dropbear"
        said = checked([self.program("dropbear-bin/usr/bin/dropbearkey"), "-t", "ed25519", "-f", self.key])
        public = re.search(r"^ssh-ed25519 (\S+)", said, re.M)[1]
        with (stage.keys / "known_hosts").open("a") as file:
            file.write(f"[{self.listens}]:{self.port} ssh-ed25519 {public}\n")
        folder = stage.scratch / "ssh-home" / ".ssh"
        folder.mkdir(parents=True, mode=0o700)
        (folder / "authorized_keys").write_text((stage.keys / "user.pub").read_text())
        checked(["chown", "-R", f"{SSH_UID}:{SSH_UID}", folder.parent])
        folder.parent.chmod(0o755)

    def command(self):
        return [
            self.program("dropbear-bin/usr/sbin/dropbear"),
            *("-F", "-E", "-s", "-m", "-r", self.key),
            *("-p", f"{self.listens}:{self.port}", "-P", self.place.scratch / "dropbear.pid"),
        ]


def dropbear(stage):
    server = Dropbear(stage).start()
    try:
        words = ("-p", str(server.port), f"{SSH_USER}@{server.listens}")
        text = f"Host *{login(stage, SSH_USER)}"
        with running(stage, configured(stage, "dropbear", text, *words), "dropbear") as port:
            transfers(stage, port)
    finally:
        server.stop()
    return "passive and active"


CELLS = {
    "ssh/include-and-match": include_and_match,
    "ssh/match-does-not-apply": match_does_not_apply,
    "ssh/jump-two-hops": jump(("-J", "first,second", "third")),
    "ssh/jump-by-file": jump(("third",), "Host third\n  ProxyJump second\nHost second\n  ProxyJump first\n"),
    "ssh/jump-without-key": jump_without_key,
    "ssh/proxy-command": proxy_command,
    "ssh/proxy-command-fails": proxy_command_fails,
    "ssh/options": options,
    "ssh/legacy-algorithms": legacy,
    "ssh/dropbear": dropbear,
}
