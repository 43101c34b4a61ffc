"""The clients: real programs, each given its mode and its task in its own syntax.

Each further client is a class: the modes it `can`, how it is given them, and how its log shows the verbs it sent.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from netns import entering
from process import run
from servers import DATA_VERBS, PASSWORD, USER

TIMEOUT = 40

# Mode: the family of the control connection and the one verb that the client has to use in it.
MODES = {
    "PASV": ("127.0.0.1", "PASV"),
    "EPSV": ("127.0.0.1", "EPSV"),
    "PORT": ("127.0.0.1", "PORT"),
    "EPRT": ("127.0.0.1", "EPRT"),
    "EPSV6": ("::1", "EPSV"),
    "EPRT6": ("::1", "EPRT"),
}


@dataclass
class Target:
    """The address that a client connects to, and its mode. `namespace` is None for the root namespace."""

    host: str
    port: int
    mode: str
    namespace: str | None = None

    @property
    def url(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ftp://{USER}:{PASSWORD}@{host}:{self.port}"

    @property
    def passive(self):
        return "PASV" in self.mode or "EPSV" in self.mode


class Client:
    """One client. Each of `list_folder`, `upload`, `download` is one run of the program, one log-in, any number of
    files."""

    name = "client"
    # The program's Debian package, where the suite unpacks it.
    package = None
    # The modes that this client can use, and why it cannot use the others.
    can = tuple(MODES)
    cannot = ""
    actions = ("list", "upload", "download")
    # Modes that work through ferryline only.
    healed = ()
    # Matches a command in the client's own log.
    sent = r"^---> ({})\b"

    def __init__(self, programs: Path, scratch: Path):
        self.programs = programs
        self.home = scratch / "client-home"
        self.home.mkdir(exist_ok=True)

    def execute(self, target, argv, stdin=""):
        # The caller's start files and proxies must have no effect.
        env = {"HOME": str(self.home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "dumb"}
        return run(entering(target.namespace) + argv, stdin=stdin.encode(), env=env, cwd=self.home, timeout=TIMEOUT)

    def verbs(self, done):
        """The verbs for data connections that the client says it sent, in order."""
        return re.findall(self.sent.format("|".join(DATA_VERBS)), done.text, re.MULTILINE)

    def list_folder(self, target, folder):
        raise NotImplementedError

    def upload(self, target, files: list[Path], folder):
        raise NotImplementedError

    def download(self, target, folder, names: list[str], into: Path):
        raise NotImplementedError


class Curl(Client):
    name = "curl"
    sent = r"^> ({})\b"

    def command(self, target):
        # "-P -" is the address of the control connection; both switches off mean the old verb.
        how = {
            "PASV": ["--disable-epsv"],
            "EPSV": [],
            "PORT": ["--ftp-port", "-", "--disable-eprt"],
            "EPRT": ["--ftp-port", "-"],
        }[target.mode.removesuffix("6")]
        return ["curl", "--silent", "--show-error", "--verbose", "--noproxy", "*", "--fail-early", *how]

    def list_folder(self, target, folder):
        return self.execute(target, self.command(target) + [f"{target.url}/{folder}/"])

    def upload(self, target, files, folder):
        return self.execute(
            target,
            self.command(target) + [w for f in files for w in ("-T", str(f), f"{target.url}/{folder}/{f.name}")],
        )

    def download(self, target, folder, names, into):
        return self.execute(
            target,
            self.command(target) + [w for n in names for w in ("-o", str(into / n), f"{target.url}/{folder}/{n}")],
        )


class Lftp(Client):
    name = "lftp"
    package = "lftp"
    can = ("PASV", "EPSV", "PORT", "EPSV6", "EPRT6")
    cannot = "lftp sends EPRT over IPv6 only"
    # It names `::` as its address, which vsftpd refuses; ferryline knows that the client means itself.
    healed = ("EPRT6",)
    ssl_allow = "no"

    def script(self, target, *commands):
        settings = {
            "cmd:fail-exit": "yes",
            "ftp:ssl-allow": self.ssl_allow,
            "ftp:passive-mode": "yes" if target.passive else "no",
            "ftp:prefer-epsv": "yes" if target.mode.startswith("EPSV") else "no",
            "net:max-retries": "1",
            "net:timeout": "20",
            "xfer:clobber": "yes",
        }
        host = f"[{target.host}]" if ":" in target.host else target.host
        lines = [f"set {name} {value}" for name, value in settings.items()]
        lines += ["debug 9", f"open -u {USER},{PASSWORD} ftp://{host}:{target.port}", *commands, "exit"]
        program = self.programs / "lftp/usr/bin/lftp"
        return self.execute(target, [str(program), "--norc", "-f", "/dev/stdin"], "\n".join(lines) + "\n")

    def list_folder(self, target, folder):
        return self.script(target, f"ls {folder}")

    def upload(self, target, files, folder):
        return self.script(target, *(f"put {f} -o {folder}/{f.name}" for f in files))

    def download(self, target, folder, names, into):
        return self.script(target, *(f"get {folder}/{n} -o {into / n}" for n in names))


class LftpTls(Lftp):
    """lftp with its default settings: it sends AUTH TLS before it logs in, and goes on in clear where that is
    refused."""

    name = "lftp-tls"
    can = ("PASV",)
    cannot = "one mode is enough to see AUTH TLS refused"
    healed = ()
    ssl_allow = "yes"

    def verbs(self, done):
        if "---> AUTH TLS" not in done.text:
            return ["no AUTH TLS was sent"]
        return super().verbs(done)


class Tnftp(Client):
    name = "tnftp"
    package = "tnftp"

    def script(self, target, *commands):
        # EPSV and EPRT come first over IPv4 too; "epsv4" turns both off there.
        toggles = ["epsv4"] if target.mode in ("PASV", "PORT") else []
        lines = [
            *toggles,
            f"open {target.host} {target.port}",
            f"user {USER} {PASSWORD}",
            "binary",
            *commands,
            "bye",
        ]
        program = self.programs / "tnftp/usr/bin/tnftp"
        # -A and -p are active and passive without fallback to the other; -d shows the commands.
        argv = [str(program), "-d", "-v", "-i", "-n", "-p" if target.passive else "-A"]
        return self.execute(target, argv, "\n".join(lines) + "\n")

    def list_folder(self, target, folder):
        return self.script(target, f"dir {folder}")

    def upload(self, target, files, folder):
        return self.script(target, f"cd {folder}", *(f"put {f} {f.name}" for f in files))

    def download(self, target, folder, names, into):
        return self.script(target, f"cd {folder}", *(f"get {n} {into / n}" for n in names))


class Ftplib(Client):
    """Python's ftplib, in a process of its own (ftplib_client.py)."""

    name = "ftplib"
    sent = r"^\*cmd\* '({})\b"

    def script(self, target, action, *words):
        program = Path(__file__).with_name("ftplib_client.py")
        verb = MODES[target.mode][1]
        argv = [sys.executable, "-B", str(program), target.host, str(target.port), USER, PASSWORD, verb, action]
        return self.execute(target, argv + [str(word) for word in words])

    def list_folder(self, target, folder):
        return self.script(target, "list", folder)

    def upload(self, target, files, folder):
        return self.script(target, "upload", folder, *files)

    def download(self, target, folder, names, into):
        return self.script(target, "download", folder, into, *names)


CLIENTS = (Curl, Lftp, LftpTls, Tnftp, Ftplib)
