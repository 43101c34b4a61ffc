"""An FTP server sends 226 before its data has arrived, or leaves the data connection open behind it."""

import socket
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from ferryline import Ferryline
from odd_server import SIZE
from process import checked, run
from rawftp import RawFtp, drain
from servers import PASSWORD, USER, Server
from stage import Failed

# Far less than the half minute for which a reply is held whose data connection is in an unknown state.
SOON = 10


class OddServer(Server):
    name = "odd-server"
    usual_port = 2190

    def command(self):
        return [sys.executable, Path(__file__).with_name("odd_server.py"), str(self.port)]


@contextmanager
def ferried(stage, name, *options):
    ferryline = Ferryline(stage.tunnel(), stage.logs / f"ferryline-{name}.log", port=stage.server(OddServer).port, options=options)
    try:
        yield ferryline
    finally:
        ferryline.stop()


def large_packets_are_lost(stage):
    """The replies pass, the data does not, until the SSH connection of the data is lost: its client must know."""
    tnftp = stage.programs / "tnftp/usr/bin/tnftp"
    folder = stage.download_folder("early-word")
    rule = ["-s", stage.network.ssh_address, "-p", "tcp", "-m", "length", "--length", "800:65535", "-j", "DROP"]
    with ferried(stage, "early-word", "-o", "ServerAliveInterval=9") as ferryline:

        def fetch(name):
            url = f"ftp://{USER}:{PASSWORD}@127.0.0.1:{ferryline.port()}/{name}"
            return run([tnftp, "-o", folder / name, url], timeout=90)

        first = fetch("whole")
        if first.code != 0 or (folder / "whole").stat().st_size != SIZE:
            raise Failed(f"a usual download: exit code {first.code}", first.text)
        checked(["iptables", "-w", "-I", "INPUT", *rule])
        began = time.monotonic()
        try:
            cut = fetch("cut")
        finally:
            checked(["iptables", "-w", "-D", "INPUT", *rule])
        seconds = time.monotonic() - began
        path = folder / "cut"
        size = path.stat().st_size if path.exists() else 0
        if cut.code == 0 or size == SIZE:
            raise Failed(f"tnftp has {size} of {SIZE} B, and its exit code is {cut.code}", cut.text)
        said = ferryline.says("that carries the data does not answer")
        if not said or "the client has not taken" in ferryline.log.read_text():
            raise Failed("the log does not say which side stood still", ferryline.log.read_text())
    return f"tnftp: exit code {cut.code} after {seconds:.0f} s, with {size} of {SIZE} B"


def left_open(stage):
    """Neither a download nor an upload is held for long, and neither fails."""
    said = []
    with ferried(stage, "left-open") as ferryline, RawFtp("127.0.0.1", ferryline.port()) as client:
        client.login()
        for command in ("RETR open", "STOR open"):
            with client.data(client.expect(227, "PASV")) as data:
                client.expect(150, command)
                if command.startswith("STOR"):
                    data.sendall(bytes(SIZE))
                    data.shutdown(socket.SHUT_WR)
                began = time.monotonic()
                client.expect(226)
                seconds = time.monotonic() - began
                if seconds > SOON:
                    raise Failed(f"the 226 to {command} came after {seconds:.0f} s")
                if command.startswith("RETR") and len(drain(data, SIZE)) != SIZE:
                    raise Failed("the 226 was there before the file")
                client.expect(200, "NOOP")
            said.append(f"{command}: 226 after {seconds:.1f} s")
    return "; ".join(said)


CELLS = {"early-word/large-packets-lost": large_packets_are_lost, "early-word/left-open": left_open}
