"""Several things at once: pipelining, mirroring, questions in mid-transfer."""

import contextlib

from clients import Lftp
from further_servers import InetutilsFtpd, NetkitFtpd, ProFtpd, PyFtpdlib
from rawftp import RawFtp, drain
from servers import PureFtpd, Vsftpd
from sessions.frame import Raw, session
from stage import HUGE


@session("pipelined", [Vsftpd, PureFtpd, ProFtpd], Lftp, "PASV", "lftp with sync-mode off mirrors a folder")
def pipelined_mirror(scene):
    scene.program().script(scene.target, "set ftp:sync-mode off", f"mirror pub {scene.into}/copy")


@session("mirror", [InetutilsFtpd, PyFtpdlib], Lftp, "PORT", "lftp mirrors a folder in active mode")
def mirror(scene):
    scene.program().script(scene.target, f"mirror pub {scene.into}/copy")


@session("mirror-up", [Vsftpd], Lftp, "PASV", "lftp mirrors a folder the other way")
def mirror_up(scene):
    folder, _ = scene.stage.upload_folder("recorded")
    scene.program().script(scene.target, f"mirror -R {scene.home}/pub {folder}")


@session("one-segment", [Vsftpd, ProFtpd, NetkitFtpd], Raw, "PASV", "commands in one segment, PASV and RETR among them")
def one_segment(scene):
    with RawFtp("127.0.0.1", scene.target.port) as client:
        client.login()
        client.send("NOOP\r\nPASV\r\nRETR pub/readme.txt\r\nPWD\r\nSYST\r\n")
        client.reply()
        with client.data(client.expect(227)) as data:
            client.reply()
            drain(data)
        for _ in range(3):
            client.reply()
        client.ask("QUIT")


@session("questions-meanwhile", [ProFtpd, PureFtpd, PyFtpdlib, Vsftpd], Raw, "PASV", "NOOP, STAT and PWD in mid-download")
def questions_meanwhile(scene):
    # pure-ftpd answers the first only.
    with RawFtp("127.0.0.1", scene.target.port, 5) as client, contextlib.suppress(TimeoutError):
        client.login()
        with client.retrieve(HUGE) as data:
            drain(data, 1000)
            client.send("NOOP\r\nSTAT\r\nPWD\r\n")
        # The transfer's own reply, and three more.
        for _ in range(4):
            client.reply()
        client.ask("QUIT")
