"""The path to the SSH server falls silent and comes back: nothing is lost, and new clients are served again.

The names say how long the silence is, what goes on meanwhile, and which direction is silent. Most of these cells take
long, and run only when a pattern names them.
"""

import contextlib
import os
import threading
import time

from ferryline import Ferryline
from netns import entering, ip
from process import checked, eventually
from rawftp import RawFtp
from servers import Vsftpd
from stage import HUGE, HUGE_SIZE, Failed

# The outages that ferryline promises to survive; longer ones end sessions, with a 421.
SURVIVED = 45
# Bytes a second of each transfer while the path is silent or about to be.
RATE = 4 * 1024 * 1024
# A cell fails if a client is served later than this after the return of the path. The promise is 3 s.
TOO_LATE = 8


def silence(seconds, loaded, direction):
    def play(stage):
        name = f"outage-{seconds}-{'loaded' if loaded else 'idle'}-{direction}"
        ferryline = Ferryline(stage.tunnel(), stage.logs / f"ferryline-{name}.log", port=stage.server(Vsftpd).port)
        try:
            with contextlib.ExitStack() as stack:
                return Outage(stage, name, ferryline.port(), stack).play(seconds, loaded, direction)
        finally:
            ferryline.stop()

    return play


class Outage:
    def __init__(self, stage, name, port, stack):
        self.stage, self.name, self.port, self.stack = stage, name, port, stack

    def play(self, seconds, loaded, direction):
        idle = self.stack.enter_context(RawFtp("127.0.0.1", self.port, 150)).login()
        transfers = [Download(self), Upload(self)] if loaded else []
        for transfer in transfers:
            transfer.start()
        eventually(lambda: all(transfer.moved > RATE for transfer in transfers), 20, "the transfers to move")

        with silent(self.stage, direction):
            # The first comes at once, the others every ten seconds.
            early = []
            began = time.monotonic()
            while (left := began + seconds - time.monotonic()) > 0:
                early.append(Visit(self.port))
                time.sleep(min(left, 10))
        returned = time.monotonic()
        asked = Question(idle)
        late = []
        for _ in range(3):
            late.append(Visit(self.port))
            time.sleep(1)

        asked.join()
        for transfer in transfers:
            transfer.finish()
        for visit in [*early, *late]:
            visit.join()
        report = [
            f"old session {asked.told(returned)}",
            "waiting clients " + ", ".join(visit.told(returned) for visit in early),
            "new clients " + ", ".join(visit.told(visit.came) for visit in late),
            *(f"{transfer.verb} {transfer.outcome}" for transfer in transfers),
        ]
        note = "; ".join(report)
        lost = [transfer for transfer in transfers if transfer.outcome != "whole"]
        if seconds <= SURVIVED and (asked.code != "200" or lost or any(visit.code != "220" for visit in early)):
            raise Failed(f"something was lost: {note}")
        if any("broken" in transfer.outcome for transfer in transfers):
            raise Failed(f"a cut transfer was told as a whole one: {note}")
        if any(visit.code != "220" or visit.at - visit.came > TOO_LATE for visit in late):
            raise Failed(f"a client that came after the return was refused or waited: {note}")
        return note


@contextlib.contextmanager
def silent(stage, direction):
    """Drops the packets on the link to the SSH host, in one direction or both."""
    chains = {"both": ("INPUT", "OUTPUT"), "to-server": ("INPUT",), "from-server": ("OUTPUT",)}[direction]
    links = {"INPUT": "-i", "OUTPUT": "-o"}
    link = f"fy{os.getpid()}b"
    rules = [(chain, links[chain], link, "-j", "DROP") for chain in chains]
    site = entering(stage.network.site)
    for rule in rules:
        checked([*site, "iptables", "-I", *rule])
    try:
        yield
    finally:
        for rule in rules:
            checked([*site, "iptables", "-D", *rule])


class Question(threading.Thread):
    """The reply to a NOOP of a session that has survived the outage."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client, self.at, self.code = client, None, "nothing"
        self.start()

    def run(self):
        try:
            self.code = str(self.client.ask("NOOP")[0])
        except OSError as error:
            self.code = type(error).__name__
        self.at = time.monotonic()

    def told(self, since):
        return f"{self.code} after {self.at - since:.1f} s"


class Visit(threading.Thread):
    """A client that connects, and waits for its greeting."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.came, self.at, self.code = port, time.monotonic(), None, "nothing"
        self.start()

    def run(self):
        try:
            with RawFtp("127.0.0.1", self.port, 150) as client:
                self.code = str(client.reply()[0])
        except OSError as error:
            self.code = type(error).__name__
        self.at = time.monotonic()

    def told(self, since):
        return f"{self.code} after {self.at - since:.1f} s"


