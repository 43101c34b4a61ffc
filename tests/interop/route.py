"""Data goes to the host of the control connection, whatever else a name stands for."""

import contextlib
import re
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ferryline import Ferryline, Tunnel
from netns import entering, inside, wire
from process import checked
from rawftp import RawFtp, drain
from servers import Place, Sshd, Vsftpd
from stage import HUGE, SSH_PORT, Failed

MIB = 1024 * 1024
FILE = "down/middle.bin"
# The one port that the FTP server uses for data, so that a thief can wait there.
DATA_PORT = 41210


class VsftpdOnePort(Vsftpd):
    """vsftpd on 127.0.0.1, with one passive port, which every user of its host can know."""

    name = "vsftpd-one-port"
    usual_port = 2127
    extra = f"{Vsftpd.extra}pasv_min_port={DATA_PORT}\npasv_max_port={DATA_PORT}\n"


class Thief:
    """Another program of the SSH host: it listens on ::1, at the FTP server's data port, and sends a forged file."""

    def __init__(self, namespace):
        def listen():
            return socket.create_server(("::1", DATA_PORT), family=socket.AF_INET6)

        self.caught = 0
        self.listener = inside(namespace, listen)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                stolen, _ = self.listener.accept()
            except OSError:
                return
            self.caught += 1
            with contextlib.suppress(OSError), stolen:
                stolen.sendall(b"a forgery")

    def close(self):
        # Wakes the thread that is in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def other_family(stage):
    """`localhost` is ::1 and 127.0.0.1, the FTP server is on 127.0.0.1, and a thief on ::1."""
    server = stage.server(VsftpdOnePort)
    thief = Thief(stage.network.site)
    try:
        for policy in ("control", "auto", "reply"):
            log = stage.logs / f"ferryline-route-{policy}.log"
            ferryline = Ferryline(stage.tunnel(), log, port=server.port, options=("--data-host", policy))
            try:
                up_and_down(stage, ferryline.port(), f"route-{policy}")
            finally:
                ferryline.stop()
            if thief.caught:
                raise Failed(f"--data-host {policy}: the program on ::1 was given {thief.caught} data connections")
    finally:
        thief.close()
    return "neither uploads nor downloads went to the program on [::1]"


def up_and_down(stage, port, name):
    """A download and an upload, by PASV and by EPSV, on one control connection."""
    content = (stage.home / FILE).read_bytes()
    folder, path = stage.upload_folder(name)
    with RawFtp("127.0.0.1", port) as client:
        client.login()
        for mode in ("PASV", "EPSV"):
            with data(client, mode) as connection:
                client.expect(150, f"RETR {FILE}")
                got = drain(connection)
            client.expect(226)
            if got != content:
                raise Failed(f"{mode}: {len(got)} bytes came ({got[:20]!r}), and not those of the file")
            with data(client, mode) as connection:
                client.expect(150, f"STOR {folder}/{mode}")
                connection.sendall(content)
            client.expect(226)
            if (path / mode).read_bytes() != content:
                raise Failed(f"{mode}: what was uploaded is not what is there")


def data(client, mode):
    if mode == "PASV":
        return client.data(client.expect(227, "PASV"))
    port = int(client.expect(229, "EPSV").split("|||")[1].split("|")[0])
    return socket.create_connection(("127.0.0.1", port), 30)


def restricted_key(permits, warns):
    """The key may open forwards to the FTP server's host and nothing else, as in docs/service.md."""

    def play(stage):
        server = stage.server(Vsftpd)
        name = permits.replace(":", "-")
        authorized = stage.scratch / f"authorized-{name}"
        public = (stage.keys / "user.pub").read_text()
        authorized.write_text(f'restrict,port-forwarding,permitopen="{permits}:*" {public}')
        port = 2231 + warns
        sshd = stage.sshd(f"sshd-restricted-{name}", (f"AuthorizedKeysFile {authorized}",), port)
        log = stage.logs / f"ferryline-restricted-{name}.log"
        ferryline = Ferryline(stage.tunnel(port), log, port=server.port)
        try:
            for number in range(2):
                up_and_down(stage, ferryline.port(), f"restricted-{name}-{number}")
        finally:
            ferryline.stop()
            sshd.stop()
        said = log.read_text().count("by that name only")
        if said != warns:
            raise Failed(f"the warning stands {said} times in the log, not {warns}", log.read_text())
        return f"permitopen={permits}:*"

    return play


