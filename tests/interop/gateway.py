"""Clients on other hosts, FTP servers on other hosts: -g, --allow-from, --data-ports, --allow-host, --remote-bind."""

import contextlib
import os
import re
import socket
from dataclasses import dataclass
from unittest import mock
from urllib.parse import quote

import clients
import further_clients
import matrix
from clients import MODES, Curl, Ftplib, Lftp, Target, Tnftp
from ferryline import Ferryline
from further_clients import InetutilsFtp, NcFtp
from layouts import demand_success, transfer
from netns import PREFIX, has_ipv6, inside, ip, wire
from rawftp import RawFtp
from servers import PASSWORD, USER, Vsftpd, VsftpdFar
from stage import Failed

# Each client in one passive and one active mode at least.
PLAYED = (
    (Curl, "EPSV"), (Curl, "PASV"), (Curl, "EPRT"), (Curl, "PORT"),
    (Lftp, "PASV"), (Lftp, "PORT"),
    (Tnftp, "EPSV"), (Tnftp, "EPRT"),
    (InetutilsFtp, "PASV"), (InetutilsFtp, "PORT"),
    (NcFtp, "PASV"), (NcFtp, "PORT"),
    (Ftplib, "PASV"), (Ftplib, "PORT"),
)  # fmt: skip
DATA_PORTS = range(45010, 45014)


@dataclass
class Near:
    """A host on the client's side of ferryline: a namespace, its own addresses, and ferryline's as it reaches them."""

    namespace: str
    address: str
    ferryline: str
    ferryline6: str


def near(stage):
    """The host of the clients, made at first use. It is removed with the network's other namespaces."""
    if not hasattr(stage, "near"):
        pid = os.getpid()
        net = stage.network.client_address.rpartition(".")[0]
        found = Near(f"{PREFIX}-{pid}-near", f"{net}.10", f"{net}.9", "")
        ip("netns", "add", found.namespace)
        ip("-n", found.namespace, "link", "set", "lo", "up")
        wire(f"fy{pid}e", None, found.ferryline, f"fy{pid}f", found.namespace, found.address)
        if has_ipv6():
            six = stage.network.six.replace("2001:2:0:", "2001:2:1:")
            found.ferryline6 = f"{six}1"
            ip("address", "add", f"{six}1/64", "dev", f"fy{pid}e", "nodad")
            ip("-n", found.namespace, "address", "add", f"{six}2/64", "dev", f"fy{pid}f", "nodad")
        stage.near = found
    return stage.near


def open_to(stage, name, *options, allow=None):
    """A ferryline that other hosts may use, shared by all cells that use this name."""
    name = f"gateway-{name}"
    if name not in stage._ferrylines:
        host = near(stage)
        six = host.ferryline6 and f",{host.ferryline6.removesuffix('1')}/64"
        options = ("-g", "--allow-from", allow or f"{host.address}/32{six}", *options)
        log = stage.logs / f"ferryline-{name}.log"
        stage._ferrylines[name] = Ferryline(stage.tunnel(), log, port=stage.server(Vsftpd).port, options=options)
    return stage._ferrylines[name]


def from_another_host(client, mode, *options):
    """A client in a namespace of its own uses the forward, by the address that it can reach."""

    def play(stage):
        ferryline = open_to(stage, "ports" if options else "open", *options)
        host = near(stage)
        target = Target(host.ferryline, ferryline.port("*"), mode, host.namespace)
        name = f"gateway-{client.name}-{mode}-{'ports' if options else 'open'}"
        whole(stage, client, target, name)

    return play


def over_ipv6(stage):
    host = near(stage)
    if not host.ferryline6:
        return "this machine has no IPv6"
    target = Target(host.ferryline6, open_to(stage, "open").port("*"), "EPSV6", host.namespace)
    whole(stage, Curl, target, "gateway-curl-EPSV6")
    target.mode = "EPRT6"
    whole(stage, Curl, target, "gateway-curl-EPRT6")
    return "EPSV and EPRT"