class Transfer(threading.Thread):
    """A transfer at a steady rate until it is told to finish; `outcome` says how it ended."""

    def __init__(self, outage):
        super().__init__(daemon=True)
        self.client = outage.stack.enter_context(RawFtp("127.0.0.1", outage.port, 150)).login()
        self.moved, self.hurry, self.outcome = 0, threading.Event(), "unfinished"

    def finish(self):
        self.hurry.set()
        self.join(150)

    def run(self):
        try:
            ended = self.move()
        except OSError as error:
            ended = type(error).__name__
        try:
            code = str(self.client.reply()[0])
        except OSError as error:
            code = type(error).__name__
        whole = self.is_whole()
        if code.startswith("2") and ended == "in order":
            self.outcome = "whole" if whole else "broken and told as whole"
        else:
            self.outcome = f"lost ({ended}, {code})"

    def pace(self):
        if not self.hurry.is_set():
            self.hurry.wait(0.05)


class Download(Transfer):
    verb = "download"

    def __init__(self, outage):
        super().__init__(outage)
        self.data = outage.stack.enter_context(self.client.retrieve(HUGE))
        self.data.settimeout(150)

    def move(self):
        while chunk := self.data.recv(RATE // 20):
            self.moved += len(chunk)
            self.pace()
        return "in order"

    def is_whole(self):
        return self.moved == HUGE_SIZE


class Upload(Transfer):
    verb = "upload"

    def __init__(self, outage):
        super().__init__(outage)
        name, folder = outage.stage.upload_folder(outage.name)
        self.stored = folder / "f"
        self.data = outage.stack.enter_context(self.client.data(self.client.expect(227, "PASV")))
        self.client.expect(150, f"STOR {name}/f")
        self.data.settimeout(150)

    def move(self):
        piece = bytes(RATE // 20)
        more = 16 * 1024 * 1024
        while more > 0:
            self.data.sendall(piece)
            self.moved += len(piece)
            if self.hurry.is_set():
                more -= len(piece)
            self.pace()
        self.data.close()
        return "in order"

    def is_whole(self):
        return self.stored.stat().st_size == self.moved


def address_changes(stage):
    """The client's address changes from one moment to the next: old sessions are silent, new ones are served."""
    name = "outage-address"
    ferryline = Ferryline(stage.tunnel(), stage.logs / f"ferryline-{name}.log", port=stage.server(Vsftpd).port)
    network, pid = stage.network, os.getpid()
    site = ("-n", network.site)
    try:
        with RawFtp("127.0.0.1", ferryline.port()) as old:
            old.login()
            ip("address", "add", f"{NEW_ADDRESS}/32", "dev", f"fy{pid}a")
            ip(*site, "route", "add", NEW_ADDRESS, "dev", f"fy{pid}b")
            ip("address", "delete", f"{network.client_address}/30", "dev", f"fy{pid}a")
            ip("route", "add", network.ssh_address, "dev", f"fy{pid}a", "src", NEW_ADDRESS)
            try:
                began = time.monotonic()
                with RawFtp("127.0.0.1", ferryline.port(), 60) as new:
                    new.login()
                    waited = time.monotonic() - began
                    with new.retrieve("down/one.bin") as data:
                        if len(data.recv(2)) != 1:
                            raise Failed("the file of one byte did not come")
                    new.expect(226)
                    whole = time.monotonic() - began
            finally:
                ip("address", "add", f"{network.client_address}/30", "dev", f"fy{pid}a")
                ip("address", "delete", f"{NEW_ADDRESS}/32", "dev", f"fy{pid}a")
                ip(*site, "route", "delete", NEW_ADDRESS, "dev", f"fy{pid}b")
        return f"a new client was logged in after {waited:.1f} s and had its file after {whole:.1f} s"
    finally:
        ferryline.stop()


# An address in the range of the others, and in neither of the links' networks.
NEW_ADDRESS = "198.19.255.9"

# 20 s, a transfer each way: this outage ends nothing, and keeps the kernel's timers waiting.
CELLS = {"outage/20/loaded/both": silence(20, True, "both"), "outage/address-changes": address_changes}

# These run only when a pattern names them.
LONG_CELLS = {
    f"outage/{seconds}/{load}/{direction}": silence(seconds, load == "loaded", direction)
    for seconds in (5, 20, 30, 45, 100)
    for load in ("idle", "loaded")
    for direction in ("both", "to-server", "from-server")
    if f"outage/{seconds}/{load}/{direction}" not in CELLS
}
