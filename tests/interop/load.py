"""Many clients at once through one tunnel; one of them has stopped reading."""

import ftplib
import io
import random
import threading
import time

from rawftp import RawFtp, drain
from servers import PASSWORD, USER, PureFtpd, Vsftpd
from stage import HUGE, Failed

CLIENTS, SIZE = 50, 5 * 1024 * 1024
BLOCK = 1 << 18


def fifty_clients(kind):
    """Each uploads a file of its own and downloads it again, while another client's download is stalled."""

    def play(stage):
        server = stage.server(kind)
        port = stage.ferryline(server).port()
        folder, _ = stage.upload_folder(f"fifty-{kind.name}")
        material = random.Random(2428).randbytes(SIZE)

        with RawFtp("127.0.0.1", port) as stalled:
            stalled.login()
            with stalled.retrieve(HUGE) as data:
                drain(data, BLOCK)
                began = time.monotonic()
                failures = together(CLIENTS, lambda number: round_trip(port, folder, number, material))
                seconds = time.monotonic() - began
                if failures:
                    raise Failed(f"{len(failures)} of {CLIENTS} clients failed, the first with: {failures[0]}")
                # The stalled download was not given up: it goes on when its client reads on.
                if len(drain(data, 16 * BLOCK)) < 16 * BLOCK:
                    raise Failed("the stalled download did not go on")
        rate = 2 * CLIENTS * SIZE / seconds / 1e6
        return f"{CLIENTS} clients, {SIZE // 1024 // 1024} MiB up and down each: {seconds:.1f} s, {rate:.0f} MB/s"

    return play


def round_trip(port, folder, number, material):
    # Each client's bytes are its own, so that mixed-up transfers show.
    start = number * 4093
    own = material[start:] + material[:start]
    with ftplib.FTP(timeout=120) as client:
        client.connect("127.0.0.1", port)
        client.login(USER, PASSWORD)
        client.storbinary(f"STOR {folder}/{number}.bin", io.BytesIO(own), BLOCK)
        got = io.BytesIO()
        client.retrbinary(f"RETR {folder}/{number}.bin", got.write, BLOCK)
    if got.getvalue() != own:
        raise Failed(f"client {number}: {len(got.getvalue())} bytes came back, and not those that were sent")


def together(count, work):
    """Calls `work` with 0, 1, ... on as many threads, all let go at once; returns the errors."""
    gate, failures = threading.Barrier(count), []

    def body(number):
        gate.wait()
        try:
            work(number)
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=body, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


CELLS = {
    "load/fifty-clients-vsftpd": fifty_clients(Vsftpd),
    "load/fifty-clients-pure-ftpd": fifty_clients(PureFtpd),
}
