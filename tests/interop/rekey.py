"""Rekeying in the middle of transfers, with a real sshd: every megabyte, and beyond the default limits."""

import ftplib
import hashlib
import random
from concurrent.futures import ThreadPoolExecutor

from ferryline import Ferryline
from servers import PASSWORD, USER, Vsftpd
from stage import Failed

MIB = 1024 * 1024
# A lane's default limit is 1 GiB in either direction.
PAST_THE_DEFAULT = 1100 * MIB
OFTEN = 12 * MIB


def every_megabyte(stage):
    """sshd starts a key exchange after each megabyte; its log says how often."""
    sshd = stage.sshd("sshd-rekey", ("RekeyLimit 1M", "LogLevel DEBUG1"), 2207)
    try:
        note = both_ways(stage, 2207, OFTEN, "rekey-often")
        times = sshd.log.read_text(errors="replace").count("SSH2_MSG_NEWKEYS received")
        # Two connections need one exchange each.
        if times < 2 * OFTEN // MIB // 2:
            raise Failed(f"only {times} exchanges of keys for {2 * OFTEN // MIB} MiB")
        return f"{note}, {times} exchanges of keys"
    finally:
        sshd.stop()


def past_the_default_limits(stage):
    """More than 1 GiB each way over one lane, with the default limits."""
    return both_ways(stage, None, PAST_THE_DEFAULT, "rekey-default")


def shared_connection(stage):
    """Several downloads on one connection, past 1 GiB: the side that starts a key exchange must get the data in
    flight."""
    return in_parallel(stage, 8, ())


def shared_connection_often(stage):
    return in_parallel(stage, 2, ("-o", "RekeyLimit=30M"))


def in_parallel(stage, times, options):
    """Six clients that fetch 64 MiB N times each."""
    server = stage.server(Vsftpd)
    name = "rekey-shared-" + str(times)
    log = stage.logs / f"ferryline-{name}.log"
    ferryline = Ferryline(stage.tunnel(), log, port=server.port, options=("--lanes", "0", *options))
    folder, path = stage.upload_folder(name)
    block = random.Random(2048).randbytes(64 * MIB)
    (path / "file.bin").write_bytes(block)
    wanted = hashlib.blake2b(block).digest()

    def fetch(_):
        with ftplib.FTP(timeout=60) as client:
            client.connect("127.0.0.1", ferryline.port())
            client.login(USER, PASSWORD)
            for _ in range(times):
                received = hashlib.blake2b()
                client.retrbinary(f"RETR {folder}/file.bin", received.update, MIB)
                if received.digest() != wanted:
                    raise Failed("what came is not what was there")
            client.quit()

    try:
        with ThreadPoolExecutor(6) as clients:
            list(clients.map(fetch, range(6)))
        return f"{6 * times * 64} MiB by six clients"
    finally:
        ferryline.stop()
        (path / "file.bin").unlink(missing_ok=True)


def both_ways(stage, port, size, name):
    server = stage.server(Vsftpd)
    tunnel = stage.tunnel(port) if port else stage.tunnel()
    ferryline = Ferryline(tunnel, stage.logs / f"ferryline-{name}.log", port=server.port, options=("--lanes", "1"))
    folder, path = stage.upload_folder(name)
    try:
        with ftplib.FTP(timeout=60) as client:
            client.connect("127.0.0.1", ferryline.port())
            client.login(USER, PASSWORD)
            sent = Generated(size)
            client.storbinary(f"STOR {folder}/file.bin", sent, MIB)
            with (path / "file.bin").open("rb") as stored:
                if hashlib.file_digest(stored, "blake2b").digest() != sent.hash.digest():
                    raise Failed("what was stored is not what was sent")
            received = hashlib.blake2b()
            client.retrbinary(f"RETR {folder}/file.bin", received.update, MIB)
            if received.digest() != sent.hash.digest():
                raise Failed("what came back is not what was sent")
            client.quit()
        return f"{size // MIB} MiB each way"
    finally:
        ferryline.stop()
        (path / "file.bin").unlink(missing_ok=True)


class Generated:
    """A file object without a file behind it: each megabyte differs, so that one in the wrong place shows."""

    def __init__(self, size):
        self.left, self.number = size, 0
        self.block = random.Random(1024).randbytes(MIB - 8)
        self.hash = hashlib.blake2b()

    def read(self, _):
        if not self.left:
            return b""
        piece = self.number.to_bytes(8, "big") + self.block
        self.number += 1
        self.left -= len(piece)
        self.hash.update(piece)
        return piece


CELLS = {
    "rekey/every-megabyte": every_megabyte,
    "rekey/past-the-default-limits": past_the_default_limits,
    "rekey/shared-connection": shared_connection,
    "rekey/shared-connection-often": shared_connection_often,
}
