"""What is recorded: each client with each server, and then what has a session of its own to show.

A further session is one more function here, under the name of what it shows.
"""

import contextlib
import ftplib
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import Callable

import ftplib_client
from clients import Curl, Ftplib, Lftp, LftpTls, Tnftp
from further_clients import InetutilsFtp, NcFtp, Wget
from further_servers import InetutilsFtpd, NetkitFtpd, ProFtpd, PyFtpdlib, PyFtpdlibOld
from process import WITH_PARENT, eventually
from rawftp import RawFtp, drain
from servers import PASSWORD, UID, USER, PureFtpd, Vsftpd, VsftpdDualStack, VsftpdFar
from stage import HUGE

SERVERS = (Vsftpd, PureFtpd, ProFtpd, InetutilsFtpd, PyFtpdlib, NetkitFtpd)
CLIENTS = (Curl, Lftp, Tnftp, InetutilsFtp, NcFtp, Wget, Ftplib)
# The files' time, so that no listing differs from one recording to the next: 2024-01-01 12:00 UTC.
TIME = 1704110400
WRONG_PASSWORD = "under-the-water"


@dataclass
class Session:
    """One recording: `mode` is what the client is told, `words` what it shows, `options` and `tunnel` are ferryline's."""

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
    """Has the function below it recorded with each of the servers."""

    def add(play):
        short = "raw" if client is Raw else client.name
        for server in servers:
            SESSIONS.append(Session(f"{server.name}-{short}-{what}", server, client, mode, words, play, **more))
        return play

    return add


def fill_home(stage):
    """The files that sessions deal with, with times that do not change."""
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


# Each client with each server


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


def list_folder(scene):
    scene.program().list_folder(scene.target, "pub")


def upload(scene):
    folder, _ = scene.stage.upload_folder("recorded")
    scene.program().upload(scene.target, [scene.home / "pub" / "readme.txt"], folder)


def download(scene):
    scene.program().download(scene.target, "pub", ["readme.txt"], scene.into)


ACTIONS = {"list": list_folder, "upload": upload, "download": download}
SESSIONS += pairs()


# Over IPv6, and to a server that is reached over it


@session("ipv6-passive", [Vsftpd, NetkitFtpd], Curl, "EPSV6", "the client comes over ::1, the server is on 127.0.0.1")
@session("ipv6-passive", [PureFtpd], Tnftp, "EPSV6", "the client comes over ::1, the server is on 127.0.0.1")
@session("ipv6-active", [Vsftpd], Lftp, "EPRT6", "the client comes over ::1 and names '::' as its address")
@session("ipv6-active", [InetutilsFtpd], Ftplib, "EPRT6", "the client comes over ::1, the server is on 127.0.0.1")
@session("ipv6-active", [PyFtpdlibOld], Ftplib, "EPRT6", "EPRT over ::1, to a server that knows PORT only")
@session("dual-stack-passive", [VsftpdDualStack], Ftplib, "PASV", "reached over ::1, its 227 says 0,0,0,0")
@session("dual-stack-active", [VsftpdDualStack], Curl, "PORT", "reached over ::1, it refuses PORT and takes EPRT ::1")
@session("dual-stack-active", [VsftpdDualStack], Tnftp, "EPRT", "reached over ::1, it refuses both forms for 127.0.0.1")
@session("both-on-ipv6", [VsftpdDualStack], Curl, "EPRT6", "client and server both over ::1")
def fetch(scene):
    download(scene)


# EPSV and EPRT that a server does not know


@session("no-epsv", [PyFtpdlibOld], Curl, "EPSV", "EPSV is asked again as PASV, and the next session knows that")
@session("no-epsv", [PyFtpdlibOld], Tnftp, "EPSV", "EPSV is asked again as PASV, and the next session knows that")
@session("no-eprt", [PyFtpdlibOld], Curl, "EPRT", "EPRT is asked again as PORT, and the next session knows that")
def twice(scene):
    download(scene)
    download(scene)


# Going on where a file was left


@session("resume-download", [Vsftpd, ProFtpd, PureFtpd], Curl, "EPSV", "the rest of a file of which the beginning is there")
def resume_curl(scene):
    part = scene.into / "data.bin"
    part.write_bytes(b"ferryline\n" * 5000)
    curl = scene.program()
    curl.execute(scene.target, curl.command(scene.target) + ["-C", "-", "-o", str(part), f"{scene.target.url}/pub/data.bin"])


