"""inetd, for servers that need it: inetd.py HOST PORT PROGRAM [WORD...] runs the program for each connection, with
the connection as its standard input, output and error."""

import signal
import socket
import subprocess
import sys


def main(host, port, *argv):
    # This program does not wait for its children.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, int(port)), family=family) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                subprocess.Popen(argv, stdin=connection, stdout=connection, stderr=connection, restore_signals=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
