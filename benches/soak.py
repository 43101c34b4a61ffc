"""Mixed clients for a long time: nothing may be lost, and memory has to stay flat. `run --soak MINUTES`."""

import ftplib
import hashlib
import io
import random
import socket
import threading
import time
from collections import Counter
from pathlib import Path

from servers import PASSWORD, USER

CLIENTS = 6
SIZES = (0, 1, 4096, 300_000, 5_000_000)


def soak(scene, minutes):
    """Prints a line a minute; true where all went well."""
    samples, counts, failures, until = [], Counter(), [], time.monotonic() + 60 * minutes
    with scene.ferry() as way:
        clients = [threading.Thread(target=client, args=(way, seed, until, counts, failures), daemon=True) for seed in range(CLIENTS)]
        for thread in clients:
            thread.start()
        while any(thread.is_alive() for thread in clients) and not failures:
            time.sleep(min(60, max(1, until - time.monotonic())))
            samples.append((way.resident(), files(way)))
            print(f"{len(samples):3} min: {samples[-1][0]:.1f} MiB, {samples[-1][1]} files open; {dict(counts)}", flush=True)
        for thread in clients:
            thread.join(60)
        # What closes behind its client does so within seconds.
        time.sleep(20)
        left = files(way)
    for failure in failures:
        print(f"FAILED: {failure}")
    warm = samples[len(samples) // 3 :]
    flat = max(size for size, _ in warm) < 1.25 * min(size for size, _ in warm) + 8
    # The listeners, the SSH connections, the runtime's own: nothing that a client leaves behind.
    print(f"at the end {left} files open; memory from the first third on {min(warm)[0]:.1f} to {max(warm)[0]:.1f} MiB")
    print("soak:", "passed" if flat and not failures and left < 40 else "FAILED", dict(counts))
    return flat and not failures


def files(way):
    return len(list(Path(f"/proc/{way.pid}/fd").iterdir()))


def client(way, seed, until, counts, failures):
    chance = random.Random(seed)
    try:
        while time.monotonic() < until and not failures:
            session(way, seed, chance, counts)
    except Exception as error:  # noqa: BLE001 - the first one ends the soak
        failures.append(f"client {seed}: {type(error).__name__}: {error}")


def session(way, seed, chance, counts):
    """A log-in and some transfers, in either mode; some sessions break off."""
    ftp = ftplib.FTP(timeout=60)
    ftp.connect(way.address, way.port)
    ftp.login(USER, PASSWORD)
    ftp.set_pasv(chance.random() < 0.6)
    mode = "passive" if ftp.passiveserver else "active"
    for _ in range(chance.randrange(1, 12)):
        what = chance.choice(("list", "round trip", "round trip", "round trip", "abort", "vanish", "idle"))
        counts[f"{mode} {what}"] += 1
        if what == "list":
            if not ftp.nlst("small"):
                raise RuntimeError("an empty listing")
        elif what == "round trip":
            round_trip(ftp, seed, chance)
        elif what == "abort":
            abort(ftp)
        elif what == "idle":
            time.sleep(chance.random())
        else:
            vanish(ftp)
            return
    ftp.quit()


def round_trip(ftp, seed, chance):
    sent = chance.randbytes(chance.choice(SIZES))
    ftp.storbinary(f"STOR sink/{seed}.bin", io.BytesIO(sent), 1 << 16)
    got = hashlib.sha256()
    ftp.retrbinary(f"RETR sink/{seed}.bin", got.update, 1 << 16)
    if got.digest() != hashlib.sha256(sent).digest():
        raise RuntimeError(f"{len(sent)} bytes came back changed")


def abort(ftp):
    """Breaks a download off as clients do: the data connection goes, the control connection stays."""
    data = ftp.transfercmd("RETR bulk.bin")
    data.recv(1 << 16)
    data.close()
    try:
        ftp.voidresp()
    except ftplib.error_temp:
        pass


def vanish(ftp):
    """Is gone in the middle of a download, both its connections reset."""
    data = ftp.transfercmd("RETR bulk.bin")
    data.recv(1 << 16)
    for connection in (data, ftp.sock):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, (1).to_bytes(4, "little") + bytes(4))
        connection.close()
    ftp.file.close()
