"""pyftpdlib as a program: pyftpdlib_server.py PORT USER PASSWORD UID HOME BANNER [VERB...]; the verbs are unknown to
it.

It serves every request with the rights that the process has, so these become the FTP user's (but root may
have passive ports below 1024, with LOW_PORTS=FIRST-LAST in the environment).
"""

# `strptime` imports it only when it is called: too late then, without the rights to read it.
import _strptime  # noqa: F401
import os
import sys
import warnings

warnings.simplefilter("ignore", DeprecationWarning)

from pyftpdlib.authorizers import DummyAuthorizer  # noqa: E402
from pyftpdlib.handlers import FTPHandler, proto_cmds  # noqa: E402
from pyftpdlib.servers import FTPServer  # noqa: E402


def main(port, user, password, uid, home, banner, *without):
    accounts = DummyAuthorizer()
    accounts.add_user(user, password, home, perm="elradfmwMT")

    class Handler(FTPHandler):
        authorizer = accounts
        proto_cmds = {verb: facts for verb, facts in globals()["proto_cmds"].items() if verb not in without}
        use_sendfile = False

    Handler.banner = banner
    low = os.environ.get("LOW_PORTS")
    if low:
        first, last = map(int, low.split("-"))
        Handler.passive_ports = range(first, last + 1)
    server = FTPServer(("127.0.0.1", int(port)), Handler)
    if not low:
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
