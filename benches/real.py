"""Over real packets on a long link: large files, a small one, the first one; with buffers as kernels come, and raised."""

import functools
import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from curl import QUIET, download, upload
from longlink import RAISED, STOCK
from process import checked
from result import Result
from small import FEW, per_file

# In MiB: some seconds at what a link of 50 ms and stock buffers carries.
LARGE, LARGE_SIZE = "link.bin", 256
SMALL = [f"small/{number}.bin" for number in range(FEW + 1)]


def large(measure):
    """Megabytes a second."""

    def line(scene, settings):
        source = scene.memory / LARGE
        with source.open("wb") as file:
            file.truncate(LARGE_SIZE << 20)
        os.chown(source, *owner(scene.memory))
        try:
            rate = each(scene, settings, lambda way: (LARGE_SIZE << 20) / measure(way, source) / 1e6)
        finally:
            source.unlink()
        yield from compare(rate, "MB/s", more_is_better=True)

    return line


def down(way, source):
    download(way, SMALL[0], 4096)
    return download(way, f"sink/{source.name}", LARGE_SIZE << 20)


def up(way, source):
    download(way, SMALL[0], 4096)
    try:
        return upload(way, source, "sink/uploaded.bin", LARGE_SIZE << 20)
    finally:
        (source.parent / "uploaded.bin").unlink(missing_ok=True)


def small(scene, settings):
    """Milliseconds that each file more takes over one control connection."""
    with TemporaryDirectory() as folder:
        took = each(scene, settings, lambda way: 1000 * per_file(way, SMALL, Path(folder)))
    yield from compare(took, f"ms a file ({scene.rtt:.0f} ms round trip)", more_is_better=False)


def first(scene, settings):
    """Milliseconds from connecting to the first byte, the tunnel being new."""
    took = each(scene, settings, first_byte)
    yield from compare(took, f"ms to the first byte ({scene.rtt:.0f} ms round trip)", more_is_better=False)


def first_byte(way):
    return 1000 * float(checked([*QUIET, way.url(SMALL[0]), "-o", "/dev/null", "-w", "%{time_starttransfer}"]))


def each(scene, settings, measure):
    """What `measure` finds of direct FTP, ferryline and `ssh -L`, the medians of runs that take turns."""
    found = {}
    with scene.long_link(settings) as at, scene.direct(at[0]) as direct:
        for _ in range(scene.runs):
            found.setdefault("direct", []).append(measure(direct))
            for name, tunnel in (("ssh", scene.ssh), ("ferryline", scene.ferry)):
                with tunnel(at=at) as way:
                    found.setdefault(name, []).append(measure(way))
    return {name: median(of) for name, of in found.items()}


def compare(found, unit, more_is_better):
    own, ssh, direct = (found[name] for name in ("ferryline", "ssh", "direct"))
    ratio = f"{own / ssh:.2f}× ssh"
    better = own >= ssh if more_is_better else own <= ssh
    yield Result(f"{own:.0f} {unit}, ssh -L {ssh:.0f}, direct {direct:.0f}", ratio, "", better)


def owner(path):
    status = path.stat()
    return status.st_uid, status.st_gid


WORK = {"download": large(down), "upload": large(up), "small": small, "first": first}
LINES = {
    f"{buffers}/{name}": functools.partial(line, settings=settings)
    for buffers, settings in (("link", STOCK), ("link-raised", RAISED))
    for name, line in WORK.items()
}
