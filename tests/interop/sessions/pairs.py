"""Each client with each server."""

from clients import Curl, Ftplib, Lftp, Tnftp
from further_clients import InetutilsFtp, NcFtp, Wget
from sessions.frame import SERVERS, SESSIONS, Session, download, list_folder, upload

CLIENTS = (Curl, Lftp, Tnftp, InetutilsFtp, NcFtp, Wget, Ftplib)


def pairs():
    """Two sessions of each pair, one passive and one active; the verbs and the things to do take turns."""
    for row, server in enumerate(SERVERS):
        for column, client in enumerate(CLIENTS):
            turn = row + column
            for active, modes in enumerate((("EPSV", "PASV"), ("EPRT", "PORT"))):
                wanted = modes[turn % 2]
                mode = wanted if wanted in client.can and (client.name, wanted) not in server.beyond else modes[1]
                action = client.actions[(turn + active) % len(client.actions)]
                yield Session(
                    f"{server.name}-{client.name}-{mode.lower()}-{action}",
                    server,
                    client,
                    mode,
                    {"list": "a folder is listed", "upload": "a file is sent", "download": "a file is fetched"}[action],
                    ACTIONS[action],
                )


ACTIONS = {"list": list_folder, "upload": upload, "download": download}
SESSIONS.extend(pairs())
