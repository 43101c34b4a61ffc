"""The servers: real programs, unpacked by `install`, each started on addresses inside a namespace of its own.

Each further FTP server is a class: `start` it, say where it `listens`, and read `verbs_since` from its log.
"""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from netns import entering, wait_for_listener
from process import checked, daemon, descendants, kill, stop

USER, PASSWORD, UID = "ferry", "over-the-water", 47110
# The user who logs in by SSH where root would need files in the home of the machine's own root.
SSH_USER, SSH_UID = "boatman", 47111
# crypt(3) of PASSWORD, so that no tool is needed to make it.
PASSWORD_HASH = "$6$ferryline$AFYcS5qi/W5V8Y/TbV5DhLqbcU9jy1qSsl5AGE98UjUlB0cPPhluuAPCbDTDCJDRM0tYjuwJNjNNvVebxqtqq/"

DATA_VERBS = ("PASV", "EPSV", "PORT", "EPRT")

PAM = "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n"

# Bound over /etc inside the namespaces only. `sshd` and `nobody` are the accounts that the servers drop to.
ETC = {
    "passwd": f"""root:x:0:0:root:/root:/bin/sh
sshd:x:47108:65534::/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
ftp:x:47109:65534:ftp:/nonexistent:/usr/sbin/nologin
{USER}:x:{UID}:{UID}::@HOME@:/bin/sh
{SSH_USER}:x:{SSH_UID}:{SSH_UID}::@HOME@/../ssh-home:/bin/sh
""",
    "group": f"root:x:0:\nshadow:x:42:\nnogroup:x:65534:\n{USER}:x:{UID}:\n{SSH_USER}:x:{SSH_UID}:\n",
    "shadow": f"root:*:19000:0:99999:7:::\nsshd:!:19000::::::\nnobody:*:19000::::::\nftp:*:19000::::::\n"
    f"{USER}:{PASSWORD_HASH}:19000:0:99999:7:::\n{SSH_USER}:*:19000:0:99999:7:::\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
    "pam.d/vsftpd": PAM,
    "pam.d/sshd": PAM,
    "pam.d/ftp": "auth sufficient pam_ftp.so\n" + PAM,
}


def etc_files(home: Path):
    return {path: text.replace("@HOME@", str(home)) for path, text in ETC.items()}


@dataclass
class Place:
    """The parts of the run that a server needs: its programs, a scratch folder, a folder for logs, its namespace."""

    programs: Path
    scratch: Path
    logs: Path
    home: Path
    namespace: str


class Server:
    """A server that listens. `host` and `port` are what ferryline's `-L` names; `listens` is the address to wait
    for."""

    name = "server"
    # The program's Debian package, where the suite names it.
    package = None
    host = "localhost"
    listens = "127.0.0.1"
    usual_port = 2121
    # Whether it is on the third host.
    far = False
    # Clients that cannot use a mode with this server, with the mode.
    beyond = ()
    # The actions of its cells in the matrix.
    actions = ("list", "upload", "download")

    def __init__(self, place: Place, port: int):
        self.place, self.port = place, port
        self.log = place.logs / f"{self.name}.log"
        self.child = None

    def start(self):
        self.child = daemon(entering(self.place.namespace) + self.command(), self.log)
        wait_for_listener(self.place.namespace, self.listens, self.port, self.child)
        return self

    def stop(self):
        if self.child is not None:
            below = descendants(self.child.pid)
            stop(self.child)
            kill(below)
            self.child = None

    def program(self, path):
        return self.place.programs / path

    def mark(self):
        """A position in the server's log; None where it logs no commands."""
        return None

    def verbs_since(self, mark):
        """The verbs for data connections that reached the server since `mark`, in order; None where its log has
        none."""
        return None


