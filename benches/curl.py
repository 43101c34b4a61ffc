"""curl, the client of most lines."""

import json
import time

from process import checked

QUIET = ["curl", "--disable", "--silent", "--show-error", "--fail"]


def download(tunnel, path, size):
    """Seconds for one file, data thrown away."""
    return transfer([tunnel.url(path), "-o", "/dev/null"], "size_download", size)


def upload(tunnel, source, path, size):
    """Seconds for one file."""
    return transfer(["-T", source, tunnel.url(path)], "size_upload", size)


def transfer(words, counted, size):
    told = checked([*QUIET, *words, "-w", "%{json}"], timeout=600)
    told = json.loads(told)
    if told[counted] != size:
        raise RuntimeError(f"curl moved {told[counted]} bytes of {size}")
    return told["time_total"]


def several(tunnel, paths, folder, *options):
    """Seconds for files one after another over one control connection, without a comparison."""
    config = folder / "curl.config"
    config.write_text("".join(f'url = "{tunnel.url(path)}"\noutput = "/dev/null"\n' for path in paths))
    began = time.monotonic()
    checked([*QUIET, *options, "-K", config], timeout=600)
    return time.monotonic() - began