@dataclass
class NamedTunnel(Tunnel):
    """A ferryline that reaches its SSH server by a name, which a hosts file of its own defines, or by a
    ProxyCommand."""

    hosts: Path = Path("/etc/hosts")
    words: tuple = ()

    def argv(self, forward, *options):
        mounted = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', self.hosts)
        *words, _ = super().argv(forward, *options)
        # Both hosts have the same host key.
        return [*mounted, *words, "-o", f"HostKeyAlias={self.address}", *self.words, f"root@{NAME}"]


# The SSH server's name where it may be one of two hosts.
NAME = "one-of-two"


@contextlib.contextmanager
def second_ssh_host(stage):
    """The third host is an SSH server, too, with the same keys; yields its address for ferryline's host."""
    net = stage.network.client_address.rsplit(".", 1)[0]
    here, there = f"{net}.17", f"{net}.18"
    near = f"fy-{stage.network.far.split('-')[1]}-e"
    if not hasattr(stage, "second_ssh"):
        wire(near, None, here, f"{near[:-1]}f", stage.network.far, there)
        stage.second_ssh = there
    place = Place(stage.programs, stage.scratch, stage.logs, stage.home, stage.network.far)
    sshd = Sshd(place, SSH_PORT, there, stage.keys, (), "sshd-second").start()
    try:
        yield there
    finally:
        sshd.stop()


def at_once(stage, port, count):
    """N downloads at once, all of them under way; each is broken off."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(RawFtp("127.0.0.1", port)).login()
            data = stack.enter_context(client.retrieve(HUGE))
            if len(drain(data, MIB)) != MIB:
                raise Failed("a download ended early")


def name_moves(stage):
    """The SSH server's name leads to another host while the control connection is open: lanes go to that one's host."""
    with second_ssh_host(stage) as second:
        hosts = stage.scratch / "hosts-moves"
        hosts.write_text(f"{stage.network.ssh_address} {NAME}\n")
        tunnel = NamedTunnel(**vars(stage.tunnel()), hosts=hosts)
        log = stage.logs / "ferryline-route-name-moves.log"
        ferryline = Ferryline(tunnel, log, port=stage.server(Vsftpd).port)
        try:
            hosts.write_text(f"{second} {NAME}\n")
            at_once(stage, ferryline.port(), 4)
        finally:
            ferryline.stop()
    if "shares" in log.read_text():
        raise Failed("data did not have lanes of its own", log.read_text())
    return "four downloads at once, on lanes to the host of the control connection"


def command_chooses(stage):
    """A ProxyCommand leads to one host first, and to another with the same keys from then on."""
    with second_ssh_host(stage) as second:
        been = stage.scratch / "been"
        script = stage.scratch / "chooses"
        script.write_text(
            f"""#!/bin/bash
