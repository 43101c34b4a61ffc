"""sshd ends channels on which no data moves (ChannelTimeout): its client gets no success for a paused transfer."""

import socket
import time
from contextlib import contextmanager

from ferryline import Ferryline
from rawftp import RawFtp, drain
from servers import Vsftpd
from stage import Failed

PIECE = b"x" * 100_000
LIMIT = 1


@contextmanager
def timing_out(stage, name):
    """A ferryline whose sshd times data connections out, and the folder of its FTP server: its path and itself.

    In active mode only: the control connection has a channel of another kind, and stays open."""
    port = 2206
    sshd = stage.sshd(f"sshd-{name}", [f"ChannelTimeout forwarded-tcpip={LIMIT}s"], port)
    server = stage.server(Vsftpd)
    ferryline = Ferryline(stage.tunnel(port), stage.logs / f"ferryline-{name}.log", port=server.port)
    try:
        yield ferryline, *stage.upload_folder(name)
    finally:
        ferryline.stop()
        sshd.stop()


def paused_upload(stage):
    said = []
    with timing_out(stage, "timed-out-upload") as (ferryline, name, folder):
        for go_on in (True, False):
            for beginning in (b"", PIECE):
                with RawFtp("127.0.0.1", ferryline.port()) as client:
                    said.append(upload(client.login(), f"{name}/f", folder / "f", beginning, go_on))
    return "; ".join(said)


def upload(client, path, stored, beginning, go_on):
    """An upload that pauses for longer than sshd allows, and goes on or ends; returns the replies to the client."""
    with begin(client, f"STOR {path}") as data:
        data.sendall(beginning)
        time.sleep(LIMIT * 3)
        size = stored.stat().st_size
        try:
            if go_on:
                data.sendall(PIECE)
            data.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        code, lines = client.reply()
    whole = len(beginning) + (len(PIECE) if go_on else 0)
    # An empty file is always stored whole.
    if code < 300 and whole > 0:
        raise Failed(f"the client was told {lines} of {whole} bytes, the server has {stored.stat().st_size} (and had {size})")
    client.expect(200, "NOOP")
    return f"{code} where {size} of {whole} B were stored"


def begin(client, command):
    """Starts a transfer in active mode; returns its data connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        high, low = divmod(listener.getsockname()[1], 256)
        client.expect(200, f"PORT 127,0,0,1,{high},{low}")
        client.expect(150, command)
        listener.settimeout(10)
        data, _ = listener.accept()
    return data


def paused_download(stage):
    size = 64 << 20
    said = []
    with timing_out(stage, "timed-out-download") as (ferryline, name, folder):
        (folder / "f").write_bytes(bytes(size))
        for begun in (0, 1 << 20):
            for half_closed in (False, True):
                with RawFtp("127.0.0.1", ferryline.port()) as client:
                    said.append(download(client.login(), f"{name}/f", size, begun, half_closed))
    return "; ".join(said)


def download(client, path, size, begun, half_closed):
    """A download that pauses for longer than sshd allows; checks the client's data and replies."""
    data = begin(client, f"RETR {path}")
    with data:
        drain(data, begun)
        if half_closed:
            data.shutdown(socket.SHUT_WR)
        time.sleep(LIMIT * 3)
        ended = "an end of file"
        try:
            drain(data)
        except ConnectionResetError:
            ended = "a reset"
    code, lines = client.reply()
    if code < 300 or ended != "a reset":
        raise Failed(f"{half_closed=}: of {size} B came not all, with {ended}, and the client was told {lines}")
    client.expect(200, "NOOP")
    return f"{code} and {ended}"


CELLS = {"lost/timed-out-upload": paused_upload, "lost/timed-out-download": paused_download}