def data_ports(stage):
    """Data ports stay within the range, and when it is used up the client gets a reply that says so."""
    host = near(stage)
    ferryline = open_to(stage, "ports", "--data-ports", f"{DATA_PORTS[0]}-{DATA_PORTS[-1]}")
    port = ferryline.port("*")

    def play():
        with contextlib.ExitStack() as stack:
            found = []
            for _ in DATA_PORTS:
                client = stack.enter_context(RawFtp(host.ferryline, port))
                client.login()
                numbers = [int(n) for n in re.findall(r"\d+", client.expect(227, "PASV").partition("(")[2])]
                if ".".join(map(str, numbers[:4])) != host.ferryline:
                    raise Failed(f"the client was told {numbers}")
                found.append(numbers[4] * 256 + numbers[5])
            if sorted(found) != list(DATA_PORTS):
                raise Failed(f"the ports were {found}")
            client = stack.enter_context(RawFtp(host.ferryline, port))
            client.login()
            return client.expect(425, "EPSV")

    return inside(host.namespace, play)


def refused(stage):
    """The connection of a host that is not allowed is closed, and the host gets not a byte."""
    host = near(stage)
    ferryline = open_to(stage, "refused", allow="203.0.113.0/24")

    def play():
        with socket.create_connection((host.ferryline, ferryline.port("*")), 10) as client:
            return client.recv(100)

    if said := inside(host.namespace, play):
        raise Failed(f"the client got {said!r}")
    if not ferryline.says(f"{host.address}:", "turned away", "NOTHING IS ENCRYPTED"):
        raise Failed("the log does not say so", ferryline.log.read_text())
    return "closed at once"


class Routed(Target):
    """A client that names its FTP server in its user name."""

    user = USER

    @property
    def url(self):
        return f"ftp://{quote(self.user, safe='')}:{PASSWORD}@{self.host}:{self.port}"


def user_routed(client, mode):
    """One forward, and two FTP servers behind it: the SSH host's own and a third host's."""

    def play(stage):
        here, far = stage.server(Vsftpd), stage.server(VsftpdFar)
        if "routed" not in stage._ferrylines:
            options = ("--allow-host", f"localhost,{far.host}")
            log = stage.logs / "ferryline-routed.log"
            stage._ferrylines["routed"] = Ferryline(stage.tunnel(), log, "*", far.port, options)
        port = stage._ferrylines["routed"].port()
        for server, named in ((here, f"localhost:{here.port}"), (far, far.host)):
            target = Routed("127.0.0.1", port, mode)
            target.user = f"{USER}@{named}"
            mark = server.mark()
            # The programs get it like any user name.
            with mock.patch.object(clients, "USER", target.user), mock.patch.object(further_clients, "USER", target.user):
                whole(stage, client, target, f"routed-{client.name}-{mode}-{server.name}")
            if not server.verbs_since(mark):
                raise Failed(f"{server.name} was asked for no data connection")
        return f"as {USER}@localhost:{here.port} and {USER}@{far.host}"

    return play


def not_allowed(stage):
    far = stage.server(VsftpdFar)
    log = stage.logs / "ferryline-not-allowed.log"
    ferryline = Ferryline(stage.tunnel(), log, "*", 21, ("--allow-host", "*.example.com", "--allow-host", "192.0.2.0/24"))
    try:
        with RawFtp("127.0.0.1", ferryline.port()) as client:
            client.expect(220)
            client.expect(530, f"USER {USER}@localhost")
            return client.expect(530, f"USER {USER}@{far.host}")
    finally:
        ferryline.stop()


def third_host(client, mode):
    """The third host behind an sshd with default settings: active mode is carried as passive."""

    def play(stage):
        server = stage.server(VsftpdFar)
        mark = server.mark()
        whole(stage, client, stage.target(server, mode), f"third-host-{client.name}-{mode}")
        return f"the server was asked {' '.join(dict.fromkeys(server.verbs_since(mark)))}"

    return play


