"""The frame of the recordings: a session with its name, and the parts of a session."""

import contextlib
import os
from dataclasses import dataclass
from typing import Callable

import ftplib_client
from further_servers import InetutilsFtpd, NetkitFtpd, ProFtpd, PyFtpdlib
from servers import PASSWORD, UID, USER, PureFtpd, Vsftpd

SERVERS = (Vsftpd, PureFtpd, ProFtpd, InetutilsFtpd, PyFtpdlib, NetkitFtpd)
# The files' time, 2024-01-01 12:00 UTC, so that no listing differs from one recording to the next.
TIME = 1704110400


@dataclass
class Session:
    """One recording: `mode` is the client's, `words` say what it shows, `options` and `tunnel` are ferryline's."""

    name: str
    server: type
    client: type
    mode: str
    words: str
    play: Callable
    options: tuple = ()
    tunnel: Callable | None = None


class Raw:
    """The suite's own client, for what no program does on demand."""

    name = "by hand"
    package = None


SESSIONS: list[Session] = []


def session(what, servers, client, mode, words, **more):
    """Records the decorated function with each of the servers."""

    def add(play):
        short = "raw" if client is Raw else client.name
        for server in servers:
            SESSIONS.append(Session(f"{server.name}-{short}-{what}", server, client, mode, words, play, **more))
        return play

    return add


def fill_home(stage):
    """The files of the sessions, with times that do not change."""
    public = stage.home / "pub"
    (public / "sub" / "deeper").mkdir(parents=True)
    (stage.home / "in").mkdir()
    (stage.home / "closed").mkdir()
    for name, size in {"readme.txt": 1000, "data.bin": 100000, "sub/one.txt": 10, "sub/deeper/two.txt": 20}.items():
        (public / name).write_bytes(b"ferryline\n" * (size // 10))
    for path in [*public.rglob("*"), public, stage.home / "in"]:
        os.chown(path, UID, UID)
        os.utime(path, (TIME, TIME))
    (stage.home / "closed").chmod(0o700)


def list_folder(scene):
    scene.program().list_folder(scene.target, "pub")


def upload(scene):
    folder, _ = scene.stage.upload_folder("recorded")
    scene.program().upload(scene.target, [scene.home / "pub" / "readme.txt"], folder)


def download(scene):
    scene.program().download(scene.target, "pub", ["readme.txt"], scene.into)


@contextlib.contextmanager
def ftp(scene, encoding="utf-8"):
    """Python's ftplib, logged in, which says QUIT at the end."""
    client = ftplib_client.Client(verb(scene))
    client.set_debuglevel(0)
    client.encoding = encoding
    client.connect(scene.target.host, scene.target.port)
    try:
        client.login(USER, PASSWORD)
        yield client
        ask(client, "QUIT")
    finally:
        client.close()


def verb(scene):
    return scene.session.mode.removesuffix("6")


def ask(client, command):
    """A command and its reply, whatever that is."""
    client.putcmd(command)
    return client.getmultiline()


def until_noop(client):
    """Reads replies until NOOP is answered: each server decides how many replies an ABOR gets."""
    client.putcmd("NOOP")
    while not client.getmultiline().startswith("200"):
        pass
