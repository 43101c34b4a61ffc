"""Records sessions with ferryline itself, one ferryline each, and writes them without what belongs to this machine."""

import argparse
import fnmatch
import re
import shutil
import signal
import sys
import traceback
from pathlib import Path

import versions
from anonymise import anonymised
from clients import MODES, Target
from ferryline import Ferryline
from main import CACHE, REPOSITORY, build
from process import eventually, run
from sessions import SESSIONS, fill_home
from stage import Stage

SESSIONS_FOLDER = REPOSITORY / "fixtures" / "sessions"
# Seconds after which a recording counts as hung.
LIMIT = 90


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = [s for s in SESSIONS if not options.k or any(fnmatch.fnmatch(s.name, f"*{k}*") for k in options.k)]
    if options.list:
        print(*(session.name for session in wanted), sep="\n")
        return 0
    if duplicates := {s.name for s in SESSIONS if [t.name for t in SESSIONS].count(s.name) > 1}:
        sys.exit(f"recorded twice: {duplicates}")

    program = options.ferryline or build()
    failed = []
    with Stage(program, CACHE, False, logs="record-logs") as stage:
        fill_home(stage)
        for session in wanted:
            try:
                for path in record(stage, session, options.into):
                    print(f"ok    {path.name}", flush=True)
            except Exception as error:
                failed.append(session.name)
                print(f"FAIL  {session.name}: {type(error).__name__}: {error}", flush=True)
                if not isinstance(error, (TimeoutError, RuntimeError)):
                    traceback.print_exc()
    print(f"{len(wanted) - len(failed)} recorded, {len(failed)} failed {' '.join(failed)}")
    return 1 if failed else 0


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/interop/record", description="Records sessions of real clients and servers through ferryline."
    )
    option = parser.add_argument
    option("-k", action="append", metavar="PATTERN", help="only sessions whose name has PATTERN in it")
    option("--ferryline", type=Path, metavar="PATH", help="the program that records (default: what cargo builds)")
    option("--into", type=Path, default=SESSIONS_FOLDER, metavar="DIR", help="where to write (fixtures/sessions)")
    option("--list", action="store_true", help="print the names and end")
    return parser.parse_args()


class Scene:
    """The scene of a session: the stage, a ferryline of its own, and the address for its client."""

    def __init__(self, stage, session, server, ferryline):
        self.stage, self.session, self.ferryline = stage, session, ferryline
        self.server = server
        host = MODES[session.mode][0]
        self.target = Target(host, ferryline.port(host), session.mode)
        self.into = stage.download_folder(session.name)
        self.home = stage.home

    def program(self, kind=None):
        return (kind or self.session.client)(self.stage.programs, self.stage.scratch)


def record(stage, session, into):
    """Runs a session and writes what ferryline recorded of it; returns the files."""
    folder = stage.scratch / "recorded" / session.name
    folder.mkdir(parents=True)
    server = stage.server(session.server)
    log = stage.logs / f"{session.name}.log"
    tunnel = session.tunnel(stage) if session.tunnel else stage.tunnel()
    tunnel.record = folder
    ferryline = Ferryline(tunnel, log, server.host, server.port, session.options)
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(LIMIT)
    try:
        session.play(Scene(stage, session, server, ferryline))
        # Where ferryline is to be stopped in mid-session, the session itself has stopped it.
        if ferryline.child.poll() is None:
            eventually(lambda: all_ended(log), 40, "the sessions to end")
    except BaseException:
        ferryline.stop()
        for path in folder.glob("*.session"):
            shutil.copy(path, stage.logs / f"{session.name}-{path.name}")
        raise
    finally:
        signal.alarm(0)
        ferryline.stop()

    recorded = sorted(folder.glob("*.session"))
    if not recorded:
        raise RuntimeError(f"nothing was recorded; see {log}")
    written = []
    for number, path in enumerate(recorded, 1):
        name = session.name if len(recorded) == 1 else f"{session.name}-{number}"
        text = anonymised(path.read_text(), heading(stage, session), str(stage.home))
        written.append(write(stage, into / f"{name}.session", text))
    shutil.rmtree(folder)
    return written


def heading(stage, session):
    server, client = (versions.of(stage.programs, kind) for kind in (session.server, session.client))
    mode = "active" if MODES[session.mode][1] in ("PORT", "EPRT") else "passive"
    return f"# server {server}, client {client}, mode {mode}\n# {session.words}\n"


def write(stage, path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    done = run([stage.program, "replay", path])
    if done.code != 0:
        raise RuntimeError(f"{path} does not replay:\n{done.text}")
    return path


def all_ended(log):
    text = log.read_text("utf-8", "replace")
    begun = set(re.findall(r"(#\d+) \S+ → ", text))
    return begun and begun == set(re.findall(r"(#\d+) \S+ ended", text))


def out_of_time(*_):
    raise TimeoutError(f"nothing came of it in {LIMIT} s")


if __name__ == "__main__":
    sys.exit(main())
