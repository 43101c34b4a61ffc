"""The ways of data connections: over IPv6, requested in another form, behind the SSH host, not available."""

from clients import Curl, Ftplib, Lftp, Tnftp
from further_servers import InetutilsFtpd, NetkitFtpd, PyFtpdlibOld
from servers import PureFtpd, Vsftpd, VsftpdDualStack, VsftpdFar
from sessions.frame import download, session


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


@session("no-epsv", [PyFtpdlibOld], Curl, "EPSV", "EPSV is asked again as PASV, and the next session knows that")
@session("no-epsv", [PyFtpdlibOld], Tnftp, "EPSV", "EPSV is asked again as PASV, and the next session knows that")
@session("no-eprt", [PyFtpdlibOld], Curl, "EPRT", "EPRT is asked again as PORT, and the next session knows that")
def twice(scene):
    download(scene)
    download(scene)


@session("no-remote-forward", [Vsftpd], Curl, "PORT", "sshd allows no remote forward", tunnel=lambda stage: local_only(stage))
def no_remote_forward(scene):
    scene.program().list_folder(scene.target, "pub")


def local_only(stage):
    port = 2205
    stage.sshd("sshd-local-only", ["AllowTcpForwarding local"], port)
    return stage.tunnel(port)


@session("third-host", [VsftpdFar], Curl, "EPSV", "the server is behind the SSH host", options=("--data-host", "reply"))
@session("third-host", [VsftpdFar], Ftplib, "PASV", "the server is behind the SSH host", options=("--data-host", "auto"))
@session("as-passive", [Vsftpd, PureFtpd], Curl, "PORT", "carried as passive on request", options=("--active", "passive"))
@session("as-passive", [VsftpdDualStack], Ftplib, "PORT", "carried as passive on request", options=("--active", "passive"))
@session("as-passive", [PyFtpdlibOld], Tnftp, "EPRT", "carried as passive on request", options=("--active", "passive"))
@session("third-host", [VsftpdFar], Tnftp, "PORT", "active mode to a server behind the SSH host")
def third_host(scene):
    download(scene)
