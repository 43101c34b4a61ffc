"""One large file, both ways: the time it takes, and what the client process works for it."""

from statistics import median

from curl import download, upload
from result import at_least, at_most
from scene import BULK

GCM = ("-c", "aes128-gcm@openssh.com")


def rates(scene, down, ciphers=((), GCM)):
    """MB/s and CPU seconds per GiB of each tunnel, the medians of runs that take turns."""
    size = scene.mib << 20
    source = scene.home / BULK
    rate, cpu = {}, {}
    warm(source)
    for _ in range(scene.runs):
        tunnels = [(options, lambda options=options: scene.ssh(*options)) for options in ciphers]
        for name, tunnel in [*tunnels, ("ferryline", scene.ferry)]:
            with tunnel() as way:
                # The first one warms caches up, and ferryline's lane.
                download(way, "small/0.bin", 4096)
                before = way.cpu()
                seconds = download(way, BULK, size) if down else upload(way, source, "sink/bulk.bin", size)
                cpu.setdefault(name, []).append((way.cpu() - before) / scene.mib * 1024)
                rate.setdefault(name, []).append(size / seconds / 1e6)
                (scene.home / "sink" / "bulk.bin").unlink(missing_ok=True)
    return {name: median(of) for name, of in rate.items()}, {name: median(of) for name, of in cpu.items()}


def warm(file):
    """Reads it once, so that no run is the one that finds it on the disk."""
    with file.open("rb") as source:
        while source.read(1 << 20):
            pass


def bulk(down, wanted, wanted_gcm):
    def line(scene):
        rate, cpu = rates(scene, down)
        own, ssh, gcm = rate["ferryline"], rate[()], rate[GCM]
        yield at_least(f"{own:.0f} MB/s, ssh -L {ssh:.0f} (its default cipher)", own / ssh, wanted)
        yield at_least(f"{own:.0f} MB/s, ssh -L {gcm:.0f} (aes128-gcm)", own / gcm, wanted_gcm)
        yield at_most(
            f"{cpu['ferryline']:.2f} CPU s/GiB, ssh -L {cpu[GCM]:.2f} (aes128-gcm), {cpu[()]:.2f} (default)",
            cpu["ferryline"] / cpu[GCM],
            0.85,
        )

    return line


def delayed(scene):
    """The same over a long link that has no limit but its delay."""
    size = scene.mib << 20
    rate = {}
    with scene.delayed() as at:
        for _ in range(scene.runs):
            for name, tunnel in (("ssh", scene.ssh), ("ferryline", scene.ferry)):
                with tunnel(at=at) as way:
                    download(way, "small/0.bin", 4096)
                    rate.setdefault(name, []).append(size / download(way, BULK, size) / 1e6)
    own, ssh = median(rate["ferryline"]), median(rate["ssh"])
    # A window of 8 MiB against 2 MiB. A larger one is faster here, and slower where kernels have buffers.
    yield at_least(f"{own:.0f} MB/s, ssh -L {ssh:.0f}", own / ssh, 2)


LINES = {
    "download": bulk(True, 1.5, 1.0),
    "upload": bulk(False, 2.0, 1.5),
    "download, long link": delayed,
}