to={second}
if mkdir {been} 2>/dev/null; then to={stage.network.ssh_address}; fi
exec 3<>/dev/tcp/$to/{SSH_PORT}
cat <&3 & exec cat >&3
"""
        )
        script.chmod(0o755)
        words = ("-o", f"ProxyCommand={script}")
        tunnel = NamedTunnel(**vars(stage.tunnel()), words=words)
        log = stage.logs / "ferryline-route-command-chooses.log"
        ferryline = Ferryline(tunnel, log, port=stage.server(Vsftpd).port)
        try:
            # The proof of a lane may take longer than three transfers, which share the first connection then.
            for number in range(30):
                up_and_down(stage, ferryline.port(), f"command-chooses-{number}")
                if number >= 2 and "another host than the first one" in log.read_text():
                    break
        finally:
            ferryline.stop()
    said = [line for line in log.read_text().splitlines() if "another host than the first one" in line]
    if len(said) != 1:
        raise Failed(f"expected one line that says why data shares a connection, there are {len(said)}", log.read_text())
    return re.sub(r"^.*?WARN ", "", said[0])


def command_that_leads_to_one(stage):
    """A ProxyCommand that leads to one host: lanes prove it, and are used."""
    words = ("-o", f"ProxyCommand=bash -c 'exec 3<>/dev/tcp/{stage.network.ssh_address}/{SSH_PORT}; cat <&3 & exec cat >&3'")
    tunnel = NamedTunnel(**vars(stage.tunnel()), words=words)
    log = stage.logs / "ferryline-route-command.log"
    ferryline = Ferryline(tunnel, log, port=stage.server(Vsftpd).port)
    try:
        up_and_down(stage, ferryline.port(), "command")
        at_once(stage, ferryline.port(), 4)
    finally:
        ferryline.stop()
    if "shares" in log.read_text():
        raise Failed("data did not have lanes of its own", log.read_text())
    return "four downloads at once, on lanes that proved where they end"


def only_one_connection(target, port):
    """A packet filter on the SSH host accepts one connection, and applies this verdict to all later ones."""

    def play(stage):
        sshd = stage.sshd(f"sshd-filtered-{port}", (), port)
        rule = ("INPUT", "-p", "tcp", "--syn", "--dport", str(port))
        first = (*rule, "-m", "statistic", "--mode", "nth", "--every", "1000000", "--packet", "0", "-j", "ACCEPT")
        later = (*rule, "-j", *target)
        for words in (first, later):
            checked([*entering(stage.network.site), "iptables", "-A", *words])
        log = stage.logs / f"ferryline-filtered-{port}.log"
        try:
            options = ("-o", "ConnectTimeout=20")
            ferryline = Ferryline(stage.tunnel(port), log, port=stage.server(Vsftpd).port, options=options)
            began = time.monotonic()
            try:
                for number in range(3):
                    up_and_down(stage, ferryline.port(), f"filtered-{port}-{number}")
                took = time.monotonic() - began
                said = log.read_text()
                listed = checked([*entering(stage.network.site), "iptables", "-L", "INPUT", "-v", "-x", "-n"])
            finally:
                ferryline.stop()
        finally:
            for words in (first, later):
                checked([*entering(stage.network.site), "iptables", "-D", *words])
            sshd.stop()
        counted = [line.split() for line in listed.splitlines() if f"dpt:{port}" in line]
        attempts = next(int(words[0]) for words in counted if words[2] == target[0])
        # A connection that is not answered sends several packets.
        if target[0] == "REJECT" and attempts > 4:
            raise Failed(f"{attempts} further connections were tried during twelve transfers")
        if target[0] == "DROP" and "data shares" in said:
            raise Failed("twelve transfers took as long as a connection that is not answered", said)
        if said.count("data shares") > 1:
            raise Failed("it is told more than once", said)
        return f"12 transfers in {took:.1f} s; {attempts} packets for further connections"

    return play


CELLS = {
    "route/command-chooses": command_chooses,
    "route/command-leads-to-one": command_that_leads_to_one,
    "route/name-moves": name_moves,
    "route/other-family": other_family,
    "route/restricted-key-address": restricted_key("127.0.0.1", 0),
    "route/restricted-key-name": restricted_key("localhost", 1),
    "route/second-connection-dropped": only_one_connection(("DROP",), 2241),
    "route/second-connection-refused": only_one_connection(("REJECT", "--reject-with", "tcp-reset"), 2242),
}
