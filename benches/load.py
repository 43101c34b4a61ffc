"""Many clients: `load.rs`, and what is read of the processes that serve them meanwhile."""

import json
import subprocess
import threading
from dataclasses import dataclass, field

from process import WITH_PARENT
from servers import PASSWORD, USER

SAMPLES_EVERY = 0.25


@dataclass
class Load:
    """`figures` are the generator's own; the rest is of the process that the clients were connected to."""

    figures: dict = field(default_factory=dict)
    cpu: float = 0.0
    resident: list = field(default_factory=list)

    def __getitem__(self, name):
        return self.figures[name]


def load(scene, way, mode, *words, at_end=lambda: None):
    """Puts a load on a tunnel. `at_end` is called when the measured time is over and all clients are still there."""
    words = [scene.tools["load"], mode, f"{way.address}:{way.port}", USER, PASSWORD, *words]
    told, over = Load(), threading.Event()
    child = subprocess.Popen(
        WITH_PARENT + [str(word) for word in words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    sampler = threading.Thread(target=sample, args=(way, told, over), daemon=True)
    try:
        wait_for(child, "begin")
        before = way.cpu()
        sampler.start()
        wait_for(child, "end")
        told.cpu = way.cpu() - before
        over.set()
        at_end()
        out, _ = child.communicate("go on\n", 60)
        told.figures = json.loads(out)
    finally:
        over.set()
        child.kill()
        child.wait()
    return told


def wait_for(child, word):
    line = child.stdout.readline()
    if line.strip() != word:
        raise RuntimeError(f"the load did not {word}: it printed {line!r} and {child.stderr.read()!r}")


def sample(way, told, over):
    while not over.wait(SAMPLES_EVERY):
        told.resident.append(way.resident())
