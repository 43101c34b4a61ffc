"""What real servers do that is not in the books, and that works without ferryline: it works with it, too."""

from collections import Counter

from ferryline import Ferryline
from further_servers import ProFtpd
from rawftp import RawFtp
from stage import Failed

TIMES = 100


def refused_transfer(stage):
    """ProFTPD refuses a transfer and closes its passive listener at the same moment: its own word arrives, each time."""
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
    if warnings or any(not text.startswith("550 nothing.here") for text in said):
        raise Failed(f"not the server's own word each time: {note}")
    return note


CELLS = {
    "peers/refused-transfer": refused_transfer,
}
