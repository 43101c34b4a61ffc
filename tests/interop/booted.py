"""Debian's package on a host that systemd runs: its unit as it is, with all of its confinement."""

from pathlib import Path

from clients import Curl, Lftp
from hosts import SystemdHost, control_groups
from package import ADDRESS, AUDIT, PORT, edit, host, on, package, transfers
from process import eventually
from stage import Failed

# CAP_NET_BIND_SERVICE alone.
PORTS_ONLY, NOTHING = 1 << 10, 0


def systemd(stage):
    """Installed, enabled, confined, used, rotated, updated, killed, stopped, by way of its socket, removed."""
    if not control_groups().exists() or not Path("/lib/systemd/systemd").exists():
        return "this machine has no systemd, or no control groups for one"
    with host(stage, "systemd", SystemdHost) as site:
        deb = site.bring(package(stage))
        on(site, "dpkg", "-i", deb)
        demand_state(site, "disabled", "inactive")
        edit(stage, site, audit=True)
        on(site, "systemctl", "enable", "ferryline")
        control(site, "start", "ferryline")
        demand_confined(site, PORTS_ONLY)
        on(site, "systemd-analyze", "security", "--no-pager", "--threshold=20", "ferryline")
        transfers(stage, "systemd", ((Curl, "EPSV"), (Curl, "PORT"), (Lftp, "PASV")))

        rotate = site.bring(stage.programs / "logrotate/usr/sbin/logrotate")
        on(site, rotate, "--force", "--state", "/tmp/logrotate.state", "/etc/logrotate.d/ferryline")
        eventually(lambda: (site.root / AUDIT[1:]).exists(), what="a new audit record, after the reload of logrotate")

        before = shown(site, "MainPID")
        on(site, "dpkg", "-i", deb)
        demand_other(site, before, 30)
        transfers(stage, "systemd-updated")
        before = shown(site, "MainPID")
        on(site, "kill", "-9", before)
        demand_other(site, before, 30)
        transfers(stage, "systemd-killed")

        file = site.root / "etc/ferryline/ferryline.toml"
        text = file.read_text()
        file.write_text(text.replace("destination", "destinaton", 1))
        control(site, "reload", "ferryline")
        eventually(lambda: "the last reload failed" in shown(site, "StatusText"), what="a reload that has failed")
        transfers(stage, "systemd-not-reloaded")
        file.write_text(text)

        control(site, "stop", "ferryline")
        if shown(site, "Result") != "success":
            raise Failed(f"the stop is a {shown(site, 'Result')}")
        by_socket(stage, site)
        on(site, "dpkg", "-r", "ferryline")
        demand_state(site, "", "inactive")
        said = on(site, "cat", AUDIT)
        if '"event":"transfer"' not in said:
            raise Failed(f"the audit record has no transfer: {said}")
    return "with its unit and all of its confinement; by its socket without any capability"


def by_socket(stage, site):
    """systemd listens, and the service has no capability."""
    drop_in(site, "ferryline.socket", f"[Socket]\nListenStream=\nListenStream={ADDRESS}:{PORT}\n")
    drop_in(site, "ferryline.service", "[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\n")
    on(site, "systemctl", "daemon-reload")
    control(site, "start", "ferryline.socket")
    control(site, "start", "ferryline")
    demand_confined(site, NOTHING)
    transfers(stage, "systemd-socket")


def control(site, verb, unit):
    """Has systemd do something; where it fails, the journal says why."""
    said = on(site, "systemctl", verb, unit, may_fail=True)
    if said.strip():
        ask = "systemctl --no-pager status ferryline; journalctl --no-pager --lines=40"
        journal = on(site, "sh", "-c", ask, may_fail=True)
        raise Failed(f"systemctl {verb} {unit}: {said}", journal)


def drop_in(site, unit, text):
    folder = site.root / f"etc/systemd/system/{unit}.d"
    folder.mkdir()
    (folder / "test.conf").write_text(text)


def shown(site, name):
    return on(site, "systemctl", "show", "--value", "--property", name, "ferryline").strip()


def demand_state(site, enabled, active):
    for unit in ("ferryline.service", "ferryline.socket"):
        got = [on(site, "systemctl", ask, unit, may_fail=True).strip() for ask in ("is-enabled", "is-active")]
        if enabled not in got[0] or got[1] != active:
            raise Failed(f"{unit} is {got}, not {enabled} and {active}")


def demand_confined(site, capabilities):
    """The service is not root's, has no other capabilities than these, and a filter of system calls."""
    status = on(site, "cat", f"/proc/{shown(site, 'MainPID')}/status")
    values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    got = [int(values[name], 16) for name in ("CapEff", "CapBnd")]
    if "0" in values["Uid"].split() or set(got) != {capabilities} or values["Seccomp"] != "2":
        raise Failed(f"the service is not confined: {values}")


def demand_other(site, before, timeout):
    eventually(lambda: shown(site, "MainPID") not in (before, "0"), timeout, "another process of the service")
    eventually(lambda: shown(site, "ActiveState") == "active", timeout, "the service")


CELLS = {"package/systemd": systemd}
