"""Hosts of a test's own: this machine's programs, with changes that are the host's alone."""

import os
import shutil
import subprocess
from pathlib import Path

from process import daemon, descendants, eventually, run


class Host:
    """A host of the test's own that has this machine's programs, and whose changes are its own: an overlay over /, in a
    mount namespace. It shares the network. It is gone when its last process has ended."""

    BUILD = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc none "$1/root/proc" 2>/dev/null || mount --rbind /proc "$1/root/proc"
for folder in run tmp; do mount -t tmpfs none "$1/root/$folder"; done
chmod 1777 "$1/root/tmp"
exec chroot "$1/root" sh -c 'echo built; exec sleep infinity'
"""

    def __init__(self, folder: Path, log: Path):
        folder.mkdir()
        self._folder = folder
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", self.BUILD, "host", folder]
        self.child = daemon(argv, log, stdout=subprocess.PIPE)
        if self.child.stdout.readline() != b"built\n":
            raise RuntimeError(f"a host of its own could not be made; log {log}")
        self._found(self.child.pid)

    def _found(self, pid):
        """Takes the files that this process sees for those of the host."""
        self.pid, self.root = pid, Path(f"/proc/{pid}/root")
        # What a test removes there must never be this machine's.
        if self.root.stat().st_dev == Path("/").stat().st_dev:
            self.end()
            raise RuntimeError("the host of its own has this machine's files, not an overlay over them")

    @property
    def entering(self):
        """The words that run what follows them on this host."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--root", "--wd=/"]

    def bring(self, file: Path):
        """Copies a file into the host's /tmp; returns its path there."""
        shutil.copy(file, self.root / "tmp")
        return f"/tmp/{file.name}"

    def changes(self):
        """What is not as on this machine: the paths of files and folders."""
        argv = ["nsenter", f"--target={self.pid}", "--mount", "--"]
        argv += ["find", self._folder / "changes", "-mindepth", "1", "-printf", "/%P\n"]
        found = subprocess.run(list(map(str, argv)), check=True, stdout=subprocess.PIPE, text=True)
        return set(found.stdout.split("\n")) - {""}

    def end(self):
        self.child.kill()
        self.child.wait()


class SystemdHost(Host):
    """Such a host whose first process is systemd. Of its units only those of a test run, and the journal. What is not a
    namespace's is out of its reach: /proc/sys and /sys are read only, and it has a control group of its own."""

    BUILD = """
set -e
r=$1/root
mount -t tmpfs none "$1"
mkdir "$1/changes" "$1/work" "$r"
mount -t overlay none -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$r"
mount -t proc none "$r/proc"
mount --bind "$r/proc/sys" "$r/proc/sys"
mount -o remount,bind,ro "$r/proc/sys"
[ ! -e "$r/proc/sysrq-trigger" ] || mount --bind /dev/null "$r/proc/sysrq-trigger"
mount -t sysfs -o ro none "$r/sys"
if [ "$2" = unified ]; then
    mount -t cgroup2 none "$r/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 none "$r/sys/fs/cgroup"
    mkdir "$r/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd none "$r/sys/fs/cgroup/systemd"
fi
mount -t tmpfs -o mode=755 none "$r/dev"
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r name major minor <<END
$node
END
    mknod -m 666 "$r/dev/$name" c "$major" "$minor"
done
mkdir "$r/dev/pts" "$r/dev/shm"
touch "$r/dev/console"
ln -s pts/ptmx "$r/dev/ptmx"
mount -t devpts -o newinstance,ptmxmode=666 none "$r/dev/pts"
mount -t tmpfs -o mode=755 none "$r/run"
mount -t tmpfs -o mode=1777 none "$r/tmp"
hostname ferrytest
rm -rf "$r"/lib/systemd/system/*.wants "$r"/usr/lib/systemd/system/*.wants "$r"/etc/systemd/system/* \\
    "$r"/usr/lib/systemd/system-generators "$r"/usr/lib/systemd/system-environment-generators "$r"/usr/sbin/policy-rc.d
printf '[Unit]\\nWants=systemd-journald.service\\n' >"$r/etc/systemd/system/test.target"
for unit in udevd sysctl modules-load logind tmpfiles-setup networkd resolved timesyncd; do
    ln -s /dev/null "$r/etc/systemd/system/systemd-$unit.service"
done
echo built
exec chroot "$r" env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=test.target \\
    --log-target=console --show-status=0
"""

    def __init__(self, folder: Path, log: Path):
        folder.mkdir()
        self._folder = folder
        self._group = control_groups() / f"ferrytest-{os.getpid()}"
        self._group.mkdir()
        kind = "unified" if control_groups() == UNIFIED else "legacy"
        spaces = ["--mount", "--propagation", "private", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child"]
        enter = 'echo $$ >"$0/cgroup.procs"; exec "$@"'
        argv = ["sh", "-c", enter, self._group, "unshare", *spaces, "sh", "-c", self.BUILD, "host", folder, kind]
        self.child = daemon(argv, log, stdout=subprocess.PIPE)
        try:
            if self.child.stdout.readline() != b"built\n":
                raise RuntimeError(f"a host of its own could not be made; log {log}")
            first = descendants(self.child.pid)[0]
            eventually(lambda: b"systemd" in Path(f"/proc/{first}/cmdline").read_bytes()[:30], what="systemd")
            self._found(first)
            state = [*self.entering, "systemctl", "is-system-running"]
            eventually(lambda: run(state).out.strip() in (b"running", b"degraded"), 30, "systemd to be up")
        except BaseException:
            self.end()
            raise

    @property
    def entering(self):
        spaces = ("--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wd=/")
        return ["nsenter", f"--target={self.pid}", *spaces]

    def end(self):
        super().end()
        for folder, _, _ in os.walk(self._group, topdown=False):
            eventually(lambda folder=folder: gone(folder), what=f"the end of the control group {folder}")


UNIFIED = Path("/sys/fs/cgroup")


def control_groups():
    """The folder of the control groups that systemd counts its services by."""
    return UNIFIED if (UNIFIED / "cgroup.controllers").exists() else UNIFIED / "systemd"


def gone(folder):
    """Removes a control group, once its last process has ended."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True
