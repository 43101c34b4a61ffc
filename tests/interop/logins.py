"""Ways to log in to a real sshd, with keys and certificates that OpenSSH's own tools made; and refused log-ins."""

import contextlib
import os
import shutil

from ferryline import Ferryline
from process import checked, daemon, eventually, run, stop
from rawftp import RawFtp, drain
from servers import PASSWORD, USER, Vsftpd
from stage import Failed

PASSPHRASE = "under-the-quay"
# sshd's account database is the namespace's, its PAM service too (servers.py).
PAM = ("UsePAM yes", "PermitRootLogin no")
NO_KEYS = "AuthorizedKeysFile none"
BY_PASSWORD, BY_QUESTIONS = "PasswordAuthentication yes", "KbdInteractiveAuthentication yes"

_ports = iter(range(2220, 2300))


class Login:
    """A log-in with ferryline: to which sshd, with which arguments and which environment."""

    def __init__(self, stage, name, options=(), user="root"):
        self.port = next(_ports)
        self.stage, self.name, self.user = stage, f"{name}-{self.port}", user
        self.folder = stage.scratch / "logins" / self.name
        self.folder.mkdir(parents=True)
        self.sshd = stage.sshd(f"sshd-login-{self.name}", list(options), self.port)
        self.more, self.env_more = [], {}
        self.known_hosts = self.folder / "known_hosts"
        blob = " ".join((stage.keys / "host.pub").read_text().split()[:2])
        self.known_hosts.write_text(f"{self.host} {blob}\n")

    @property
    def host(self):
        return f"[{self.stage.network.ssh_address}]:{self.port}"

    def argv(self, forward, *options):
        return [
            *(self.stage.program, "forward", "--record", self.stage.recorded, *options, *self.more),
            *("-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "GlobalKnownHostsFile=none"),
            *("-o", "StrictHostKeyChecking=yes", "-p", self.port, "-L", forward),
            f"{self.user}@{self.stage.network.ssh_address}",
        ]

    @property
    def env(self):
        return {"HOME": str(self.folder), "PATH": os.environ["PATH"], "RUST_BACKTRACE": "1", **self.env_more}

    def answering(self, *answers):
        """A program answers the questions in this order, because there is no terminal; then with nothing."""
        program = self.folder / "askpass"
        for number, answer in enumerate(answers):
            (self.folder / f"answer{number}").write_text(answer + "\n")
        program.write_text(
            f'#!/bin/sh\ncd {self.folder}\nfor a in answer*; do cat "$a" && rm "$a" && exit; done 2>/dev/null\nexit 1\n'
        )
        program.chmod(0o700)
        self.env_more |= {"SSH_ASKPASS": str(program), "DISPLAY": "none:0"}

    def key(self, name="key", *options):
        """A key made by ssh-keygen, Ed25519 unless `options` say otherwise."""
        kind = () if "-t" in options else ("-t", "ed25519")
        passphrase = () if "-N" in options else ("-N", "")
        path = self.folder / name
        checked(["ssh-keygen", "-q", *kind, *passphrase, "-C", name, *options, "-f", path])
        return path

    @contextlib.contextmanager
    def agent(self, *keys):
        """An ssh-agent that holds these keys, in this order."""
        socket = self.folder / "agent"
        child = daemon(["ssh-agent", "-D", "-a", socket], self.stage.logs / "ssh-agent.log")
        try:
            eventually(socket.exists, 10, "the agent's socket")
            for key in keys:
                checked(["ssh-add", "-q", key], env={"SSH_AUTH_SOCK": str(socket), "PATH": os.environ["PATH"]})
            self.env_more["SSH_AUTH_SOCK"] = str(socket)
            yield
        finally:
            stop(child)
            socket.unlink(missing_ok=True)

    def carries(self):
        """Insists that the log-in succeeds and that a file is carried, which takes a second log-in for its lane."""
        server = self.stage.server(Vsftpd)
        ferryline = Ferryline(self, self.stage.logs / f"ferryline-login-{self.name}.log", port=server.port)
        try:
            with RawFtp("127.0.0.1", ferryline.port()) as client:
                client.login()
                with client.retrieve("down/middle.bin") as data:
                    got = drain(data)
                client.expect(226)
            if got != (self.stage.home / "down" / "middle.bin").read_bytes():
                raise Failed(f"{len(got)} bytes came, and not those of the file")
        finally:
            ferryline.stop()

    def starts(self):
        """Insists that the log-in succeeds."""
        Ferryline(self, self.stage.logs / f"ferryline-login-{self.name}.log").stop()

    def is_refused(self, *naming):
        """Insists on exit code 1 and one line that holds all of this."""
        done = run(self.argv("0:localhost:21"), env=self.env, timeout=40)
        said = done.err.decode("utf-8", "replace").strip()
        if done.code != 1:
            raise Failed(f"exit code {done.code}, expected 1", done.text)
        missing = [part for part in naming if part not in said]
        if missing or len(said.splitlines()) != 1:
            raise Failed(f"the message lacks {missing}, or has more than one line: {said}", done.text)
        return said

    def stop(self):
        self.sshd.stop()


def cell(play, *options, user="root"):
    """A cell with an sshd of its own."""

    def played(stage):
        login = Login(stage, play.__name__.replace("_", "-"), options, user)
        try:
            return play(login)
        finally:
            login.stop()

    return played


def agent(login):
    with login.agent(login.stage.keys / "user"):
        login.carries()


def encrypted_key(login):
    key = login.folder / "key"
    shutil.copy(login.stage.keys / "user", key)
    checked(["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", key])
    login.more = ["-i", key]
    login.is_refused("passphrase", "add the key to an agent with ssh-add")
    login.answering("wrong", PASSPHRASE)
    login.carries()
    return "asked twice, through SSH_ASKPASS"


def certificates(login):
    """Beside the key, for an Ed25519 key and an RSA one; then in the agent, without any file."""
    authority = login.stage.keys / "user"
    for kind in ("ed25519", "rsa", "ecdsa"):
        key = login.key(kind, "-t", kind)
        login.more = ["-i", key]
        login.is_refused("publickey", str(key))
        certify(authority, key, "-n", "root")
        login.carries()
        with login.agent(key):
            hidden = key.rename(key.with_suffix(".away"))
            login.more = []
            login.carries()
            hidden.rename(key)
        certify(authority, key, "-n", "root", "-V", "20200101:20200102")
        login.more = ["-i", key]
        login.is_refused("(expired)")
    return "ed25519, rsa, ecdsa: beside the key, in the agent; expired ones refused"


def certify(authority, key, *options):
    checked(["ssh-keygen", "-q", "-s", authority, "-I", "id", *options, key.with_name(key.name + ".pub")])


def key_types(login):
    """All key types that ssh-keygen writes. One sshd accepts them all, through one authority that certifies them."""
    authority = login.stage.keys / "user"
    every = [(form, passphrase) for form in ("", "PEM", "PKCS8") for passphrase in ("", PASSPHRASE)]
    kinds = [
        *(("ecdsa", "256", *way) for way in every),
        *(("rsa", "2048", *way) for way in every),
        ("ecdsa", "384", "", PASSPHRASE),
        ("ecdsa", "521", "", ""),
        ("ed25519", "256", "", PASSPHRASE),
    ]
    for number, (kind, bits, form, passphrase) in enumerate(kinds):
        options = ["-t", kind, "-b", bits, "-N", passphrase, *(["-m", form] if form else [])]
        key = login.key(f"{kind}-{number}", *options)
        certify(authority, key, "-n", "root")
        login.more = ["-i", key]
        login.answering(PASSPHRASE)
        if (kind, form, passphrase) == ("ecdsa", "PEM", PASSPHRASE):
            login.is_refused("ssh-keygen -p")
        else:
            login.starts()
    return f"{len(kinds)} kinds; an encrypted ecdsa key in PEM is refused with the way to convert it"


def password(login):
    login.is_refused("password (none given)", "SSH_ASKPASS")
    login.answering("wrong", PASSWORD)
    login.carries()
    return "PAM; asked twice, through SSH_ASKPASS"


def keyboard_interactive(login):
    login.answering("wrong", PASSWORD)
    login.carries()
    login.answering()
    login.is_refused("keyboard-interactive (no answer given)")
    return "PAM; asked twice"


def key_and_password(login):
    login.more = ["-i", login.stage.keys / "user"]
    login.answering(PASSWORD)
    login.carries()
    login.more = ["-i", login.stage.keys / "other"]
    login.answering(PASSWORD)
    login.is_refused("accepts publickey")


def hashed_known_hosts(login):
    login.more = ["-i", login.stage.keys / "user"]
    checked(["ssh-keygen", "-H", "-f", login.known_hosts])
    if "|1|" not in login.known_hosts.read_text() or login.stage.network.ssh_address in login.known_hosts.read_text():
        raise Failed("the names are not hashed")
    login.carries()


def host_authority(login):
    """A certificate for the host key by an authority of the run's own; then one that is for another host."""
    keys = login.stage.keys
    login.more = ["-i", keys / "user"]
    blob = " ".join((keys / "other.pub").read_text().split()[:2])
    login.known_hosts.write_text(f"@cert-authority *.nowhere,[198.1?.*]:* {blob}\n")
    login.carries()
    login.known_hosts.write_text(f"@cert-authority * {blob}\n@revoked * {blob}\n")
    login.is_refused("revoked", f"{login.known_hosts}:2")
    certify_host(login.stage, "somewhere.else")
    login.sshd.stop()
    login.sshd.start()
    login.known_hosts.write_text(f"@cert-authority * {blob}\n")
    said = login.is_refused("it is for somewhere.else", f"{login.known_hosts}:1", "HostKeyAlias")
    login.more += ["-o", "HostKeyAlias=somewhere.else"]
    login.carries()
    return said


def host_authority_cell(stage):
    certify_host(stage, stage.network.ssh_address)
    return cell(host_authority, f"HostCertificate {stage.keys / 'host-cert.pub'}")(stage)


def certify_host(stage, principal):
    checked(["ssh-keygen", "-q", "-h", "-s", stage.keys / "other", "-I", "h", "-n", principal, stage.keys / "host.pub"])


def revoked_host_key(login):
    login.more = ["-i", login.stage.keys / "user"]
    known = login.known_hosts.read_text()
    login.known_hosts.write_text(f"{known}@revoked {known}")
    return login.is_refused("revoked", f"{login.known_hosts}:2")


def more_keys_than_tries(login):
    """Seven keys in the agent, the right one last; sshd allows three tries."""
    right = login.stage.keys / "user"
    with login.agent(*[login.key(f"key{number}") for number in range(6)], right):
        said = login.is_refused("Too many authentication failures", "the agent offered", "-i", "IdentitiesOnly=yes")
        login.more = ["-i", right]
        login.carries()
        login.more = ["-i", right.with_name("user.pub"), "-o", "IdentitiesOnly=yes"]
        login.carries()
    return said


def data_ports_forbidden(login):
    """PermitOpen has the FTP server's port only: the control connection works, and each transfer gets the reason."""
    login.more = ["-i", login.stage.keys / "user"]
    server = login.stage.server(Vsftpd)
    ferryline = Ferryline(login, login.stage.logs / "ferryline-login-permit-open.log", port=server.port)
    try:
        with RawFtp("127.0.0.1", ferryline.port()) as client:
            client.login()
            with client.data(client.expect(227, "PASV")) as data:
                with contextlib.suppress(ConnectionError):
                    drain(data)
                return client.expect(425, "RETR down/one.bin")
    finally:
        ferryline.stop()


def with_authority(play):
    return lambda stage: cell(play, NO_KEYS, f"TrustedUserCAKeys {stage.keys / 'user.pub'}")(stage)


def with_key_and(method):
    def played(stage):
        # A place where sshd, as that user, can read it.
        authorized = stage.scratch / "authorized"
        shutil.copy(stage.keys / "user.pub", authorized)
        options = (f"AuthorizedKeysFile {authorized}", f"AuthenticationMethods publickey,{method}")
        return cell(key_and_password, *PAM, BY_PASSWORD, BY_QUESTIONS, *options, user=USER)(stage)

    return played


CELLS = {
    "login/agent": cell(agent),
    "login/certificates": with_authority(certificates),
    "login/encrypted-key": cell(encrypted_key),
    "login/hashed-known-hosts": cell(hashed_known_hosts),
    "login/host-authority": host_authority_cell,
    "login/key-and-password": with_key_and("password"),
    "login/key-and-questions": with_key_and("keyboard-interactive"),
    "login/key-types": with_authority(key_types),
    "login/keyboard-interactive": cell(keyboard_interactive, *PAM, NO_KEYS, BY_QUESTIONS, user=USER),
    "login/more-keys-than-tries": cell(more_keys_than_tries, "MaxAuthTries 3"),
    "login/password": cell(password, *PAM, NO_KEYS, BY_PASSWORD, user=USER),
    "login/revoked-host-key": cell(revoked_host_key),
    "refused/data-ports-forbidden": cell(data_ports_forbidden, f"PermitOpen localhost:{Vsftpd.usual_port}"),
}
