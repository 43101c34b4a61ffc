"""Debian's package: made, looked at by lintian, installed on a host of its own, used, updated, removed."""

import contextlib
import os
import re
import shutil
from pathlib import Path

from clients import Curl, Lftp, Target
from gateway import whole
from hosts import Host
from netns import wait_for_listener
from process import checked, run
from servers import Vsftpd
from stage import SSH_PORT, Failed
from systemd import Service, Unit

REPOSITORY = Path(__file__).resolve().parents[2]
# Programs that know no other port: the service has the privilege for it. Not 127.0.0.1, where this machine may have one.
ADDRESS, PORT = "127.0.0.21", 21

# The command of docs/service.md.
WITHOUT_SYSTEMD = re.compile(r"^(setpriv .* ferryline serve)$", re.MULTILINE)

FILES = {
    "/usr/bin/ferryline": (0o755, "root", "root"),
    "/etc/ferryline": (0o750, "root", "ferryline"),
    "/etc/ferryline/ferryline.toml": (0o640, "root", "ferryline"),
    "/etc/logrotate.d/ferryline": (0o644, "root", "root"),
    "/usr/lib/systemd/system/ferryline.service": (0o644, "root", "root"),
    "/usr/lib/systemd/system/ferryline.socket": (0o644, "root", "root"),
    "/usr/lib/sysusers.d/ferryline.conf": (0o644, "root", "root"),
    "/usr/share/bash-completion/completions/ferryline": (0o644, "root", "root"),
    "/usr/share/fish/vendor_completions.d/ferryline.fish": (0o644, "root", "root"),
    "/usr/share/zsh/vendor-completions/_ferryline": (0o644, "root", "root"),
    "/usr/share/doc/ferryline/README.md": (0o644, "root", "root"),
    "/usr/share/doc/ferryline/changelog.Debian.gz": (0o644, "root", "root"),
    "/usr/share/doc/ferryline/copyright": (0o644, "root", "root"),
    "/usr/share/doc/ferryline/docs/service.md": (0o644, "root", "root"),
    "/usr/share/doc/ferryline/third-party.txt.gz": (0o644, "root", "root"),
    "/usr/share/man/man1/ferryline.1.gz": (0o644, "root", "root"),
    "/usr/share/man/man1/ferryline-serve.1.gz": (0o644, "root", "root"),
    "/usr/share/man/man5/ferryline.toml.5.gz": (0o644, "root", "root"),
}
# What a purge leaves, besides the files of dpkg and of the account.
AUDIT = "/var/log/ferryline/audit.jsonl"
KEPT = {
    "/etc/ferryline", "/etc/ferryline/key", "/etc/ferryline/known_hosts", "/var/log/ferryline", AUDIT, f"{AUDIT}.1",
}  # fmt: skip
# Files and folders of dpkg, of its triggers and of the account.
OF_THE_SYSTEM = (
    "/var/lib/dpkg", "/var/log/dpkg.log", "/var/cache/man", "/var/log/alternatives.log",
    "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid", "/etc/.pwd.lock",
)  # fmt: skip


def package(stage):
    """The package with the program that is tested; made at first use."""
    if not hasattr(stage, "package"):
        argv = [REPOSITORY / "packaging/build-deb", "--fast", "--program", stage.program]
        stage.package = Path(checked(argv, env=dict(os.environ), timeout=220).strip())
    return stage.package


def lintian(stage):
    """lintian finds no error, and no warning that packaging/debian/lintian-overrides does not explain."""
    done = run(["lintian", "--fail-on", "error,warning", "--allow-root", package(stage)], timeout=120)
    if done.code != 0 or done.text.strip():
        raise Failed("lintian finds fault", done.text)
    return f"{package(stage).name}: {package(stage).stat().st_size / 1e6:.1f} MB"


@contextlib.contextmanager
def host(stage, name, kind=Host):
    made = kind(stage.scratch / f"host-{name}", stage.logs / f"host-{name}.log")
    try:
        yield made
    finally:
        made.end()


def on(host, *argv, may_fail=False, **options):
    """Runs a program on a host; returns its output."""
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = run([*host.entering, *argv], env=env, timeout=60, **options)
    if done.code != 0 and not may_fail:
        raise Failed(f"{' '.join(map(str, argv))} ended with {done.code}: {done.text}")
    return done.text


def account(host):
    """Name, number, group, home and shell of the service's user on a host."""
    fields = on(host, "getent", "passwd", "ferryline").strip().split(":")
    return int(fields[2]), int(fields[3]), fields[5], fields[6]


