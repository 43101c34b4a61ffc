"""Uploads by clients that wait for nothing: stored whole, as over one TCP stream, or reported to the client as
failed."""

import os
import socket
import struct
import time

from further_servers import InetutilsFtpd, ProFtpd, PyFtpdlib
from process import run
from rawftp import RawFtp
from servers import PASSWORD, USER, PureFtpd, Vsftpd
from stage import Failed

# Rare orders show in many runs only.
TIMES = int(os.environ.get("FERRYLINE_TIMES", "10"))
SMALL = b"x" * 1000
LARGE = b"x" * 8_000_000
SERVERS = (Vsftpd, PureFtpd, ProFtpd, PyFtpdlib, InetutilsFtpd)
# How long a server may take to see the end of an upload.
PATIENCE = 20


def quit_at_once(client, path):
    """Sends QUIT after the last byte, and closes."""
    data = client.data(client.expect(227, "PASV"))
    client.send(f"STOR {path}\r\n")
    begun(client)
    data.sendall(SMALL)
    data.close()
    client.send("QUIT\r\n")
    return SMALL


def close_at_once(client, path):
    """Closes after the last byte."""
    data = client.data(client.expect(227, "PASV"))
    client.send(f"STOR {path}\r\n")
    begun(client)
    data.sendall(SMALL)
    data.close()
    return SMALL


def quit_behind(client, path):
    """Connects its data connection and sends QUIT directly behind the STOR. pyftpdlib closes its port on that."""
    data = client.data(client.expect(227, "PASV"))
    client.send(f"STOR {path}\r\nQUIT\r\n")
    data.sendall(SMALL)
    begun(client)
    data.close()
    return SMALL


def begun(client):
    code, lines = client.reply()
    if not 100 <= code < 200:
        raise Failed(f"STOR: {lines}")


def reset_at_once(client, path):
    """Resets its control connection after the last byte, with the 150 unread."""
    data = client.data(client.expect(227, "PASV"))
    client.send(f"STOR {path}\r\n")
    data.sendall(LARGE)
    data.close()
    client.control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return LARGE


def uploads(kind, play):
    """The upload runs many times; the server has to have all of it each time."""

    def cell(stage):
        server = stage.server(kind)
        port = stage.ferryline(server).port()
        name, folder = stage.upload_folder(f"order-{play.__name__}-{kind.name}")
        wrong = []
        for number in range(TIMES):
            with RawFtp("127.0.0.1", port) as client:
                expected = play(client.login(), f"{name}/{number}")
            found = stored(folder / str(number), len(expected))
            if found != len(expected):
                wrong.append(found)
        if wrong:
            raise Failed(f"{len(wrong)} of {TIMES} were not whole: {wrong} of {len(expected)} bytes")
        return f"{TIMES} of {TIMES} whole"

    return cell


def stored(path, expected):
    """The number of bytes of a file that the server has, once it is the expected number or the time is up."""
    until = time.monotonic() + PATIENCE
    size = None
    while size != expected and time.monotonic() < until:
        time.sleep(0.01)
        size = path.stat().st_size if path.exists() else None
    return size


CELLS = {
    f"order/{play.__name__.replace('_', '-')}/{kind.name}": uploads(kind, play)
    for play in (quit_at_once, close_at_once, quit_behind, reset_at_once)
    for kind in SERVERS
}
