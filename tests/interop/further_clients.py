"""More clients: GNU's ftp, NcFTP's programs and wget."""

from clients import Client
from servers import PASSWORD, USER


class InetutilsFtp(Client):
    """GNU's ftp. EPSV and EPRT first also over IPv4; `epsv4` turns both off there."""

    name = "inetutils-ftp"
    package = "inetutils-ftp"

    def argv(self, target):
        program = self.programs / "inetutils-ftp/usr/bin/inetutils-ftp"
        return [str(program), "-d", "-v", "-i", "-n", "-p" if target.passive else "-A"]

    def commands(self, target, *commands):
        toggles = ["epsv4"] if target.mode in ("EPSV", "EPRT") else []
        lines = [f"open {target.host} {target.port}", f"user {USER} {PASSWORD}", *toggles, "binary", *commands, "bye"]
        return "\n".join(lines) + "\n"

    def script(self, target, *commands):
        return self.execute(target, self.argv(target), self.commands(target, *commands))

    def list_folder(self, target, folder):
        return self.script(target, f"dir {folder}")

    def upload(self, target, files, folder):
        return self.script(target, f"cd {folder}", *(f"put {f} {f.name}" for f in files))

    def download(self, target, folder, names, into):
        return self.script(target, f"cd {folder}", *(f"get {n} {into / n}" for n in names))


class NcFtp(Client):
    """ncftpls, ncftpput and ncftpget: one program for each thing to do."""

    name = "ncftp"
    package = "ncftp"
    can = ("PASV", "PORT")
    cannot = "ncftp knows IPv4 only"
    sent = r"Cmd: ({})\b"

    def program(self, target, program, *words):
        how = "-F" if target.passive else "-E"
        # -d names the debug log, which alone shows the commands.
        common = ["-d", "/dev/stdout", "-u", USER, "-p", PASSWORD, "-P", str(target.port), "-t", "20", "-r", "1", how]
        path = self.programs / "ncftp/usr/bin" / program
        return self.execute(target, [str(path), *common, *(str(word) for word in words)])

    def list_folder(self, target, folder):
        return self.program(target, "ncftpls", "-l", f"ftp://{target.host}/{folder}/")

    def upload(self, target, files, folder):
        return self.program(target, "ncftpput", "-V", target.host, folder, *files)

    def download(self, target, folder, names, into):
        return self.program(target, "ncftpget", "-V", target.host, into, *(f"{folder}/{name}" for name in names))


class Wget(Client):
    name = "wget"
    can = ("PASV", "PORT", "EPSV6", "EPRT6")
    cannot = "wget sends EPSV and EPRT over IPv6 only, and uploads nothing"
    actions = ("list", "download")
    sent = r"^--> ({})\b"

    def command(self, target, *words):
        how = [] if target.passive else ["--no-passive-ftp"]
        return [
            *("wget", "--no-config", "--debug", "--no-proxy", "--tries=1", "--timeout=20", "--no-remove-listing", *how),
            *(str(word) for word in words),
        ]

    def list_folder(self, target, folder):
        into = self.home / ".listing"
        into.unlink(missing_ok=True)
        done = self.execute(target, self.command(target, "-O", "/dev/null", f"{target.url}/{folder}/"))
        if into.exists():
            done.out += into.read_bytes()
        return done

    def download(self, target, folder, names, into):
        return self.execute(target, self.command(target, "-P", into, *(f"{target.url}/{folder}/{n}" for n in names)))


FURTHER_CLIENTS = (InetutilsFtp, NcFtp, Wget)
