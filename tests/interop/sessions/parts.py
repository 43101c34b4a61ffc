"""Parts of files: resumed transfers and ranges."""

import os

from clients import Curl, Lftp
from further_clients import Wget
from further_servers import InetutilsFtpd, ProFtpd, PyFtpdlib
from servers import UID, PureFtpd, Vsftpd
from sessions.frame import session
from stage import HUGE


@session("resume-download", [Vsftpd, ProFtpd, PureFtpd], Curl, "EPSV", "the rest of a file that is there in part")
def resume_curl(scene):
    part = scene.into / "data.bin"
    part.write_bytes(b"ferryline\n" * 5000)
    curl = scene.program()
    url = f"{scene.target.url}/pub/data.bin"
    curl.execute(scene.target, curl.command(scene.target) + ["-C", "-", "-o", str(part), url])


@session("resume-download", [Vsftpd, InetutilsFtpd], Lftp, "PASV", "the rest of a file that is there in part")
def resume_lftp(scene):
    part = scene.into / "data.bin"
    part.write_bytes(b"ferryline\n" * 5000)
    scene.program().script(scene.target, "set xfer:clobber no", f"get -c pub/data.bin -o {part}")


@session("resume-download", [PyFtpdlib, PureFtpd], Wget, "PASV", "the rest of a file that is there in part")
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
    url = f"{scene.target.url}/{HUGE}"
    curl.execute(scene.target, curl.command(scene.target) + ["-r", "0-99", "-o", "/dev/null", url])
