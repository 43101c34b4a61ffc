"""Clients that know port 21 only: the redirect of docs/service.md, on a separate host, so that no rule touches this machine's own."""

import contextlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from clients import Curl, Ftplib, Target
from ferryline import Ferryline
from gateway import whole
from netns import PREFIX, entering, has_ipv6, ip, wire
from process import checked
from servers import Vsftpd
from stage import Failed
from users import knock

SERVICE = Path(__file__).resolve().parents[2] / "docs" / "service.md"
RECIPE = re.compile(r"sudo ((?:iptables|ip6tables) -t nat -A OUTPUT .*--dport 21 .*--to-ports (\d+))$", re.MULTILINE)


@dataclass
class Host:
    """The host of ferryline and its clients: a namespace with the rules of docs/service.md, and the port that they lead to."""

    namespace: str
    port: int


def host(stage):
    """Made at first use. It is removed with the network's other namespaces."""
    if not hasattr(stage, "port_21"):
        rules = RECIPE.findall(SERVICE.read_text())
        if [rule.split()[0] for rule, _ in rules] != ["iptables", "ip6tables"]:
            raise Failed(f"the rules of docs/service.md are {rules}")
        pid = os.getpid()
        found = Host(f"{PREFIX}-{pid}-redirect", int(rules[0][1]))
        net = stage.network.client_address.rpartition(".")[0]
        ip("netns", "add", found.namespace)
        ip("-n", found.namespace, "link", "set", "lo", "up")
        wire(f"fy{pid}g", stage.network.site, f"{net}.13", f"fy{pid}h", found.namespace, f"{net}.14")
        ip("-n", found.namespace, "route", "add", stage.network.ssh_address, "via", f"{net}.13")
        for rule, _ in rules:
            if rule.startswith("iptables") or has_ipv6():
                checked([*entering(found.namespace), *rule.split()])
        stage.port_21 = found
    return stage.port_21


@contextlib.contextmanager
def redirected(stage, *options):
    """A ferryline at the port that the rules lead to; yields its host."""
    found = host(stage)
    tunnel = replace(stage.tunnel(), namespace=found.namespace)
    log = stage.logs / "ferryline-port-21.log"
    server = stage.server(Vsftpd)
    ferryline = Ferryline(tunnel, log, port=server.port, bind=str(found.port), options=options)
    try:
        yield found
    finally:
        ferryline.stop()


def transfers(address, *played):
    """Files both ways, in passive and active mode: ferryline has to know the owner of each connection for them."""

    def play(stage):
        if ":" in address and not has_ipv6():
            return "this machine has no IPv6"
        with redirected(stage) as found:
            for client, mode in played:
                target = Target(address, 21, mode, found.namespace)
                whole(stage, client, target, f"port-21-{client.name}-{mode}")
        return " ".join(mode for _, mode in played)

    return play


def only_user(stage):
    """Users who come through the redirect are told apart, too."""
    with redirected(stage, "--only-user", "root") as found:
        got = knock(21, found.namespace)
        if not got.startswith("b'421 ferryline: this forward is not for user "):
            raise Failed(f"another user got {got}")
        whole(stage, Curl, Target("127.0.0.1", 21, "PASV", found.namespace), "port-21-only-user")
    return got


CELLS = {
    "port-21/127.0.0.1": transfers(
        "127.0.0.1", (Curl, "EPSV"), (Curl, "PASV"), (Curl, "EPRT"), (Curl, "PORT"), (Ftplib, "PASV"), (Ftplib, "PORT")
    ),
    "port-21/::1": transfers("::1", (Curl, "EPSV6"), (Curl, "EPRT6")),
    "port-21/only-user": only_user,
}
