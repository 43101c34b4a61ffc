"""Metrics and the page: Prometheus' own tools accept what is shown under load, and a browser shows what runs."""

import html
import re
import shutil
import socket
import tempfile
import threading
import urllib.request
from pathlib import Path

from ferryline import Ferryline
from load import round_trip, together
from process import run
from rawftp import RawFtp, drain
from servers import PASSWORD, USER, Vsftpd
from stage import HUGE, HUGE_SIZE, Failed

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"

CLIENTS, ROUNDS, SIZE = 20, 5, 200_000

# What a client may call a file: HTML, a terminal's escape sequence, and a character beyond ASCII.
HOSTILE = "<img src=x onerror=\"document.title='owned'\">\x1b[2J\u00e9.bin"


def watched(stage, name, *options):
    """A ferryline that shows what it does at a port; returns it with the page's address."""
    server = stage.server(Vsftpd)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = stage.logs / f"ferryline-{name}.log"
    options = ("--metrics", f"127.0.0.1:{port}", *options)
    return Ferryline(stage.tunnel(), log, server.host, server.port, options), f"http://127.0.0.1:{port}"


def promtool(stage, *words, stdin=b""):
    program = stage.programs / "prometheus" / "usr" / "bin" / "promtool"
    done = run([program, *words], stdin=stdin)
    if done.code != 0:
        raise Failed(f"promtool {' '.join(map(str, words))}: exit code {done.code}", done.text)


def read(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def counters(text):
    """Each counter of a scrape, with its value."""
    found, kinds = {}, {}
    for line in text.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            kinds[name] = kind
        elif not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            if kinds.get(series.split("{")[0]) == "counter":
                found[series] = float(value)
    return found


def accepted_under_load(stage):
    """Each scrape among twenty clients at work is accepted, and no counter ever goes back. In the end they are what
    the clients did."""
    folder, _ = stage.upload_folder("monitor-load")
    ferryline, url = watched(stage, "monitor-load")
    try:
        over, scrapes = threading.Event(), []
        reading = threading.Thread(target=lambda: scrape(url, over, scrapes), daemon=True)
        reading.start()
        material = bytes(range(256)) * (SIZE // 256)
        port = ferryline.port()
        rounds = lambda number: [round_trip(port, folder, number, material) for _ in range(ROUNDS)]
        failures = together(CLIENTS, rounds)
        over.set()
        reading.join()
        if failures:
            raise Failed(f"{len(failures)} of {CLIENTS} clients failed, the first with: {failures[0]}")
        before = {}
        for text in scrapes:
            now = counters(text)
            back = [series for series, value in before.items() if now.get(series, 0) < value]
            if back:
                raise Failed(f"counters went back: {back}")
            before = now
        for text in [scrapes[0], scrapes[len(scrapes) // 2], scrapes[-1]]:
            promtool(stage, "check", "metrics", stdin=text)
        last = counters(read(url + "/metrics"))
        done, moved = CLIENTS * ROUNDS, CLIENTS * ROUNDS * len(material)
        for part, wanted in {
            'transfers_total{TUNNEL,direction="upload",result="complete"}': done,
            'transfers_total{TUNNEL,direction="download",result="complete"}': done,
            'transfer_bytes_total{TUNNEL,direction="upload"}': moved,
            'transfer_bytes_total{TUNNEL,direction="download"}': moved,
            'logins_total{TUNNEL,result="accepted"}': done,
        }.items():
            pattern = re.compile("ferryline_" + re.escape(part).replace("TUNNEL", 'tunnel="[^"]*"') + "$")
            values = [value for series, value in last.items() if pattern.match(series)]
            if values != [wanted]:
                raise Failed(f"{part} is {values}, and not {wanted}")
        return f"{len(scrapes)} scrapes among {2 * done} transfers"
    finally:
        ferryline.stop()


def scrape(url, over, scrapes):
    while not over.is_set():
        scrapes.append(read(url + "/metrics"))
    scrapes.append(read(url + "/metrics"))


def rules(stage):
    promtool(stage, "check", "rules", PACKAGING / "alerts.yml")


def page(stage):
    """A browser shows a transfer that runs, one that failed, and a name that would be HTML as text. It reports no
    breach of the page's content policy, and asks nobody else."""
    ferryline, url = watched(stage, "monitor-page")
    try:
        with RawFtp("127.0.0.1", ferryline.port()) as client:
            client.login()
            with client.data(client.expect(227, "PASV")):
                client.expect(550, f"RETR {HOSTILE}")
            client.expect(213, f"SIZE {HUGE}")
            with client.retrieve(HUGE) as data:
                drain(data, HUGE_SIZE // 4)
                dom, log = browse(stage, url + "/")
        if "Content Security Policy" in log or "CONSOLE" in log:
            raise Failed("the browser complains", log)
        if "owned" in dom.split("</title>")[0] or "<img" in dom:
            raise Failed("a file's name has become a part of the page", dom)
        text = html.unescape(re.sub("<[^>]*>", " ", dom.split("</head>")[1]))
        for part in [
            f"RETR {HUGE}",
            "of 536.9 MB",
            USER,
            "<img src=x onerror=",
            "\\x1b[2J\\xc3\\xa9.bin",
            "550 ",
            "SSH up",
        ]:
            if part not in text:
                raise Failed(f"the page does not show {part!r}", text)
        bar = re.search(r'<progress max="(\d+)" value="(\d+)"', dom)
        if not bar or int(bar[1]) != HUGE_SIZE or int(bar[2]) < HUGE_SIZE // 4:
            raise Failed("there is no bar, or it is wrong", dom)
        if PASSWORD in text:
            raise Failed("the page shows a password", text)
        return f"{len(dom)} bytes of DOM"
    finally:
        ferryline.stop()


def browse(stage, url):
    """What a browser makes of the page, and what it says about it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise Failed("there is no chromium: run tests/interop/install")
    with tempfile.TemporaryDirectory(dir=stage.scratch) as profile:
        done = run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *("--disable-dev-shm-usage", f"--user-data-dir={profile}", "--enable-logging=stderr"),
                *("--virtual-time-budget=4000", "--dump-dom", url),
            ],
            timeout=90,
        )
    if done.code != 0:
        raise Failed(f"{browser}: exit code {done.code}", done.text)
    return done.out.decode(), done.err.decode("utf-8", "replace")


CELLS = {
    "monitor/promtool-under-load": accepted_under_load,
    "monitor/promtool-rules": rules,
    "monitor/page-in-a-browser": page,
}
