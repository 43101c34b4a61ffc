"""Early ends: aborts, interrupts, lost clients, a lost tunnel."""

import contextlib
import os
import signal
import subprocess

from clients import Ftplib, Lftp, Tnftp
from further_clients import InetutilsFtp
from further_servers import InetutilsFtpd, NetkitFtpd, ProFtpd, PyFtpdlib
from process import WITH_PARENT, eventually
from rawftp import RawFtp, drain
from servers import PASSWORD, USER, PureFtpd, Vsftpd
from sessions.frame import Raw, ftp, session, until_noop
from stage import HUGE


@session("abort", [PureFtpd, ProFtpd, PyFtpdlib], Ftplib, "PASV", "ABOR, its last byte urgent, in mid-download")
def abort(scene):
    with ftp(scene) as client:
        data = client.transfercmd(f"RETR {HUGE}")
        data.recv(1000)
        # As urgent data, as ftplib's abort() sends it.
        client.sock.sendall(b"ABOR\r\n", 1)
        data.close()
        until_noop(client)
        client.dir("pub", lambda line: None)


@session("abort-unheard", [Vsftpd], Ftplib, "PASV", "ABOR to a server that does not look at it in mid-transfer")
def abort_unheard(scene):
    abort(scene)


@session("abort", [InetutilsFtpd, NetkitFtpd], Ftplib, "PASV", "ABOR, urgent: the server ends the session")
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


@session("interrupted", [ProFtpd, Vsftpd, PureFtpd], Tnftp, "EPSV", "SIGINT for the client in mid-download")
@session("interrupted", [ProFtpd, InetutilsFtpd], InetutilsFtp, "PASV", "SIGINT for the client in mid-download")
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


@session("tunnel-lost", [Vsftpd], Raw, "PASV", "the SSH connection is lost", tunnel=lambda stage: mortal(stage))
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