def remote_bind(mode):
    """Where sshd allows it, the third host's server connects to the SSH host for active data itself."""

    def play(stage):
        port = {"PORT": 2211, "EPRT": 2212}[mode]
        server = stage.server(VsftpdFar)
        with bound(stage, f"remote-bind-{mode}", port, ["GatewayPorts clientspecified"]) as ferryline:
            mark = server.mark()
            whole(stage, Curl, Target("127.0.0.1", ferryline.port(), mode), f"remote-bind-{mode}")
            if set(server.verbs_since(mark)) != {mode}:
                raise Failed(f"the server was asked {server.verbs_since(mark)}")
            return f"the server was asked {mode}"

    return play


def remote_bind_not_allowed(stage):
    """sshd with default settings grants the forward and listens on its loopback: one transfer fails, all others
    work."""
    server = stage.server(VsftpdFar)
    with bound(stage, "remote-bind-default", 2213, []) as ferryline:
        target = Target("127.0.0.1", ferryline.port(), "PORT")
        first = transfer(stage, Ftplib, target, "remote-bind-default-first")
        if first.code == 0:
            raise Failed("expected the first transfer to fail", first.text)
        mark = server.mark()
        whole(stage, Ftplib, target, "remote-bind-default")
        if "PORT" in server.verbs_since(mark):
            raise Failed(f"the server was asked {server.verbs_since(mark)}")
        if not ferryline.says("GatewayPorts clientspecified"):
            raise Failed("the log does not say what to do")
    return "carried as passive from the second transfer on"


@contextlib.contextmanager
def bound(stage, name, port, sshd_options):
    """A ferryline to the third host with --remote-bind, through an sshd of its own."""
    sshd = stage.sshd(f"sshd-{name}", sshd_options, port)
    server = stage.server(VsftpdFar)
    options = ("--remote-bind", stage.network.ssh_inner_address)
    ferryline = Ferryline(stage.tunnel(port), stage.logs / f"ferryline-{name}.log", server.host, server.port, options)
    try:
        yield ferryline
    finally:
        ferryline.stop()
        sshd.stop()


def whole(stage, client, target, name):
    """Downloads all files and uploads them, compares them, and insists on the mode."""
    program = client(stage.programs, stage.scratch)
    fetched = transfer(stage, client, target, name)
    demand_success(stage, fetched, name)
    folder, path = stage.upload_folder(name)
    sent = program.upload(target, stage.files, folder)
    differences = matrix.compare(stage, path)
    if sent.code != 0 or differences:
        raise Failed(f"the client ended with code {sent.code}; {'; '.join(differences)}", sent.text)
    for done in (fetched, sent):
        used = set(program.verbs(done))
        if used != {MODES[target.mode][1]}:
            raise Failed(f"told to use {target.mode}, the client used {' '.join(used) or 'nothing'}", done.text)


RANGE = ("--data-ports", f"{DATA_PORTS[0]}-{DATA_PORTS[-1]}")
CELLS = {
    **{f"gateway/{client.name}-{mode}": from_another_host(client, mode) for client, mode in PLAYED},
    "gateway/curl-ipv6": over_ipv6,
    "gateway/data-ports": data_ports,
    **{
        f"gateway/data-ports-{client.name}-{mode}": from_another_host(client, mode, *RANGE)
        for client, mode in ((Curl, "EPSV"), (Lftp, "PASV"), (Ftplib, "PORT"))
    },
    "gateway/refused": refused,
    **{
        f"routed/{client.name}-{mode}": user_routed(client, mode)
        for client, mode in ((Curl, "EPSV"), (Curl, "PORT"), (Lftp, "PASV"), (Ftplib, "PORT"), (NcFtp, "PASV"))
    },
    "routed/not-allowed": not_allowed,
    **{f"third-host/{client.name}-{mode}": third_host(client, mode) for client, mode in PLAYED},
    "remote-bind/PORT": remote_bind("PORT"),
    "remote-bind/EPRT": remote_bind("EPRT"),
    "remote-bind/not-allowed": remote_bind_not_allowed,
}
