"""Data goes where the control connection went, whatever a name stands for besides."""

import contextlib
import socket
import threading

from ferryline import Ferryline
from netns import inside
from rawftp import RawFtp, drain
from servers import Vsftpd
from stage import Failed

FILE = "down/middle.bin"
# The one port that the FTP server uses for data, so that a thief can wait there.
DATA_PORT = 41210


class VsftpdOnePort(Vsftpd):
    """vsftpd on 127.0.0.1, with one passive port, which everybody on its host can know."""

    name = "vsftpd-one-port"
    usual_port = 2127
    extra = f"{Vsftpd.extra}pasv_min_port={DATA_PORT}\npasv_max_port={DATA_PORT}\n"


class Thief:
    """Another program of the SSH host: it listens on ::1, at the FTP server's data port, and has a forgery to give."""

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
    """The key may open forwards to the FTP server's host and nothing else, as in README."""

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


CELLS = {
    "route/other-family": other_family,
    "route/restricted-key-address": restricted_key("127.0.0.1", 0),
    "route/restricted-key-name": restricted_key("localhost", 1),
}
