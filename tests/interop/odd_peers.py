"""Habits of real servers that no RFC has, and that work without ferryline: they work with it, too."""

from collections import Counter

from ferryline import Ferryline
from further_servers import ProFtpd, PyFtpdlib
from rawftp import RawFtp, drain
from stage import SIZES, Failed

TIMES = 100


def refused_transfer(stage):
    """ProFTPD refuses a transfer and closes its passive listener at the same moment: its own reply arrives each
    time."""
    server = stage.server(ProFtpd)
    log = stage.logs / "ferryline-refused-transfer.log"
    ferryline = Ferryline(stage.tunnel(), log, port=server.port)
    said = Counter()
    try:
        with RawFtp("127.0.0.1", ferryline.port()) as client:
            client.login()
            for _ in range(TIMES):
                with client.data(client.expect(227, "PASV")):
                    _, lines = client.ask("RETR nothing.here")
                said[lines[0]] += 1
    finally:
        ferryline.stop()
    warnings = log.read_text(errors="replace").count("could not connect")
    note = f"{dict(said)}; {warnings} warnings"
    # A connection that arrives and fails before the RETR has been read causes a warning: there was no request yet.
    if any(not text.startswith("550 nothing.here") for text in said):
        raise Failed(f"not the server's own word each time: {note}")
    return note


class PyFtpdlibLow(PyFtpdlib):
    """pyftpdlib with its passive ports below 1024, as root may have them."""

    name = "pyftpdlib-low"
    usual_port = 2151

    def command(self):
        return ["env", "LOW_PORTS=900-950", *super().command()]


def low_ports(stage):
    """A server with its passive ports below 1024: they are refused, and served with the option."""
    server = stage.server(PyFtpdlibLow)
    said = []
    for options in ((), ("--lowest-data-port", "900"), ("--lowest-data-port", "951")):
        log = stage.logs / "ferryline-low-ports.log"
        ferryline = Ferryline(stage.tunnel(), log, port=server.port, options=options)
        try:
            with RawFtp("127.0.0.1", ferryline.port()) as client:
                client.login()
                if options[1:] != ("900",):
                    said.append(client.expect(425, "PASV"))
                    continue
                data = client.retrieve("down/middle.bin")
                size = len(drain(data))
                data.close()
                client.expect(226)
                if size != SIZES["middle.bin"]:
                    raise Failed(f"{size} bytes came")
        finally:
            ferryline.stop()
    return f"with the option the file is whole; else {said}"


CELLS = {
    "peers/low-ports": low_ports,
    "peers/refused-transfer": refused_transfer,
}