def demand_files(host):
    listed = on(host, "dpkg", "-L", "ferryline").split("\n")
    for path, (mode, user, group) in FILES.items():
        if path not in listed:
            raise Failed(f"the package does not bring {path}")
        got = on(host, "stat", "-c", "%a %U %G", path).strip()
        if got != f"{mode:o} {user} {group}":
            raise Failed(f"{path} is {got}, not {mode:o} {user} {group}")
    started = [path for path in host.changes() if path.startswith("/etc/systemd/") and "ferryline" in path]
    if started:
        raise Failed(f"the package has enabled its units: {started}")


def edit(stage, host, audit=False):
    """Does what a new user does: puts a key and the host key beside the file, and changes the lines of the example.
    `audit`: turns the audit record on."""
    etc = host.root / "etc/ferryline"
    shutil.copy(stage.keys / "user", etc / "key")
    stage.tunnel()
    shutil.copy(stage.keys / "known_hosts", etc / "known_hosts")
    on(host, "chgrp", "ferryline", "/etc/ferryline/key")
    (etc / "key").chmod(0o640)
    (etc / "known_hosts").chmod(0o644)
    server = stage.server(Vsftpd)
    file = etc / "ferryline.toml"
    text = file.read_text()
    record = f'[audit]\n# file = "{AUDIT}"'
    for before, after in (
        (f"# {record}", record.replace("# ", "") if audit else f"# {record}"),
        ('destination = "ferry@ssh.example"', f'destination = "root@{stage.network.ssh_address}:{SSH_PORT}"'),
        ('local-forward = "21:localhost:21"', f'local-forward = "{ADDRESS}:{PORT}:localhost:{server.port}"'),
    ):
        if text.count(before) != 1:
            raise Failed(f"the example file has no {before}")
        text = text.replace(before, after)
    file.write_text(text)
    return text


def as_user(host):
    return [*host.entering, "setpriv", "--reuid=ferryline", "--regid=ferryline", "--init-groups", "--"]


def start(stage, host):
    """Starts the service as its unit says."""
    unit = Unit((host.root / "usr/lib/systemd/system/ferryline.service").read_text())
    user_id, group_id, *_ = account(host)
    return unit.start(host.root, host.entering, stage.logs / "package-service.log", user_id, group_id).ready()


def demand_user(service):
    """The process that was started is the service, and it is not root's."""
    status = Path(f"/proc/{service.child.pid}/status").read_text()
    command = Path(f"/proc/{service.child.pid}/cmdline").read_bytes()
    ids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
    if not command.startswith(b"/usr/bin/ferryline\0serve\0") or "0" in ids:
        raise Failed(f"{command} runs as {ids}")


def transfers(stage, name, played=((Curl, "EPSV"),)):
    for client, mode in played:
        whole(stage, client, Target(ADDRESS, PORT, mode), f"package-{name}-{client.name}-{mode}")


def install(stage):
    """Install, edit one file, start, use; update while it runs; remove, purge."""
    deb = package(stage)
    with host(stage, "install") as site:
        before = site.changes()
        on(site, "dpkg", "-i", site.bring(deb))
        demand_files(site)
        if account(site)[2:] != ("/var/lib/ferryline", "/usr/sbin/nologin"):
            raise Failed(f"the user is {account(site)}")
        units = [f"/usr/lib/systemd/system/ferryline.{kind}" for kind in ("service", "socket")]
        if shutil.which("systemd-analyze"):
            said = on(site, "systemd-analyze", "verify", *units)
            if said.strip():
                raise Failed(f"systemd-analyze finds fault: {said}")
        on(site, "bash", "-c", ". /usr/share/bash-completion/completions/ferryline; complete -p ferryline")

        text = edit(stage, site, audit=True)
        on(site, "ferryline", "serve", "--check-config")
        checked([*as_user(site), "ferryline", "check", "--tunnel", "erp"], timeout=60)
        service = start(stage, site)
        try:
            demand_user(service)
            transfers(stage, "installed", ((Curl, "EPSV"), (Curl, "PORT"), (Lftp, "PASV")))
            rotate = site.bring(stage.programs / "logrotate/usr/sbin/logrotate")
            on(site, rotate, "--force", "--state", "/tmp/logrotate.state", "/etc/logrotate.d/ferryline")
            # What logrotate asks systemd for.
            service.reload()
            transfers(stage, "rotated")
            update(stage, site, deb, text)
            # systemd would start it anew; this one has the old program until then.
            transfers(stage, "updated")
        finally:
            code = service.stop()
        if code != 0:
            raise Failed(f"the service ended with {code}")
        service = start(stage, site)
        try:
            transfers(stage, "updated-and-started")
        finally:
            service.stop()
        demand_record(site)
        kept = remove(site, before, text)
    return f"installed, updated, purged; left: {', '.join(sorted(kept))}"