@session("resume-download", [Vsftpd, InetutilsFtpd], Lftp, "PASV", "the rest of a file of which the beginning is there")
def resume_lftp(scene):
    part = scene.into / "data.bin"
    part.write_bytes(b"ferryline\n" * 5000)
    scene.program().script(scene.target, "set xfer:clobber no", f"get -c pub/data.bin -o {part}")


@session("resume-download", [PyFtpdlib, PureFtpd], Wget, "PASV", "the rest of a file of which the beginning is there")
def resume_wget(scene):
    (scene.into / "data.bin").write_bytes(b"ferryline\n" * 5000)
    wget = scene.program()
    wget.execute(scene.target, wget.command(scene.target, "-c", "-P", scene.into, f"{scene.target.url}/pub/data.bin"))


@session("resume-upload", [Vsftpd, ProFtpd], Curl, "EPSV", "a file is appended to: SIZE, then APPE")
def resume_upload(scene):
    folder, path = scene.stage.upload_folder("recorded")
    (path / "data.bin").write_bytes(b"ferryline\n" * 5000)
    os.chown(path / "data.bin", UID, UID)
    curl, source = scene.program(), scene.home / "pub" / "data.bin"
    url = f"{scene.target.url}/{folder}/data.bin"
    curl.execute(scene.target, curl.command(scene.target) + ["-C", "-", "-T", str(source), url])


@session("range", [Vsftpd, PyFtpdlib, PureFtpd], Curl, "EPSV", "a part of a large file: the client goes when it has it")
def part_of_a_file(scene):
    curl = scene.program()
    curl.execute(scene.target, curl.command(scene.target) + ["-r", "0-99", "-o", "/dev/null", f"{scene.target.url}/{HUGE}"])


# Everything but data


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
    # What STOU was called is the server's choice.
    subprocess.run(["rm", "-rf", scene.home / "up" / "folder"], check=True)


@session("questions", SERVERS, Ftplib, "PASV", "FEAT, HELP, STAT, SYST and what else is answered without data")
def questions(scene):
    with ftp(scene) as client:
        for command in ("FEAT", "SYST", "HELP", "STAT", "STAT pub", "MLST pub/readme.txt", "MDTM pub/readme.txt"):
            ask(client, command)
        for command in ("SIZE pub/readme.txt", "OPTS UTF8 ON", "NOOP", "ALLO 1000", "STRU F", "MODE S", "ACCT x", "NONSENSE"):
            ask(client, command)


@session("refused", [Vsftpd, ProFtpd], Ftplib, "PASV", "what ferryline answers itself: AUTH, LPSV, LPRT, bounces, odd families")
def refused(scene):
    with ftp(scene) as client:
        for command in ("AUTH TLS", "PBSZ 0", "PROT P", "CCC", "LPSV", "LPRT 4,4,127,0,0,1,2,200,1", "EPSV 2", "EPSV 3"):
            ask(client, command)
        for command in ("PORT 192,0,2,1,200,1", "EPRT |1|192.0.2.1|51201|", "PORT 127,0,0,1,0,25", "PORT 1,2,3", "EPRT |2|::1|51201|"):
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


# What fails


@session("no-such-file", [Vsftpd, PureFtpd, ProFtpd], Curl, "EPSV", "a file that is not there is fetched, a folder listed")
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


@session("wrong-order", [Vsftpd, PureFtpd, PyFtpdlib], Raw, "PASV", "commands before the log-in, RETR without PASV, unknown verbs")
def wrong_order(scene):
    with RawFtp("127.0.0.1", scene.target.port) as client:
        client.expect(220)
        for command in ("PASV", "RETR x", "PASS nobody-asked"):
            client.ask(command)
        client.ask(f"USER {USER}")
        client.ask(f"PASS {PASSWORD}")
        for command in ("RETR pub/readme.txt", "XYZZY", "RNTO x", "REST x", "QUIT"):
            client.ask(command)


@session("no-remote-forward", [Vsftpd], Curl, "PORT", "sshd does not allow remote forwards", tunnel=lambda stage: local_only(stage))
def no_remote_forward(scene):
    scene.program().list_folder(scene.target, "pub")


def local_only(stage):
    port = 2205
    stage.sshd("sshd-local-only", ["AllowTcpForwarding local"], port)
    return stage.tunnel(port)


