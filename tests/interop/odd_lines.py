"""Servers whose replies are odd: a client that works with one directly works with it through ferryline."""

import sys
from pathlib import Path

from clients import Curl, Ftplib, Lftp, Target, Tnftp
from further_clients import InetutilsFtp, NcFtp
from odd_lines_server import FORMS
from servers import Server
from stage import SIZES, Failed

FILE = "middle.bin"


class HastyCurl(Curl):
    """It waits for ever for a code with a space behind it."""

    def command(self, target):
        return [*super().command(target), "--max-time", "5"]


class OddServer(Server):
    """odd_lines_server.py with one form of replies."""

    form = ""

    def command(self):
        program = Path(__file__).with_name("odd_lines_server.py")
        return [sys.executable, "-B", program, self.port, self.place.home / "down", self.form]


def server(number, form):
    return type("OddServer", (OddServer,), {"name": f"odd-{form}", "usual_port": 2160 + number, "form": form})


def cell(kind, client):
    def play(stage):
        at = stage.server(kind)
        through = fetched(stage, client, stage.target(at, "PASV"), f"odd-{at.form}-{client.name}")
        if not through:
            return "works"
        direct = Target("127.0.0.1", at.port, "PASV", stage.network.site)
        if not fetched(stage, client, direct, f"odd-direct-{at.form}-{client.name}"):
            raise Failed("works directly, and does not through ferryline", through)
        return "works neither way"

    return play


def fetched(stage, client, target, name):
    """Has the client fetch a file; returns its output where that failed."""
    folder = stage.download_folder(name)
    done = client(stage.programs, stage.scratch).download(target, "down", [FILE], folder)
    whole = (folder / FILE).is_file() and (folder / FILE).stat().st_size == SIZES[FILE]
    whole = whole and (folder / FILE).read_bytes() == (stage.home / "down" / FILE).read_bytes()
    return "" if whole else done.text or f"ended with {done.code}"


CLIENTS = (HastyCurl, Lftp, Tnftp, Ftplib, InetutilsFtp, NcFtp)
CELLS = {
    f"odd/{form}/{client.name}": cell(kind, client)
    for form, kind in ((form, server(number, form)) for number, form in enumerate(FORMS))
    for client in CLIENTS
}
