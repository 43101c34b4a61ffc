"""The tunnel is lost, or is stopped, while data moves: no short file may look whole."""

import subprocess

from clients import Curl, Target
from ferryline import Ferryline
from process import eventually
from rawftp import RawFtp, drain
from servers import Vsftpd
from stage import HUGE, HUGE_SIZE, SIZES, Failed

MIB = 1024 * 1024


def sshd_killed(stage):
    """The processes that serve SSH are killed in mid-download, in the middle of a file far larger than all buffers."""
    port = 2204
    sshd = stage.sshd("sshd-killed", (), port)
    server = stage.server(Vsftpd)
    ferryline = Ferryline(stage.tunnel(port), stage.logs / "ferryline-killed.log", port=server.port)
    try:
        target = Target("127.0.0.1", ferryline.port(), "EPSV")
        curl_is_told(target, sshd)
        raw_client_is_told(target, sshd)
        demand_working(stage, target, "with sshd's listener still there")

        # All of sshd is killed; a client that connects meanwhile gets a reply within the time ferryline waits for a
        # session.
        sshd.kill_all()
        with RawFtp(target.host, target.port) as client:
            try:
                code, lines = client.reply()
                refusal = lines[0]
            except ConnectionError as error:
                code, refusal = 421, str(error)
        if code != 421:
            raise Failed(f"without an sshd the client was greeted with {refusal}")

        sshd.start()
        eventually(lambda: is_working(stage, target), 30, "ferryline to find the new sshd")
        return f"curl and a raw client saw errors; meanwhile: {refusal}; afterwards it works again"
    finally:
        ferryline.stop()
        sshd.stop()


def curl_is_told(target, sshd):
    curl = subprocess.Popen(
        ["curl", "--silent", "--show-error", "--noproxy", "*", "--output", "-", f"{target.url}/{HUGE}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        got = len(curl.stdout.read(MIB))
        sshd.kill_sessions()
        while chunk := curl.stdout.read(MIB):
            got += len(chunk)
        said = curl.stderr.read().decode()
        code = curl.wait(30)
    finally:
        curl.kill()
        curl.wait()
    if got >= HUGE_SIZE:
        raise Failed("the download was over before sshd was killed; the test needs a larger file")
    if code == 0:
        raise Failed(f"curl took {got} bytes of {HUGE_SIZE} for the whole file")
    if not said:
        raise Failed(f"curl ended with code {code} and said nothing")


def raw_client_is_told(target, sshd):
    """The data connection itself: it has to be reset, because EOF means a whole file."""
    with RawFtp(target.host, target.port) as client:
        client.login()
        with client.retrieve(HUGE) as data:
            drain(data, MIB)
            sshd.kill_sessions()
            try:
                drain(data)
                raise Failed("the data connection ended like that of a whole file")
            except ConnectionResetError:
                pass
        try:
            code, lines = client.reply()
        except ConnectionError:
            return
        if code < 400:
            raise Failed(f"the control connection said {lines}")


def stopped_during_transfer(stage):
    """SIGTERM: a transfer that makes progress may finish, then the exit code is 0."""
    ferryline = Ferryline(stage.tunnel(), stage.logs / "ferryline-stopped.log", port=stage.server(Vsftpd).port)
    size = 64 * MIB
    with (stage.home / "stopped.bin").open("wb") as file:
        file.truncate(size)
    try:
        with RawFtp("127.0.0.1", ferryline.port()) as client:
            client.login()
            with client.retrieve("stopped.bin") as data:
                got = len(drain(data, MIB))
                ferryline.terminate()
                got += len(drain(data))
        if got != size:
            raise Failed(f"{got} bytes of {size} came, and then an orderly end")
        demand_exit(ferryline, 20)
    finally:
        ferryline.stop()
    return "the transfer was finished, exit code 0"


def stopped_during_stall(stage):
    """SIGTERM with a stalled transfer: the wait is bounded, and the client must not take a part for the whole file."""
    ferryline = Ferryline(stage.tunnel(), stage.logs / "ferryline-stalled.log", port=stage.server(Vsftpd).port)
    try:
        with RawFtp("127.0.0.1", ferryline.port()) as client:
            client.login()
            with client.retrieve(HUGE) as data:
                drain(data, MIB)
                seconds = demand_exit(ferryline, 40)
                try:
                    drain(data)
                    raise Failed("the data connection ended like that of a whole file")
                except ConnectionResetError:
                    pass
    finally:
        ferryline.stop()
    return f"exit code 0 after {seconds:.1f} s, the data connection reset"


def stopped_idle(stage):
    """SIGTERM without a transfer: it ends at once."""
    ferryline = Ferryline(stage.tunnel(), stage.logs / "ferryline-idle.log", port=stage.server(Vsftpd).port)
    seconds = demand_exit(ferryline, 10)
    return f"exit code 0 after {seconds:.1f} s"


def demand_exit(ferryline, timeout):
    code, seconds = ferryline.stop(timeout)
    if code != 0:
        raise Failed(f"after SIGTERM: exit code {code}" if code is not None else f"still there {timeout} s after SIGTERM")
    return seconds


def demand_working(stage, target, when):
    if not is_working(stage, target):
        raise Failed(f"no transfer works {when}")


def is_working(stage, target):
    """Whether a new client gets a whole file."""
    folder = stage.download_folder("again")
    done = Curl(stage.programs, stage.scratch).download(target, "down", list(SIZES), folder)
    return done.code == 0 and all((folder / f.name).read_bytes() == f.read_bytes() for f in stage.files)


CELLS = {
    "lost/sshd-killed": sshd_killed,
    "stop/during-transfer": stopped_during_transfer,
    "stop/during-stall": stopped_during_stall,
    "stop/idle": stopped_idle,
}