@session("third-host", [VsftpdFar], Curl, "EPSV", "the server is behind the SSH host", options=("--data-host", "reply"))
@session("third-host", [VsftpdFar], Ftplib, "PASV", "the server is behind the SSH host", options=("--data-host", "auto"))
@session("third-host", [VsftpdFar], Tnftp, "PORT", "active mode to a server behind the SSH host")
def third_host(scene):
    download(scene)


# Ends before the end


@session("abort", [PureFtpd, ProFtpd, PyFtpdlib], Ftplib, "PASV", "ABOR, its last byte urgent, in mid-download")
def abort(scene):
    with ftp(scene) as client:
        data = client.transfercmd(f"RETR {HUGE}")
        data.recv(1000)
        # As ftplib's abort() does it: urgent.
        client.sock.sendall(b"ABOR\r\n", 1)
        data.close()
        until_noop(client)
        client.dir("pub", lambda line: None)


@session("abort-unheard", [Vsftpd], Ftplib, "PASV", "ABOR to a server that does not look at it in mid-transfer")
def abort_unheard(scene):
    abort(scene)


@session("abort", [InetutilsFtpd, NetkitFtpd], Ftplib, "PASV", "ABOR, its last byte urgent: the server ends the session")
def abort_ends_all(scene):
    with contextlib.suppress(EOFError):
        abort(scene)


@session("abort-upload", [ProFtpd, PyFtpdlib, Vsftpd], Ftplib, "PORT", "ABOR in mid-upload, in active mode")
def abort_upload(scene):
    with ftp(scene) as client:
        data = client.transfercmd("STOR up/aborted.bin")
        data.sendall(bytes(1000))
        client.sock.sendall(b"ABOR\r\n")
        data.close()
        until_noop(client)


@session("abort-idle", [Vsftpd, PureFtpd, ProFtpd], Raw, "PASV", "ABOR with nothing to abort, and after PASV")
def abort_idle(scene):
    with RawFtp("127.0.0.1", scene.target.port) as client:
        client.login()
        client.ask("ABOR")
        client.ask("PASV")
        client.ask("ABOR")
        client.ask("QUIT")


@session("interrupted", [ProFtpd, Vsftpd, PureFtpd], Tnftp, "EPSV", "the client is interrupted (SIGINT) in mid-download")
@session("interrupted", [ProFtpd, InetutilsFtpd], InetutilsFtp, "PASV", "the client is interrupted (SIGINT) in mid-download")
def interrupted(scene):
    client, got = scene.program(), scene.into / "got.bin"
    if isinstance(client, Tnftp):
        argv = [str(client.programs / "tnftp/usr/bin/tnftp"), "-d", "-v", "-i", "-n", "-p"]
    else:
        argv = client.argv(scene.target)
    lines = [f"open {scene.target.host} {scene.target.port}", f"user {USER} {PASSWORD}", "binary", f"get {HUGE} {got}"]
    child = subprocess.Popen(
        WITH_PARENT + argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(client.home), "PATH": os.environ["PATH"], "TERM": "dumb"},
    )
    try:
        child.stdin.write("".join(f"{line}\n" for line in lines).encode())
        child.stdin.flush()
        eventually(lambda: got.exists() and got.stat().st_size > 0, 20, "the download to begin")
        child.send_signal(signal.SIGINT)
        child.stdin.write(b"pwd\nbye\n")
        child.stdin.close()
        child.wait(30)
    finally:
        child.kill()
        child.wait()


@session("killed-job", [ProFtpd, Vsftpd], Lftp, "PASV", "a download in lftp's background is killed, then a listing")
def killed_job(scene):
    got = scene.into / "got.bin"
    wait = f"!while ! test -s {got}; do sleep 0.1; done"
    scene.program().script(scene.target, f"get {HUGE} -o {got} &", wait, "kill all", "ls pub")


@session("client-lost", [Vsftpd, PyFtpdlib], Raw, "PASV", "the client is gone in mid-download, without a word")
def client_lost(scene):
    with RawFtp("127.0.0.1", scene.target.port) as client:
        client.login()
        with client.retrieve(HUGE) as data:
            drain(data, 1000)


@session("half-closed", [Vsftpd, ProFtpd], Raw, "PASV", "the client says QUIT, unterminated, and closes its side")
def half_closed(scene):
    with RawFtp("127.0.0.1", scene.target.port) as client:
        client.login()
        client.send("PWD\r\nQUIT")
        client.control.shutdown(1)
        client.expect(257)
        with contextlib.suppress(ConnectionError):
            client.reply()


