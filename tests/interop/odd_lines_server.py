"""A small FTP server whose replies are odd in one way: `odd_lines_server.py PORT FOLDER FORM`. It listens on
127.0.0.1."""

import socket
import sys
import threading
from pathlib import Path

# FORM: the bytes that are sent for a reply, which comes without its end.
FORMS = {
    "colon": lambda text: text[:3] + b":" + text[3:] + b"\r\n",
    "run-in": lambda text: text[:3] + text[4:] + b"\r\n",
    "tab": lambda text: text[:3] + b"\t" + text[4:] + b"\r\n",
    "blank": lambda text: b" " + text + b"\r\n",
    "nul-ahead": lambda text: text + b"\0\r\n",
    "nul-behind": lambda text: text + b"\r\n\0",
    "lf-cr": lambda text: text + b"\n\r",
    "cr": lambda text: text + b"\r",
    "signed": lambda text: text + b"\r\n",
}


class Session:
    def __init__(self, control, folder, form):
        self.control, self.folder, self.form = control, folder, form
        self.listener = None

    def run(self):
        self.say("220 ready")
        for line in self.control.makefile("rb"):
            verb, _, argument = line.decode("latin-1").strip().partition(" ")
            answer = getattr(self, verb.upper(), None)
            if answer is None:
                self.say("500 not known")
            elif answer(argument) is False:
                return

    def say(self, text):
        self.control.sendall(FORMS[self.form](text.encode("latin-1")))

    def USER(self, _):
        self.say("331 password")

    def PASS(self, _):
        self.say("230 in")

    def TYPE(self, _):
        self.say("200 ok")

    def CWD(self, _):
        self.say("250 ok")

    def PWD(self, _):
        self.say('257 "/"')

    def SIZE(self, name):
        self.say(f"213 {self.file(name).stat().st_size}")

    def PASV(self, _):
        self.listener = socket.create_server(("127.0.0.1", 0))
        numbers = list(divmod(self.listener.getsockname()[1], 256))
        if self.form == "signed":
            numbers = [number - 256 if number > 127 else number for number in numbers]
        self.say("227 Entering Passive Mode (127,0,0,1,{},{})".format(*numbers))

    def RETR(self, name):
        if self.listener is None:
            return self.say("425 PASV first")
        self.say("150 here")
        data, _ = self.listener.accept()
        with data:
            data.sendall(self.file(name).read_bytes())
        self.listener.close()
        self.listener = None
        self.say("226 done")

    def QUIT(self, _):
        self.say("221 bye")
        return False

    def file(self, name):
        return self.folder / Path(name).name


def serve(control, folder, form):
    with control:
        try:
            Session(control, folder, form).run()
        except OSError:
            pass


def main():
    port, folder, form = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            control, _ = listener.accept()
            threading.Thread(target=serve, args=(control, folder, form), daemon=True).start()


if __name__ == "__main__":
    main()