class Vsftpd(Server):
    """vsftpd 3 on 127.0.0.1: local users through a PAM service of its own, every command logged."""

    name = "vsftpd"
    package = "vsftpd"
    extra = "listen=YES\nlisten_address=127.0.0.1\n"

    def command(self):
        config = self.place.scratch / f"{self.name}.conf"
        empty = self.place.scratch / "empty"
        empty.mkdir(exist_ok=True)
        config.write_text(
            f"""{self.extra}listen_port={self.port}
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
local_umask=022
pam_service_name=vsftpd
secure_chroot_dir={empty}
nopriv_user=nobody
xferlog_enable=YES
log_ftp_protocol=YES
vsftpd_log_file={self.protocol_log}
max_per_ip=200
tcp_wrappers=NO
"""
        )
        return [self.program("vsftpd/usr/sbin/vsftpd"), config]

    @property
    def protocol_log(self):
        return self.place.logs / f"{self.name}.protocol.log"

    def mark(self):
        try:
            return self.protocol_log.stat().st_size
        except FileNotFoundError:
            return 0

    def verbs_since(self, mark):
        try:
            with self.protocol_log.open("rb") as log:
                log.seek(mark)
                text = log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        return re.findall(rf'FTP command: Client "[^"]*", "({"|".join(DATA_VERBS)})\b', text)


class VsftpdDualStack(Vsftpd):
    """vsftpd on every address of both families, reached over ::1, where its PASV cannot name an address."""

    name = "vsftpd6"
    usual_port = 2122
    host = listens = "::1"
    extra = "listen=NO\nlisten_ipv6=YES\n"


class VsftpdFar(Vsftpd):
    """vsftpd on the third host, reached through the SSH host."""

    name = "vsftpd-far"
    usual_port = 21
    far = True

    def __init__(self, place, port, address):
        super().__init__(place, port)
        self.host = self.listens = address
        self.extra = f"listen=YES\nlisten_address={address}\n"


class PureFtpd(Server):
    """pure-ftpd on 127.0.0.1, with a virtual user from a database of its own."""

    name = "pure-ftpd"
    package = "pure-ftpd"
    usual_port = 2123

    def command(self):
        passwords = self.place.scratch / "pure.passwd"
        database = self.place.scratch / "pure.pdb"
        # Written by hand: the hash that `pure-pw useradd` makes takes seconds to check, at every log-in.
        passwords.write_text(f"{USER}:{PASSWORD_HASH}:{UID}:{UID}::{self.place.home}::::::::::::\n")
        checked([self.program("pure-ftpd/usr/bin/pure-pw"), "mkdb", database, "-f", passwords])
        return [
            self.program("pure-ftpd/usr/sbin/pure-ftpd"),
            *("-4", "-S", f"127.0.0.1,{self.port}", "-l", f"puredb:{database}", "-E", "-H", "-f", "none"),
            *("-c", "200", "-C", "200", "-g", self.place.scratch / "pure.pid"),
        ]


class Sshd(Server):
    """OpenSSH's sshd on the SSH host's outer address, with a configuration, host key and log-in key of the run's
    own."""

    name = "sshd"

    def __init__(self, place, port, address, keys: Path, options=(), name="sshd"):
        self.name = name
        super().__init__(place, port)
        self.listens, self.keys, self.options = address, keys, options

    def command(self):
        # The folder that sshd confines its unprivileged half to; its path is compiled in.
        Path("/run/sshd").mkdir(exist_ok=True)
        config = self.place.scratch / f"{self.name}.conf"
        # The first value of a keyword counts, so what a test asks for comes first.
        lines = [
            *self.options,
            f"Port {self.port}",
            f"ListenAddress {self.listens}",
            f"HostKey {self.keys / 'host'}",
            f"AuthorizedKeysFile {self.keys / 'user.pub'}",
            f"PidFile {self.place.scratch / self.name}.pid",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "StrictModes no",
            "UsePAM no",
            "AllowTcpForwarding yes",
            "PrintMotd no",
            "LogLevel VERBOSE",
        ]
        config.write_text("\n".join(lines) + "\n")
        return [self.program("openssh-server/usr/sbin/sshd"), "-D", "-e", "-f", config]

    def kill_sessions(self):
        """Kills the processes that serve open connections; the listener goes on. Returns their number."""
        sessions = descendants(self.child.pid)
        kill(sessions)
        return len(sessions)

    def kill_all(self):
        """Kills the listener and all processes of connections; it is halted first, so that none starts in between."""
        self.child.send_signal(signal.SIGSTOP)
        sessions = descendants(self.child.pid)
        kill([*sessions, self.child.pid])
        self.child.wait()
        self.child = None
