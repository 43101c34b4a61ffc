"""`ferryline check`: its report on a server has to agree with what clients find there, mode by mode."""

import dataclasses
import json

import layouts
from clients import Ftplib
from further_servers import ProFtpd
from process import run
from servers import PASSWORD, USER, PureFtpd, Vsftpd, VsftpdFar
from sessions.setups import VsftpdNoEpsv, VsftpdTlsOnly
from stage import Failed

MODES = {"PASV": "passive", "EPSV": "extended-passive", "PORT": "active", "EPRT": "extended-active"}


class Far:
    """The same server on the third host, reached through the SSH host."""

    usual_port = 21
    far = True

    def __init__(self, place, port, address):
        scratch = place.scratch / f"{self.name}-files"
        scratch.mkdir(exist_ok=True)
        scratch.chmod(0o755)
        super().__init__(dataclasses.replace(place, scratch=scratch), port)
        self.host = self.listens = address


class PureFtpdFar(Far, PureFtpd):
    name = "pure-ftpd-far"
    usual_port = 2223

    def command(self):
        return [f"{self.host},{self.port}" if word == f"127.0.0.1,{self.port}" else word for word in super().command()]


class ProFtpdFar(Far, ProFtpd):
    name = "proftpd-far"
    usual_port = 2224

    def command(self):
        argv = super().command()
        config = argv[-1]
        config.write_text(config.read_text().replace("DefaultAddress 127.0.0.1", f"DefaultAddress {self.host}"))
        return argv


def as_clients_find_it(kind, carried=None):
    """All modes are checked, then tried by a real client through a real forward: the two have to agree. `carried` is
    what the report has to say about the active modes."""

    def play(stage):
        server = stage.server(kind)
        mark = server.mark()
        code, report, text = check(stage, server)
        if code != 0 or not report["ok"]:
            raise Failed(f"exit code {code}", text)
        asked = server.verbs_since(mark)
        forward = report["forwards"][0]
        for verb, mode in MODES.items():
            said = next(found for found in forward["modes"] if found["mode"] == mode)
            done = Ftplib(stage.programs, stage.scratch).list_folder(stage.target(server, verb), "down")
            found = done.code == 0 and "big.bin" in done.text
            if said["works"] != found:
                raise Failed(f"{verb}: check says {said}, the client ended with code {done.code}", text + done.text)
            if mode.endswith("active") and said["carried"] != carried:
                raise Failed(f"{verb}: check says {said['carried']}, expected {carried}", text)
        if asked is not None and bool({"PORT", "EPRT"} & set(asked)) != (carried is None):
            raise Failed(f"the server was asked {asked}, but active mode is said to be {carried or 'as it is'}", text)
        demand_step(report, "greeting", "ok", "220", text)
        return forward["summary"]

    return play


def epsv_denied(stage):
    """EPSV and EPRT are denied: PASV replaces EPSV; the refusal of EPRT (550 says nothing of the verb) is passed on."""
    code, report, text = check(stage, stage.server(VsftpdNoEpsv))
    carried = {mode["mode"]: mode["carried"] for mode in report["forwards"][0]["modes"] if mode["works"]}
    if code != 0 or carried != {"passive": None, "extended-passive": "asked as PASV", "active": None}:
        raise Failed(f"exit code {code}, {carried}", text)
    demand_step(report, "EPRT", "warning", "550", text)
    return report["forwards"][0]["summary"]


def tls_required(stage):
    """A server that requires TLS for the log-in: found out without a user, and with one."""
    server = stage.server(VsftpdTlsOnly)
    for user in (True, False):
        code, report, text = check(stage, server, user=user)
        if code != 1:
            raise Failed(f"exit code {code}", text)
        step = demand_step(report, "tls", "failed", "encryption", text)
    return step["detail"]


def wrong_password(stage):
    code, report, text = check(stage, stage.server(Vsftpd), password="not-this-one")
    if code != 1:
        raise Failed(f"exit code {code}", text)
    return demand_step(report, "log-in", "failed", "530", text)["detail"]


def forwarding_forbidden(stage):
    """The report names the setting that forbids it."""
    with_sshd = sshd_with(stage, "AllowTcpForwarding no", 2251)
    code, report, text = check(stage, stage.server(Vsftpd), port=with_sshd)
    step = demand_step(report, "forward", "failed", "prohibited", text)
    if code != 1 or "AllowTcpForwarding" not in step["remedy"]:
        raise Failed(f"exit code {code}, remedy {step['remedy']}", text)
    return step["detail"]