def demand_record(host):
    """The audit record is whole over both of its files, and only the service can read it: the unit has UMask=0077."""
    files = [f"{AUDIT}.1", AUDIT]
    said = on(host, "ferryline", "audit", "verify", *files)
    modes = on(host, "stat", "-c", "%a %U %G", *files).split("\n")[:2]
    if not said.startswith("whole: ") or "without an end" in said or set(modes) != {"600 ferryline ferryline"}:
        raise Failed(f"'audit verify' says {said}; the files are {modes}")


def update(stage, host, deb, text):
    """The next revision of the package brings another example file: the administrator's stays."""
    unpacked = stage.scratch / "package-2"
    checked(["dpkg-deb", "-R", deb, unpacked])
    control = unpacked / "DEBIAN/control"
    before = control.read_text()
    after = before.replace("-1\nArchitecture", "-2\nArchitecture")
    if before == after:
        raise Failed(f"no revision in {before}")
    control.write_text(after)
    example = unpacked / "etc/ferryline/ferryline.toml"
    example.write_text(example.read_text() + "# As of revision 2.\n")
    newer = stage.scratch / "ferryline-2.deb"
    checked(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", unpacked, newer], timeout=60)
    on(host, "dpkg", "--force-confdef", "--force-confold", "-i", host.bring(newer))
    version = on(host, "dpkg-query", "-W", "-f", "${Version} ${db:Status-Abbrev}", "ferryline").split()
    if not version[0].endswith("-2") or version[1] != "ii":
        raise Failed(f"after the update dpkg has {version}")
    if (host.root / "etc/ferryline/ferryline.toml").read_text() != text:
        raise Failed("the update has changed the administrator's file")
    demand_files(host)


def remove(host, before, text):
    """Removed, the administrator's file is there; purged, nothing is that the package has brought."""
    user = account(host)
    on(host, "dpkg", "-r", "ferryline")
    if (host.root / "etc/ferryline/ferryline.toml").read_text() != text:
        raise Failed("the removal has taken the administrator's file")
    said = on(host, "dpkg", "-P", "ferryline")
    if "/etc/ferryline is not removed" not in said:
        raise Failed(f"the purge does not say what it leaves: {said}")
    if account(host) != user:
        raise Failed("the purge has taken the user")
    here = host.root
    left = {
        path
        for path in host.changes() - before
        # Overlays note what is gone, and folders in which something has changed.
        if (here / path[1:]).exists() and not path.startswith(OF_THE_SYSTEM) and not was_there(path)
    }
    if left != KEPT:
        raise Failed(f"after the purge there is {sorted(left - KEPT)} and there is no {sorted(KEPT - left)}")
    return left


def was_there(path):
    return Path(path).exists()


def without_systemd(stage):
    """On a host without systemd's tools the package installs, and makes its user by those of passwd. The service is
    started by the command of docs/service.md, with nobody to tell that it is ready."""
    with host(stage, "without") as site:
        for tool in ("systemd-sysusers", "systemctl", "systemd-analyze"):
            for folder in ("usr/bin", "bin"):
                (site.root / folder / tool).unlink(missing_ok=True)
        on(site, "dpkg", "-i", site.bring(package(stage)))
        demand_files(site)
        if account(site)[2:] != ("/var/lib/ferryline", "/usr/sbin/nologin"):
            raise Failed(f"the user is {account(site)}")
        edit(stage, site)
        (command,) = WITHOUT_SYSTEMD.findall((REPOSITORY / "docs/service.md").read_text())
        setpriv, *words = command.split()
        argv = [*site.entering, setpriv, "--pdeathsig=KILL", *words]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        service = Service(argv, stage.logs / "package-without.log", stage.scratch / "notify", env=env)
        try:
            wait_for_listener(None, ADDRESS, PORT, service.child)
            whole(stage, Curl, Target(ADDRESS, PORT, "EPSV"), "package-without-systemd")
        finally:
            service.stop()


CELLS = {
    "package/lintian": lintian,
    "package/install": install,
    "package/without-systemd": without_systemd,
}
