"""--passive-ahead: several files on one control connection, and clients that do something else than was expected."""

import socket

import matrix
from clients import MODES, Curl, Ftplib, Lftp, Target
from ferryline import Ferryline
from further_servers import InetutilsFtpd, NetkitFtpd, ProFtpd, PyFtpdlib, PyFtpdlibOld
from layouts import demand_success
from rawftp import RawFtp, drain
from servers import PureFtpd, Vsftpd
from stage import SIZES, Failed

SERVERS = (Vsftpd, PureFtpd, ProFtpd, PyFtpdlib, PyFtpdlibOld, InetutilsFtpd, NetkitFtpd)
# ftplib says TYPE before each request, curl and lftp ask at once.
CLIENTS = ((Ftplib, "PASV"), (Curl, "EPSV"), (Lftp, "PASV"))


def asking(stage, server):
    """The ferryline with the option on, shared by all cells of a server."""
    name = f"ahead-{server.name}"
    if name not in stage._ferrylines:
        log = stage.logs / f"ferryline-{name}.log"
        stage._ferrylines[name] = Ferryline(
            stage.tunnel(), log, server.host, server.port, options=("--passive-ahead",)
        )
    return stage._ferrylines[name]


def files(client, mode, server):
    """All files there and back, each way on one control connection."""

    def play(stage):
        at = stage.server(server)
        host = MODES[mode][0]
        target = Target(host, asking(stage, at).port(host), mode)
        program = client(stage.programs, stage.scratch)
        name = f"ahead-{client.name}-{at.name}"
        mark = at.mark()
        demand_success(stage, program.download(target, "down", list(SIZES), stage.download_folder(name)), name)
        seen = at.verbs_since(mark)
        folder, path = stage.upload_folder(name)
        done = program.upload(target, stage.files, folder)
        if done.code != 0 or (differences := matrix.compare(stage, path)):
            raise Failed(f"ended with {done.code}; {differences if done.code == 0 else ''}", done.text)
        if not seen:
            return ""
        # One for each file, and the one that nobody uses: none was asked for twice.
        if len(seen) > len(SIZES) + 1:
            raise Failed(f"{len(SIZES)} files, and the server was asked {' '.join(seen)}", done.text)
        return f"{len(SIZES)} files: the server was asked {len(seen)} times"

    return play


def otherwise(server):
    """A client that asks for something else than the port that stands ready for it."""

    def play(stage):
        at = stage.server(server)
        folder, path = stage.upload_folder(f"ahead-otherwise-{at.name}")
        with RawFtp("127.0.0.1", asking(stage, at).port()) as client:
            client.login()
            passive(stage, client)
            # The port stands at the server: nothing may be stored through it unasked.
            client.expect(425, f"STOR {folder}/unasked")
            client.expect(250, "CWD down")
            client.expect(250, "CWD /" if client.expect(257, "PWD").split('"')[1] == "/down" else f"CWD {stage.home}")
            passive(stage, client)
            active(stage, client)
            passive(stage, client)
            client.ask("ABOR")
            passive(stage, client)
            client.expect(221, "QUIT")
        if any(path.iterdir()):
            raise Failed("a file was stored that the client had no data connection for")

    return play


def passive(stage, client):
    with client.data(client.expect(227, "PASV")) as data:
        fetch(stage, client, lambda: data)


def active(stage, client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        high, low = divmod(listener.getsockname()[1], 256)
        client.expect(200, f"PORT 127,0,0,1,{high},{low}")
        fetch(stage, client, lambda: listener.accept()[0])


def fetch(stage, client, connect):
    client.send("RETR down/middle.bin\r\n")
    with connect() as data:
        whole = drain(data) == (stage.home / "down" / "middle.bin").read_bytes()
    code, lines = client.reply()
    if code not in (125, 150) or not whole:
        raise Failed(f"{lines}, and the file that came is {'' if whole else 'not '}the file")
    client.expect(226)


CELLS = {
    **{
        f"ahead/{server.name}/{client.name}-{mode}": files(client, mode, server)
        for server in SERVERS
        for client, mode in CLIENTS
    },
    **{f"ahead/otherwise/{server.name}": otherwise(server) for server in SERVERS},
}
