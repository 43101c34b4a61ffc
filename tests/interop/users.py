"""Another local user tries the ports of root's ferryline: data ports and, with --only-user, the forward itself."""

import sys

from ferryline import Ferryline
from netns import entering
from process import run
from rawftp import RawFtp, drain
from servers import Vsftpd
from stage import Failed

# Prints what came, or how it ended.
KNOCK = """
import socket, sys
try:
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
    print(repr(connection.recv(200)))
except OSError as error:
    print(type(error).__name__)
"""


def knock(port, namespace=None):
    """What the user `nobody` gets from this port."""
    become = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    done = run([*entering(namespace), *become, sys.executable, "-c", KNOCK, port])
    if done.code != 0:
        raise Failed("another user could not be played", done.text)
    return done.out.decode().strip()


def data_port(stage):
    """Another user connects to the port of a 227 first, gets a reset, and does not use the port up."""
    server = stage.server(Vsftpd)
    with RawFtp("127.0.0.1", stage.ferryline(server).port()) as client:
        client.login()
        reply = client.expect(227, "PASV")
        high, low = reply[reply.index("(") + 1 : reply.rindex(")")].split(",")[4:]
        got = knock(int(high) * 256 + int(low))
        if got not in ("ConnectionResetError", "b''"):
            raise Failed(f"another user got {got}")
        with client.data(reply) as data:
            client.expect(150, "RETR down/middle.bin")
            whole = drain(data) == (stage.home / "down" / "middle.bin").read_bytes()
        client.expect(226)
    if not whole:
        raise Failed("the file that came is not the file")
    return f"another user: {got}; the file came whole"


def only_user(stage):
    """With --only-user another user gets 421 and the reason, root is served."""
    server = stage.server(Vsftpd)
    options = ("--only-user", "root")
    ferryline = Ferryline(stage.tunnel(), stage.logs / "ferryline-only-user.log", port=server.port, options=options)
    try:
        got = knock(ferryline.port())
        if not got.startswith("b'421 ferryline: "):
            raise Failed(f"another user got {got}")
        with RawFtp("127.0.0.1", ferryline.port()) as client:
            client.login()
            with client.retrieve("down/middle.bin") as data:
                whole = drain(data) == (stage.home / "down" / "middle.bin").read_bytes()
            client.expect(226)
    finally:
        ferryline.stop()
    if not whole:
        raise Failed("the file that came is not the file")
    return got


CELLS = {
    "users/data-port": data_port,
    "users/only-user": only_user,
}
