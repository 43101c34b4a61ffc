"""The place of the FTP server: not on the SSH host but behind it, with its data on the same host or on another."""

import contextlib
import socket
import threading

import matrix
from clients import Curl, Ftplib, Target
from ferryline import Ferryline, PlainSsh
from netns import inside, wait_for_listener
from process import stop
from rawftp import RawFtp
from servers import Vsftpd, VsftpdFar
from stage import SIZES, Failed


def without_rewriting(stage):
    """Plain `ssh -L` carries the control connection and nothing else: if this works, the suite proves nothing."""
    server = stage.server(Vsftpd)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ssh = PlainSsh(stage.tunnel(), stage.logs / "plain-ssh.log", port, server.port)
    try:
        wait_for_listener(None, "127.0.0.1", port, ssh.child)
        for mode in ("PASV", "PORT"):
            done = transfer(stage, Ftplib, Target("127.0.0.1", port, mode), f"plain-ssh-{mode}")
            if "230 Login successful" not in done.text:
                raise Failed("ssh -L did not even carry the log-in", done.text)
            if done.code == 0:
                raise Failed(f"a transfer with {mode} worked without rewriting", done.text)
    finally:
        stop(ssh.child)
    return "ssh -L alone: log-in works, no transfer does"


def third_host(mode):
    """The FTP server is on another host, which the SSH host can reach; active mode has to be carried as passive."""

    def play(stage):
        server = stage.server(VsftpdFar)
        mark = server.mark()
        done = transfer(stage, Curl, stage.target(server, mode), f"third-host-{mode}")
        demand_success(stage, done, f"third-host-{mode}")
        return f"the server was asked {' '.join(dict.fromkeys(server.verbs_since(mark)))}"

    return play


def data_host(policy):
    """The server's reply names another host than that of the control connection, and the data is on the named host."""

    def play(stage):
        with behind_relay(stage, policy) as port:
            name = f"data-host-{policy}"
            demand_success(stage, transfer(stage, Ftplib, Target("127.0.0.1", port, "PASV"), name), name)
        return "the address in the reply was used"

    return play


def data_host_control(stage):
    """The same without the option to follow the reply: nothing listens there, which the client learns at once."""
    with behind_relay(stage, "control") as port, RawFtp("127.0.0.1", port) as client:
        client.login()
        with client.data(client.expect(227, "PASV")) as data:
            data.settimeout(5)
            try:
                raise Failed(f"expected a reset, the data connection gave {data.recv(1)!r}")
            except ConnectionResetError:
                return "the data connection was reset at once"


@contextlib.contextmanager
def behind_relay(stage, policy):
    """A ferryline whose FTP server is reached through a relay; yields its port."""
    server = stage.server(VsftpdFar)
    relay = Relay(stage.network.site, (stage.network.far_address, server.port))
    log = stage.logs / f"ferryline-data-host-{policy}.log"
    ferryline = Ferryline(stage.tunnel(), log, port=relay.port, options=("--data-host", policy))
    try:
        yield ferryline.port()
    finally:
        ferryline.stop()
        relay.close()


def transfer(stage, client, target, name):
    program = client(stage.programs, stage.scratch)
    return program.download(target, "down", list(SIZES), stage.download_folder(name))


def demand_success(stage, done, name):
    differences = matrix.compare(stage, stage.scratch / "downloads" / name)
    if done.code != 0 or differences:
        raise Failed(f"the client ended with code {done.code}; {'; '.join(differences)}", done.text)


class Relay:
    """Listens on the loopback address of a namespace and carries connections to an address it can reach, like a load
    balancer in front of FTP servers, which passes on replies that name the server behind it."""

    def __init__(self, namespace, target):
        self.namespace, self.target = namespace, target
        self.listener = inside(namespace, lambda: socket.create_server(("127.0.0.1", 0)))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        # Wakes the thread that is in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = inside(self.namespace, lambda: socket.create_connection(self.target, 10))
            except OSError:
                return
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=carry, args=(source, sink), daemon=True).start()


def carry(source, sink):
    try:
        while chunk := source.recv(1 << 16):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


CELLS = {
    "layout/without-rewriting": without_rewriting,
    "layout/third-host-PASV": third_host("PASV"),
    "layout/third-host-EPSV": third_host("EPSV"),
    "layout/third-host-PORT": third_host("PORT"),
    "layout/third-host-EPRT": third_host("EPRT"),
    "layout/data-host-control": data_host_control,
    "layout/data-host-reply": data_host("reply"),
    "layout/data-host-auto": data_host("auto"),
}