def remote_forward_forbidden(stage):
    """Local forwards only: the report says that active mode is carried as passive, and why."""
    with_sshd = sshd_with(stage, "AllowTcpForwarding local", 2252)
    code, report, text = check(stage, stage.server(Vsftpd), port=with_sshd)
    step = demand_step(report, "PORT", "ok", "the SSH server refused the remote forward", text)
    if code != 0:
        raise Failed(f"exit code {code}", text)
    return step["detail"]


def foreign_address(stage):
    """A server that names another host than the one it is reached at: only following the reply works."""
    server = stage.server(VsftpdFar)
    relay = layouts.Relay(stage.network.site, (stage.network.far_address, server.port))
    try:
        code, report, text = check(stage, server, "--timeout", "5", host="localhost", at=relay.port)
        step = demand_step(report, "data-address", "failed", stage.network.far_address, text)
        if code != 1 or "--data-host reply" not in step["remedy"]:
            raise Failed(f"exit code {code}, remedy {step['remedy']}", text)
        code, report, text = check(stage, server, "--timeout", "5", "--data-host", "reply", host="localhost", at=relay.port)
        if code != 0:
            raise Failed(f"exit code {code}", text)
        return demand_step(report, "data-address", "ok", stage.network.far_address, text)["detail"]
    finally:
        relay.close()


def for_people(stage):
    """Without --json: one line for each step, and no colours without a terminal."""
    done = start(stage, stage.server(Vsftpd))
    text = done.out.decode()
    lines = text.splitlines()
    if done.code != 0 or done.err or "\x1b" in text or PASSWORD in text:
        raise Failed(f"exit code {done.code}", done.text)
    if not lines[-1].startswith("clients can use: passive, extended passive, active, extended active"):
        raise Failed(f"the last line is {lines[-1]}", done.text)
    return f"{sum(line.startswith('✓ ') for line in lines)} steps"


def check(stage, server, *options, **where):
    """Its exit code, its report, and its text as evidence."""
    done = start(stage, server, "--json", *options, **where)
    if PASSWORD in done.text:
        raise Failed("the password was printed", done.text)
    try:
        return done.code, json.loads(done.out), done.text
    except ValueError as error:
        raise Failed(f"exit code {done.code}, no JSON: {error}", done.text) from error


def start(stage, server, *options, port=22, user=True, password=PASSWORD, host=None, at=None):
    tunnel = stage.tunnel(port)
    file = stage.scratch / "ftp-password"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(f"{password}\n")
    words = ["--ftp-user", USER, "--ftp-password-file", file] if user else []
    argv = [
        *(stage.program, "check", *options, *words, "-p", tunnel.port, "-i", tunnel.identity),
        *("-o", f"UserKnownHostsFile={tunnel.known_hosts}", "-o", "StrictHostKeyChecking=yes"),
        *("-L", f"2121:{host or server.host}:{at or server.port}", f"root@{tunnel.address}"),
    ]
    return run(argv, env=tunnel.env, timeout=60)


def sshd_with(stage, option, port):
    stage.sshd(f"sshd-doctor-{port}", [option], port)
    return port


def demand_step(report, name, status, naming, text):
    steps = [step for step in report["steps"] + report["forwards"][0]["steps"] if step["name"] == name]
    if not steps or steps[0]["status"] != status or naming not in steps[0]["detail"]:
        raise Failed(f"{name}: expected {status} with {naming}, came {steps}", text)
    return steps[0]


CARRIED = "carried as passive"
CELLS = {
    "doctor/vsftpd": as_clients_find_it(Vsftpd),
    "doctor/pure-ftpd": as_clients_find_it(PureFtpd),
    "doctor/proftpd": as_clients_find_it(ProFtpd),
    "doctor/vsftpd-far": as_clients_find_it(VsftpdFar, CARRIED),
    "doctor/pure-ftpd-far": as_clients_find_it(PureFtpdFar, CARRIED),
    "doctor/proftpd-far": as_clients_find_it(ProFtpdFar, CARRIED),
    "doctor/epsv-denied": epsv_denied,
    "doctor/tls-required": tls_required,
    "doctor/wrong-password": wrong_password,
    "doctor/forwarding-forbidden": forwarding_forbidden,
    "doctor/remote-forward-forbidden": remote_forward_forbidden,
    "doctor/foreign-address": foreign_address,
    "doctor/for-people": for_people,
}
