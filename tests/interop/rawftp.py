"""An FTP client of the suite's own, for what no real one does on demand: pipelining, odd addresses, stalled
transfers."""

import socket

from servers import PASSWORD, USER


class RawFtp:
    """A control connection. `reply` reads one reply, however many lines it has."""

    def __init__(self, host, port, timeout=30, connect=socket.create_connection):
        self.control = connect((host, port), timeout)
        self._lines = self.control.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lines.close()
        self.control.close()

    def send(self, text):
        self.control.sendall(text.encode())

    def reply(self):
        """One reply: its code and its lines. EOF is a `ConnectionError`."""
        lines = [self._line()]
        code = lines[0][:3]
        if lines[0][3:4] == "-":
            while not (lines[-1].startswith(code) and lines[-1][3:4] in (" ", "")) or len(lines) == 1:
                lines.append(self._line())
        return int(code), lines

    def ask(self, command):
        self.send(command + "\r\n")
        return self.reply()

    def expect(self, code, command=None):
        """Sends a command, if any, and insists on the code of its reply; returns the reply's text."""
        got, lines = self.ask(command) if command is not None else self.reply()
        if got != code:
            raise AssertionError(f"{command or 'greeting'}: expected {code}, got {lines}")
        return "\n".join(lines)

    def login(self):
        self.expect(220)
        self.expect(331, f"USER {USER}")
        self.expect(230, f"PASS {PASSWORD}")
        self.expect(200, "TYPE I")
        return self

    def data(self, text):
        """The data connection that the text of a 227 names."""
        numbers = [int(number) for number in text[text.index("(") + 1 : text.rindex(")")].split(",")]
        address = ".".join(map(str, numbers[:4])), numbers[4] * 256 + numbers[5]
        return socket.create_connection(address, 30)

    def retrieve(self, path):
        """Starts a download in passive mode; returns the data connection, from which nothing has been read."""
        connection = self.data(self.expect(227, "PASV"))
        self.expect(150, f"RETR {path}")
        return connection

    def _line(self):
        line = self._lines.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError(f"the control connection ended after {line!r}")
        return line.decode("utf-8", "replace").rstrip("\r\n")


def drain(connection, limit=None):
    """Reads to EOF (or up to `limit` bytes); returns what came."""
    got = bytearray()
    while limit is None or len(got) < limit:
        chunk = connection.recv(1 << 16 if limit is None else min(1 << 16, limit - len(got)))
        if not chunk:
            break
        got += chunk
    return bytes(got)
