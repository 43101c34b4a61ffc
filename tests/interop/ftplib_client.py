"""Python's ftplib as a program: ftplib_client.py HOST PORT USER PASSWORD VERB list|upload|download FOLDER ...

ftplib chooses EPSV and EPRT by the address family alone; VERB makes it use either over IPv4 too.
"""

import ftplib
import sys
from pathlib import Path


class Client(ftplib.FTP):
    """An FTP client that uses one verb for its data connections."""

    def __init__(self, verb):
        super().__init__(timeout=20)
        self.verb = verb
        self.set_pasv(verb in ("PASV", "EPSV"))
        self.set_debuglevel(1)

    def makepasv(self):
        if self.verb == "EPSV":
            return ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())
        return super().makepasv()

    def sendport(self, host, port):
        if self.verb == "EPRT":
            return self.sendeprt(host, port)
        return super().sendport(host, port)


def main(host, port, user, password, verb, action, folder, *words):
    client = Client(verb)
    client.connect(host, int(port))
    client.login(user, password)
    if action == "list":
        client.dir(folder)
        client.cwd(folder)
        print(*client.nlst(), sep="\n")
    elif action == "upload":
        for path in map(Path, words):
            with path.open("rb") as source:
                client.storbinary(f"STOR {folder}/{path.name}", source)
    elif action == "download":
        into, *names = words
        for name in names:
            with (Path(into) / name).open("wb") as sink:
                client.retrbinary(f"RETR {folder}/{name}", sink.write)
    client.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
