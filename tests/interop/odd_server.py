"""An FTP server for behaviour that no real server shows on demand: odd_server.py PORT. The name of a file decides how
its data connection ends: "open" stays open until the next command, any other ends with the file, as usual."""

import os
import socket
import socketserver
import sys

SIZE = 200_000


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.listener = self.left_open = None
        self.say("220 ready")
        for line in self.rfile:
            if self.left_open is not None:
                self.left_open.close()
                self.left_open = None
            verb, _, argument = line.decode("latin-1").rstrip("\r\n").partition(" ")
            if self.answer(verb.upper(), argument) == "bye":
                return

    def answer(self, verb, argument):
        match verb:
            case "USER":
                self.say("331 password")
            case "PASS":
                self.say("230 logged in")
            case "TYPE" | "NOOP":
                self.say("200 ok")
            case "EPSV" | "PASV":
                self.listener = socket.create_server(("127.0.0.1", 0))
                port = self.listener.getsockname()[1]
                extended = verb == "EPSV"
                self.say(f"229 here (|||{port}|)" if extended else f"227 here (127,0,0,1,{port >> 8},{port & 255})")
            case "RETR":
                self.transfer(argument, lambda data: data.sendall(os.urandom(SIZE)))
            case "STOR":
                self.transfer(argument, receive)
            case "QUIT":
                self.say("221 bye")
                return "bye"
            case _:
                self.say("502 no")

    def transfer(self, name, move):
        self.say("150 now")
        data, _ = self.listener.accept()
        self.listener.close()
        move(data)
        if name.endswith("open"):
            self.left_open = data
        else:
            data.close()
        self.say("226 done")

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")


def receive(data):
    while data.recv(1 << 16):
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Session).serve_forever()
