"""Replaces in a recorded session what belongs to this machine or this run: addresses of sockets, folders, times.

The same thing gets the same stand-in throughout a session, so that it replays as before.
"""

import re
import socket

# The first stand-in of a port, by what listens there.
CLIENT, SERVER, LOCAL_FORWARD, REMOTE_FORWARD = 50001, 40001, 51001, 42001
HOME = "/home/ferry"
HOST = "ftp.example"

SIX = re.compile(r"\b(\d+,\d+,\d+,\d+),(\d+),(\d+)\b")
EXTENDED = re.compile(r"\|(\d*)\|([^|]*)\|(\d+)\|")
# What servers say about the time and about this machine, each with its replacement.
TOLD = [
    (re.compile(r"Local time is now \d\d:\d\d"), "Local time is now 12:00"),
    (re.compile(r"\d+\.\d+ seconds \(measured here\), \d+\.\d+ (\w+ per second)"), r"0.001 seconds (measured here), 1.00 \1"),
    (re.compile(r"\d+ bytes transmitted"), "1000 bytes transmitted"),
    (re.compile(r"unique=[0-9A-Fa-f]+[gU]?[0-9A-Fa-f]*;"), "unique=1;"),
    (re.compile(r"(at|since) \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}"), r"\1 Mon Jan  1 12:00:00 2024"),
    # Times of files that were made in this run; the other files are older.
    (re.compile(r"\b20(2[5-9]|[3-9]\d)\d{10}\b"), "20240101120000"),
    # The third host, of the run's own network.
    (re.compile(r"\b198([.,])1[89]\1\d+\1\d+\b"), r"198\g<1>18\g<1>0\g<1>6"),
    (re.compile(r"\bferrytest-\S*?/"), "ferrytest/"),
]


def anonymised(text, heading, home):
    """A recorded session as it is kept: with a heading, without times unless a timeout makes them matter."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    ports = stand_ins(lines)
    timed = any(re.match(r"(@\S+ )?! timeout", line) for line in lines)
    if not timed:
        lines = [line for line, before in zip(lines, ["", *lines]) if not is_progress(line) or not is_progress(before)]
    kept = []
    for line in lines:
        at, line = re.fullmatch(r"(?:@(\S+) )?(.*)", line).groups()
        line = line.replace(home, HOME)
        line = re.sub(rf"\b{re.escape(socket.gethostname())}\b", HOST, line)
        for told, instead in TOLD:
            line = told.sub(instead, line)
        line = with_ports(line, ports)
        # Whole tenths: the limits are whole seconds, so every deadline stays in its place.
        kept.append(f"@{int(float(at) * 10) / 10} {line}" if timed and at else line)
    return f"# ferryline session 1\n{heading}" + "\n".join(kept) + "\n"


def is_progress(line):
    return re.search(r"! progress \d+$", line) is not None


def stand_ins(lines):
    """A stand-in for each port of the session, by the purpose of the port."""
    ports = {}
    count = {}

    def stand_in(port, first):
        # No listener has a lower one: such a port stays as it is.
        if port not in ports and int(port) >= 1024:
            count[first] = count.get(first, first - 1) + 1
            ports[port] = count[first]

    header = re.search(r"client=\S+:(\d+) local=\S+:(\d+)", "\n".join(lines))
    ports[header[1]], ports[header[2]] = 50000, 2121
    remote = {match[1] for line in lines if (match := re.search(r"! remote-forward (\d+) ", line))}
    for line in lines:
        what = re.sub(r"^@\S+ ", "", line)
        if match := re.match(r"! ready (\d+) \S+:(\d+)$", what):
            stand_in(match[2], REMOTE_FORWARD if match[1] in remote else LOCAL_FORWARD)
        elif what.startswith("C> "):
            for port in named(what):
                stand_in(port, CLIENT)
        elif what.startswith("S< 22"):
            for port in named(what):
                stand_in(port, SERVER)
    return ports


def named(line):
    yield from (str(int(high) * 256 + int(low)) for _, high, low in SIX.findall(line))
    yield from (port for _, _, port in EXTENDED.findall(line))


def with_ports(line, ports):
    def six(match):
        port = ports.get(str(int(match[2]) * 256 + int(match[3])))
        return f"{match[1]},{port // 256},{port % 256}" if port else match[0]

    line = SIX.sub(six, line)
    line = EXTENDED.sub(lambda match: f"|{match[1]}|{match[2]}|{ports.get(match[3], match[3])}|", line)
    # Addresses with a port, and five digits on their own.
    return re.sub(r"(?<![\d.,])(\d{4,5})(?![\d.,])", lambda match: str(ports.get(match[1], match[1])), line)
