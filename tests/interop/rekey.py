"""New keys in the middle of transfers, with a real sshd: every megabyte, and where the default limits are passed."""

import ftplib
import hashlib
import random

from ferryline import Ferryline
from servers import PASSWORD, USER, Vsftpd
from stage import Failed

MIB = 1024 * 1024
# A lane's default limit is 1 GiB in either direction.
PAST_THE_DEFAULT = 1100 * MIB
OFTEN = 12 * MIB


def every_megabyte(stage):
    """sshd asks for new keys after each megabyte; its log tells how often they came."""
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
    """More than 1 GiB each way over one lane, with the limits that everybody has."""
    return both_ways(stage, None, PAST_THE_DEFAULT, "rekey-default")


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
    """A file to read that is nowhere: each megabyte another one, so that one in the wrong place shows."""

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
}
