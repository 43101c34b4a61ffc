"""More servers: ProFTPD, pyftpdlib, and two of the family of BSD's ftpd."""

import sys
from pathlib import Path

from servers import PASSWORD, PASSWORD_HASH, UID, USER, Server


class ProFtpd(Server):
    """ProFTPD on 127.0.0.1, with an account file of its own; it sends its features on lines of their own code (Q30)."""

    name = "proftpd"
    package = "proftpd-core"
    usual_port = 2124
    extra = ""

    def command(self):
        config, accounts = (self.place.scratch / f"{self.name}.{end}" for end in ("conf", "passwd"))
        accounts.write_text(f"{USER}:{PASSWORD_HASH}:{UID}:{UID}::{self.place.home}:/bin/sh\n")
        # It refuses to read passwords that others can read.
        accounts.chmod(0o600)
        modules = self.program("proftpd-core/usr/lib/proftpd")
        config.write_text(
            f"""ModulePath {modules}
ServerType standalone
ServerName ferry
UseIPv6 off
DefaultAddress 127.0.0.1
SocketBindTight on
Port {self.port}
User nobody
Group nogroup
UseReverseDNS off
AuthOrder mod_auth_file.c
AuthUserFile {accounts}
RequireValidShell off
MaxInstances 200
AllowOverwrite on
AllowRetrieveRestart on
AllowStoreRestart on
PidFile {self.place.scratch / self.name}.pid
ScoreboardFile {self.place.scratch / self.name}.scoreboard
DelayEngine off
WtmpLog off
TransferLog none
SystemLog {self.place.logs / self.name}.system.log
{self.extra}"""
        )
        return [self.program("proftpd-core/usr/sbin/proftpd"), "-n", "-c", config]


class PyFtpdlib(Server):
    """pyftpdlib on 127.0.0.1, on the Python that runs the suite. `without`: verbs that are removed from it."""

    name = "pyftpdlib"
    package = "python3-pyftpdlib"
    usual_port = 2125
    banner = "pyftpdlib ready."
    # wget ends a session by closing and begins the next at once. Where the new connection arrives first, as it may
    # over another path, this server never reads from it (without ferryline, too).
    beyond = tuple(("wget", mode) for mode in ("PASV", "PORT", "EPSV6", "EPRT6"))
    without = ()

    def command(self):
        library = self.program("python3-pyftpdlib/usr/lib/python3/dist-packages")
        program = Path(__file__).with_name("pyftpdlib_server.py")
        words = [self.port, USER, PASSWORD, UID, self.place.home, self.banner, *self.without]
        return ["env", f"PYTHONPATH={library}", sys.executable, "-B", program, *words]


class PyFtpdlibOld(PyFtpdlib):
    """A server as before RFC 2428: it knows neither EPSV nor EPRT."""

    name = "pyftpdlib-old"
    usual_port = 2126
    # It shows how data connections are requested, which is the same for all clients.
    actions = ("download",)
    without = ("EPSV", "EPRT")


class ByInetd(Server):
    """A server that is started for each connection."""

    argv = ()

    def command(self):
        path, *words = self.argv
        inetd = Path(__file__).with_name("inetd.py")
        return [sys.executable, "-B", inetd, self.listens, self.port, self.program(path), *words]


class InetutilsFtpd(ByInetd):
    """GNU's ftpd, with the namespace's accounts."""

    name = "inetutils-ftpd"
    package = "inetutils-ftpd"
    # Its active data connections come from the port below.
    usual_port = 2131
    argv = ("inetutils-ftpd/usr/sbin/ftpd", "--auth=default", "--umask=022")


class NetkitFtpd(ByInetd):
    """The ftpd of Linux's old netkit (Debian's ftpd-ssl): knows PASV and PORT only."""

    name = "netkit-ftpd"
    # lftp sends EPSV only where FEAT offers it, and this server has no FEAT.
    beyond = (("lftp", "EPSV"),)
    package = "ftpd-ssl"
    usual_port = 2141
    actions = ("download",)
    argv = ("ftpd-ssl/usr/sbin/in.ftpd", "-l")


FURTHER_SERVERS = (ProFtpd, PyFtpdlib, PyFtpdlibOld, InetutilsFtpd, NetkitFtpd)