@session("tunnel-stopped", [Vsftpd], Raw, "PASV", "ferryline is asked to stop while a client is logged in")
def tunnel_stopped(scene):
    with RawFtp("127.0.0.1", scene.target.port) as client:
        client.login()
        client.ask("PASV")
        scene.ferryline.terminate()
        client.reply()
        scene.ferryline.child.wait(30)


@session("tunnel-lost", [Vsftpd], Raw, "PASV", "the SSH connection is lost in mid-download", tunnel=lambda stage: mortal(stage))
def tunnel_lost(scene):
    with RawFtp("127.0.0.1", scene.target.port) as client:
        client.login()
        with client.retrieve(HUGE) as data:
            drain(data, 1000)
            next(sshd for sshd in scene.stage._sshds if sshd.name == "sshd-mortal").kill_sessions()
            with contextlib.suppress(ConnectionError):
                drain(data)
        with contextlib.suppress(ConnectionError):
            client.reply()


def mortal(stage):
    port = 2206
    stage.sshd("sshd-mortal", (), port)
    return stage.tunnel(port)


# Several at once


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
        # The transfer's own reply, and three.
        for _ in range(4):
            client.reply()
        client.ask("QUIT")


@session("auth-tls", [Vsftpd, ProFtpd, PyFtpdlib], LftpTls, "PASV", "lftp as it comes: AUTH TLS first, in clear when refused")
def auth_tls(scene):
    list_folder(scene)


# Servers set up otherwise


BANNER = "Welcome to the ferry.\n227 is a code, and so is (10,1,2,3,4,5).\n\n220 files.\n"


class VsftpdBanner(Vsftpd):
    name = "vsftpd-banner"
    usual_port = 2151

    def command(self):
        banner = self.place.scratch / "banner"
        banner.write_text(BANNER)
        argv = super().command()
        argv[-1].write_text(argv[-1].read_text() + f"banner_file={banner}\n")
        return argv


class ProFtpdBanner(ProFtpd):
    name = "proftpd-banner"
    usual_port = 2153

    @property
    def extra(self):
        banner = self.place.scratch / "proftpd.banner"
        banner.write_text(BANNER)
        return f"DisplayConnect {banner}\nMultilineRFC2228 on\n"


class ProFtpdModeZ(ProFtpd):
    name = "proftpd-mode-z"
    usual_port = 2155
    extra = "LoadModule mod_deflate.c\nDeflateEngine on\n"


class PyFtpdlibBanner(PyFtpdlib):
    name = "pyftpdlib-banner"
    usual_port = 2157
    banner = BANNER.rstrip()


class VsftpdNoEpsv(Vsftpd):
    name = "vsftpd-denied"
    usual_port = 2159
    extra = Vsftpd.extra + "cmds_denied=EPSV,EPRT,STAT\n"


class VsftpdTlsOnly(Vsftpd):
    """Insists on TLS, which cannot be had through ferryline."""

    name = "vsftpd-tls"
    usual_port = 2161

    def command(self):
        certificate = self.place.scratch / "vsftpd.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ftp.example", "-days", "2"]
            + ["-keyout", certificate, "-out", certificate],
            check=True,
            capture_output=True,
        )
        argv = super().command()
        tls = f"ssl_enable=YES\nrsa_cert_file={certificate}\nforce_local_logins_ssl=YES\nforce_local_data_ssl=YES\n"
        argv[-1].write_text(argv[-1].read_text() + tls)
        return argv


@session("greeting", [VsftpdBanner, ProFtpdBanner, PyFtpdlibBanner], Curl, "EPSV", "a greeting of several lines")
@session("greeting", [VsftpdBanner, ProFtpdBanner], Lftp, "PASV", "a greeting of several lines")
@session("mode-z", [ProFtpdModeZ], Lftp, "PASV", "lftp finds MODE Z and uses it")
@session("epsv-denied", [VsftpdNoEpsv], Curl, "EPSV", "EPSV is answered 550")
@session("eprt-denied", [VsftpdNoEpsv], Curl, "EPRT", "EPRT is answered 550")
@session("insists", [VsftpdTlsOnly], Curl, "EPSV", "the server wants TLS, ferryline lets none through")
@session("insists", [VsftpdTlsOnly], LftpTls, "PASV", "the server wants TLS, ferryline lets none through")
def as_set_up(scene):
    download(scene)


# Helpers


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
    """Reads replies until NOOP is answered: how many an ABOR has is every server's own affair."""
    client.putcmd("NOOP")
    while not client.getmultiline().startswith("200"):
        pass
