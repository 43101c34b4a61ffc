"""Control sessions that do nothing: what each keeps in memory."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

from rawftp import RawFtp
from result import Result

SESSIONS, LIMIT = 500, 24


def idle(scene):
    with scene.ferry("--max-sessions", str(2 * SESSIONS)) as way, contextlib.ExitStack() as sessions:
        before = way.resident()
        opened = []
        with ThreadPoolExecutor(20) as clients:
            for client in clients.map(lambda _: RawFtp(way.address, way.port).login(), range(SESSIONS)):
                opened.append(sessions.enter_context(client))
        # Each still answers.
        for client in opened:
            client.expect(200, "NOOP")
        grown = way.resident() - before
    figures = f"{before:.1f} MiB, with {SESSIONS} sessions {grown:.1f} MiB more ({1024 * grown / SESSIONS:.0f} KiB each)"
    yield Result(figures, f"{grown:.1f} MiB", f"≤ {LIMIT} MiB", grown <= LIMIT)


LINES = {f"{SESSIONS} idle sessions": idle}
