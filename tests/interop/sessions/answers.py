"""Commands and their answers: files and folders, questions, names, refusals, errors."""

import contextlib
import ftplib
import subprocess

from clients import Curl, Ftplib, Lftp, Tnftp
from further_clients import Wget
from further_servers import InetutilsFtpd, NetkitFtpd, ProFtpd, PyFtpdlib
from rawftp import RawFtp
from servers import PASSWORD, USER, PureFtpd, Vsftpd
from sessions.frame import SERVERS, Raw, ask, ftp, session

WRONG_PASSWORD = "under-the-water"


@session("files", SERVERS, Ftplib, "PASV", "folders and files are made, renamed, asked about and removed")
def files(scene):
    with ftp(scene) as client:
        client.cwd("up")
        for request in (
            lambda: client.mkd("folder"),
            lambda: client.cwd("folder"),
            client.pwd,
            lambda: client.storlines("STOR a.txt", open(scene.home / "pub" / "readme.txt", "rb")),
            lambda: client.size("a.txt"),
            lambda: client.sendcmd("SITE CHMOD 600 a.txt"),
            lambda: client.rename("a.txt", "b.txt"),
            client.nlst,
            lambda: client.storlines("STOU", open(scene.home / "pub" / "sub" / "one.txt", "rb")),
            lambda: client.delete("b.txt"),
            lambda: client.cwd(".."),
            lambda: client.rmd("folder"),
        ):
            with contextlib.suppress(Exception):
                request()
    # The server chooses the name for STOU.
    subprocess.run(["rm", "-rf", scene.home / "up" / "folder"], check=True)


@session("questions", SERVERS, Ftplib, "PASV", "FEAT, HELP, STAT, SYST and what else is answered without data")
def questions(scene):
    with ftp(scene) as client:
        for command in ("FEAT", "SYST", "HELP", "STAT", "STAT pub", "MLST pub/readme.txt", "MDTM pub/readme.txt"):
            ask(client, command)
        for command in ("SIZE pub/readme.txt", "OPTS UTF8 ON", "NOOP", "ALLO 1000", "STRU F", "MODE S", "ACCT x"):
            ask(client, command)


@session("refused", [Vsftpd, ProFtpd], Ftplib, "PASV", "what ferryline answers itself")
def refused(scene):
    with ftp(scene) as client:
        for command in ("AUTH TLS", "PBSZ 0", "PROT P", "CCC", "LPSV", "LPRT 4,4,127,0,0,1,2,200,1", "EPSV 2"):
            ask(client, command)
        for command in ("PORT 192,0,2,1,200,1", "EPRT |1|192.0.2.1|51201|", "PORT 127,0,0,1,0,25"):
            ask(client, command)
        for command in ("PORT 1,2,3", "EPRT |2|::1|51201|", "EPSV 3"):
            ask(client, command)
        ask(client, "PWD")


@session("epsv-all", [ProFtpd, InetutilsFtpd, Vsftpd], Ftplib, "EPSV", "after EPSV ALL nothing but EPSV is taken")
def epsv_all(scene):
    with ftp(scene) as client:
        ask(client, "EPSV ALL")
        ask(client, "PASV")
        ask(client, "PORT 127,0,0,1,200,1")
        client.dir("pub", lambda line: None)


@session("again", [PureFtpd, ProFtpd, InetutilsFtpd], Ftplib, "PASV", "REIN, and the log-in once more")
def log_in_again(scene):
    with ftp(scene) as client:
        ask(client, "PASV")
        ask(client, "REIN")
        ask(client, f"USER {USER}")
        ask(client, f"PASS {PASSWORD}")
        ask(client, "PWD")


@session("many-passive", [Vsftpd, PyFtpdlib], Ftplib, "PASV", "PASV three times and EPSV once: the last one counts")
def many_passive(scene):
    with ftp(scene) as client:
        for command in ("PASV", "PASV", "EPSV", "PASV"):
            ask(client, command)
        client.dir("pub", lambda line: None)


@session("names", [Vsftpd, ProFtpd, PyFtpdlib], Ftplib, "PASV", "names in UTF-8: a folder, a file, a listing of them")
def utf8_names(scene):
    names(scene, "utf-8")


@session("latin1", [Vsftpd, InetutilsFtpd], Ftplib, "PASV", "names in Latin-1, among them one that ends in 0xFF")
def latin1_names(scene):
    names(scene, "latin-1")


def names(scene, encoding):
    with ftp(scene, encoding) as client:
        client.cwd("up")
        client.mkd("Fähre")
        client.cwd("Fähre")
        for name in ("Überfahrt.txt", "naïve ÿ", "two  blanks.txt"):
            client.storbinary(f"STOR {name}", open(scene.home / "pub" / "sub" / "one.txt", "rb"))
            client.delete(name)
        # Some servers answer 550 where there is nothing to list.
        with contextlib.suppress(ftplib.error_perm):
            client.nlst()
        client.cwd("..")
        client.rmd("Fähre")


@session("url-escapes", [PureFtpd], Curl, "PASV", "a name in UTF-8 out of a URL")
def url_escapes(scene):
    curl = scene.program()
    curl.execute(scene.target, curl.command(scene.target) + [f"{scene.target.url}/pub/%C3%9Cberfahrt.txt"])


@session("no-such-file", [Vsftpd, PureFtpd, ProFtpd], Curl, "EPSV", "a file that is not there is fetched")
@session("no-such-file", [InetutilsFtpd], Tnftp, "PORT", "a file that is not there is fetched")
@session("no-such-file", [PyFtpdlib], Lftp, "PASV", "a file that is not there is fetched")
@session("no-such-file", [NetkitFtpd], Wget, "PASV", "a file that is not there is fetched")
def no_such_file(scene):
    scene.program().download(scene.target, "pub", ["no-such-file"], scene.into)


@session("not-allowed", [Vsftpd, ProFtpd], Ftplib, "PORT", "uploads and listings that the server does not permit")
@session("not-allowed", [PyFtpdlib], Ftplib, "PASV", "uploads and listings that the server does not permit")
def not_allowed(scene):
    with ftp(scene) as client:
        for request in (
            lambda: client.storbinary("STOR closed/x", open(scene.home / "pub" / "readme.txt", "rb")),
            lambda: client.retrlines("LIST closed/", lambda line: None),
            lambda: client.cwd("closed"),
            lambda: client.delete("closed/x"),
            lambda: client.retrbinary("RETR pub", lambda data: None),
        ):
            with contextlib.suppress(Exception):
                request()


@session("wrong-password", SERVERS, Curl, "EPSV", "the log-in is refused")
def wrong_password(scene):
    curl = scene.program()
    url = scene.target.url.replace(PASSWORD, WRONG_PASSWORD)
    curl.execute(scene.target, curl.command(scene.target) + [f"{url}/pub/"])


@session("wrong-order", [Vsftpd, PureFtpd, PyFtpdlib], Raw, "PASV", "commands before the log-in, unknown verbs")
def wrong_order(scene):
    with RawFtp("127.0.0.1", scene.target.port) as client:
        client.expect(220)
        for command in ("PASV", "RETR x", "PASS nobody-asked"):
            client.ask(command)
        client.ask(f"USER {USER}")
        client.ask(f"PASS {PASSWORD}")
        for command in ("RETR pub/readme.txt", "XYZZY", "RNTO x", "REST x", "QUIT"):
            client.ask(command)
