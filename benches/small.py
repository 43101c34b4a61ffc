"""Small files one after another over one control connection: what a data connection costs."""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from curl import several
from result import at_least, at_most
from scene import FILES

FEW = 10
ACTIVE = ("--ftp-port", "-")


def many(scene):
    """Without added delay: how many a second."""
    paths = [f"small/{number}.bin" for number in range(FILES)]
    rate = {}
    with TemporaryDirectory() as folder:
        for _ in range(scene.runs):
            for name, tunnel in (("ssh", scene.ssh), ("ferryline", scene.ferry)):
                with tunnel() as way:
                    several(way, paths[:1], Path(folder))
                    rate.setdefault(name, []).append(FILES / several(way, paths, Path(folder)))
    own, ssh = median(rate["ferryline"]), median(rate["ssh"])
    yield at_least(f"{own:.0f} files a second, ssh -L {ssh:.0f}", own / ssh, 8)


def few(scene):
    """Over a long link: the time that each file more takes."""
    paths = [f"small/{number}.bin" for number in range(FEW + 1)]
    extra = {}
    with TemporaryDirectory() as folder, scene.long_link() as at, scene.direct(at[0]) as direct:
        for _ in range(scene.runs):
            for name, tunnel in (("ssh", scene.ssh), ("ferryline", scene.ferry), ("direct", None)):
                if tunnel is None:
                    extra.setdefault(name, []).append(per_file(direct, paths, Path(folder)))
                    continue
                with tunnel(at=at) as way:
                    extra.setdefault(name, []).append(per_file(way, paths, Path(folder)))
    own, ssh, direct = (1000 * median(extra[name]) for name in ("ferryline", "ssh", "direct"))
    figures = f"{own:.0f} ms a file = {own / scene.rtt:.1f} round trips"
    yield at_most(f"{figures}, ssh -L {ssh:.0f} = {ssh / scene.rtt:.1f}", own / ssh, 0.6)
    yield at_most(f"{figures}, direct {direct:.0f} = {direct / scene.rtt:.1f}", own / direct, 1.0)


def active(scene):
    """As `few`, in active mode, which `ssh -L` cannot carry."""
    paths = [f"small/{number}.bin" for number in range(FEW + 1)]
    extra = {}
    with TemporaryDirectory() as folder, scene.long_link() as at, scene.direct(at[0]) as direct:
        for _ in range(scene.runs):
            extra.setdefault("direct", []).append(per_file(direct, paths, Path(folder), *ACTIVE))
            with scene.ferry(at=at) as way:
                extra.setdefault("ferryline", []).append(per_file(way, paths, Path(folder), *ACTIVE))
    own, direct = (1000 * median(extra[name]) for name in ("ferryline", "direct"))
    figures = f"{own:.0f} ms a file = {own / scene.rtt:.1f} round trips"
    yield at_most(f"{figures}, direct {direct:.0f} = {direct / scene.rtt:.1f}", own / direct, 1.35)


def per_file(way, paths, folder, *options):
    several(way, paths[:1], folder, *options)
    one = several(way, paths[:1], folder, *options)
    return (several(way, paths, folder, *options) - one) / FEW


LINES = {
    f"{FILES} small files": many,
    f"{FEW} small files, long link": few,
    f"{FEW} small files, long link, active": active,
}
