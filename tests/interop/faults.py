"""Starts that must fail with a reason; requests that must be refused; servers that allow less than usual."""

import socket

from ferryline import Ferryline
from further_servers import InetutilsFtpd, NetkitFtpd
from netns import has_ipv6, inside
from rawftp import RawFtp, drain
from servers import Vsftpd
from stage import Failed


def wrong_host_key(stage):
    tunnel = stage.tunnel()
    stage.write_known_hosts("wrong_hosts", "other", tunnel.port)
    tunnel = stage.tunnel(known_hosts="wrong_hosts")
    return demand_failure(tunnel.run("0:localhost:21"), 1, str(tunnel.known_hosts))


def unknown_host_key(stage):
    (stage.keys / "no_hosts").touch()
    tunnel = stage.tunnel(known_hosts="no_hosts")
    return demand_failure(tunnel.run("0:localhost:21"), 1, str(tunnel.known_hosts))


def refused_login(stage):
    tunnel = stage.tunnel(identity="other")
    return demand_failure(tunnel.run("0:localhost:21"), 1, "root")


def no_sshd(stage):
    tunnel = stage.tunnel(port=2299)
    return demand_failure(tunnel.run("0:localhost:21"), 1, stage.network.ssh_address)


def port_in_use(stage):
    with socket.create_server(("127.0.0.1", 0)) as four:
        port = four.getsockname()[1]
        six = socket.create_server(("::1", port), family=socket.AF_INET6) if has_ipv6() else None
        try:
            return demand_failure(stage.tunnel().run(f"{port}:localhost:21"), 1, str(port))
        finally:
            if six:
                six.close()


def bad_forward(stage):
    return demand_failure(stage.tunnel().run("nonsense"), 2, "nonsense", lines=None)


def demand_failure(done, code, naming, lines=1):
    """Insists on an exit code, on a message that names what is wrong, and on its number of lines (None: any)."""
    message = done.err.decode("utf-8", "replace").strip()
    if done.code != code:
        raise Failed(f"exit code {done.code}, expected {code}", done.text)
    if naming not in message:
        raise Failed(f"the message does not name {naming}: {message}", done.text)
    if lines is not None and len(message.splitlines()) != lines:
        raise Failed(f"the message has {len(message.splitlines())} lines, expected {lines}: {message}", done.text)
    if done.out.strip():
        raise Failed("standard output is for the forwards that are ready", done.text)
    return message.splitlines()[0]


def forwarding_forbidden(stage):
    """sshd forwards nothing at all: the client must get a reply, and not wait in vain."""
    port = 2201
    sshd = stage.sshd("sshd-no-forwarding", ["AllowTcpForwarding no"], port)
    log = stage.logs / "ferryline-no-forwarding.log"
    try:
        ferryline = Ferryline(stage.tunnel(port), log, port=stage.server(Vsftpd).port)
    except RuntimeError as error:
        # A failure before the forward is offered is as good.
        if "exit code 1" in str(error) and "prohibited" in log.read_text():
            return "refused to start"
        raise
    try:
        with RawFtp("127.0.0.1", ferryline.port()) as client:
            try:
                code, lines = client.reply()
            except ConnectionError as error:
                if ferryline.says("prohibited"):
                    return f"the client was cut off: {error}"
                raise Failed("the client was cut off and the log does not say why") from error
        if code not in (421, 425) or len(lines) != 1:
            raise Failed(f"expected one line of 421, got {lines}")
        return lines[0]
    finally:
        ferryline.stop()
        sshd.stop()


def remote_forward_refused(verb):
    """sshd allows local forwards only: active mode is carried as passive, or refused with one line."""

    def play(stage):
        port = {"PORT": 2202, "EPRT": 2203}[verb]
        server = stage.server(Vsftpd)
        sshd = stage.sshd(f"sshd-local-{verb}", ["AllowTcpForwarding local"], port)
        ferryline = Ferryline(stage.tunnel(port), stage.logs / f"ferryline-local-{verb}.log", port=server.port)
        try:
            with RawFtp("127.0.0.1", ferryline.port()) as client, socket.create_server(("127.0.0.1", 0)) as data:
                data.settimeout(20)
                client.login()
                code, lines = client.ask(active_command(verb, *data.getsockname()))
                if len(lines) != 1 or code not in (200, 425):
                    raise Failed(f"expected one line of 200 or 425, got {lines}")
                if code == 425:
                    return lines[0]
                client.expect(150, "RETR down/middle.bin")
                got = drain(data.accept()[0])
                client.expect(226)
                if got != (stage.home / "down" / "middle.bin").read_bytes():
                    raise Failed(f"{len(got)} bytes came, and not those of the file")
                return "carried as passive"
        finally:
            ferryline.stop()
            sshd.stop()

    return play


def active_command(verb, host, port):
    if verb == "EPRT":
        return f"EPRT |1|{host}|{port}|"
    return f"PORT {host.replace('.', ',')},{port // 256},{port % 256}"


def pipelined(stage):
    """Commands in one segment: they are answered in order, and the file is whole."""
    server = stage.server(Vsftpd)
    with RawFtp("127.0.0.1", stage.ferryline(server).port()) as client:
        client.login()
        client.send("PASV\r\nLIST down\r\n")
        with client.data(client.expect(227)) as data:
            client.expect(150)
            listing = drain(data).decode()
        client.expect(226)
        if "big.bin" not in listing:
            raise Failed(f"the listing is {listing!r}")

        client.send("NOOP\r\nPASV\r\nRETR down/big.bin\r\nPWD\r\nSYST\r\n")
        client.expect(200)
        with client.data(client.expect(227)) as data:
            client.expect(150)
            got = drain(data)
        for code in (226, 257, 215):
            client.expect(code)
        if got != (stage.home / "down" / "big.bin").read_bytes():
            raise Failed(f"{len(got)} bytes came, and not those of the file")
    return "PASV LIST; NOOP PASV RETR PWD SYST"


def bounce(stage):
    """Addresses that are not the client's, and ports below 1024, are refused and not passed on."""
    server = stage.server(Vsftpd)
    mark = server.mark()
    with RawFtp("127.0.0.1", stage.ferryline(server).port()) as client:
        client.login()
        for command in ("PORT 192,0,2,1,200,1", "EPRT |1|192.0.2.1|51201|", "PORT 127,0,0,1,0,25", "PORT 1,2,3"):
            code, lines = client.ask(command)
            if code != 501 or len(lines) != 1:
                raise Failed(f"{command}: expected one line of 501, got {lines}")
        client.expect(257, "PWD")
    if server.verbs_since(mark):
        raise Failed(f"the server was asked {server.verbs_since(mark)}")
    return "501 four times, nothing reached the server"


def disguised(stage):
    """Lines in which BSD's servers see another command than the visible one: no part of it reaches such a server."""
    asked = []
    for kind in (InetutilsFtpd, NetkitFtpd):
        server = stage.server(kind)
        long = [f"NOOP {'a' * (buffer - len('NOOP '))}PORT 127,0,0,1,200,1" for buffer in range(508, 514)]
        hidden = [b"PO\xffZRT 127,0,0,1,200,1", b"\xffMPORT 127,0,0,1,200,1", *(line.encode() for line in long)]
        with RawFtp(server.host, server.port, connect=lambda *to: inside(stage.network.site, lambda: socket.create_connection(*to))) as client:
            client.login()
            asked.append(f"{kind.name} took {sum(takes_port(client, line) for line in hidden)} of {len(hidden)} for a PORT")
        with RawFtp("127.0.0.1", stage.ferryline(server).port()) as client:
            client.login()
            for line in hidden:
                client.control.sendall(line + b"\r\n")
                client.expect(500)
                client.expect(257, "PWD")
    return ", ".join(asked) + "; through ferryline none"


def takes_port(client, line):
    """Whether a server takes a line, or a part of it, for a PORT. It may have more than one answer to it."""
    client.control.sendall(line + b"\r\nPWD\r\n")
    texts = []
    while not texts or not texts[-1].startswith("257"):
        texts += client.reply()[1]
    return any("PORT command successful" in text for text in texts)


def tls_refused(stage):
    """AUTH would encrypt the control connection: it is refused, and FEAT does not offer it."""
    with RawFtp("127.0.0.1", stage.ferryline(stage.server(Vsftpd)).port()) as client:
        client.login()
        refusal = client.expect(502, "AUTH TLS")
        features = client.expect(211, "FEAT")
        if "AUTH" in features or "EPSV" not in features:
            raise Failed(f"FEAT says {features}")
    return refusal


CELLS = {
    "start/wrong-host-key": wrong_host_key,
    "start/unknown-host-key": unknown_host_key,
    "start/refused-login": refused_login,
    "start/no-sshd": no_sshd,
    "start/port-in-use": port_in_use,
    "start/bad-forward": bad_forward,
    "refused/forwarding-forbidden": forwarding_forbidden,
    "refused/remote-forward-PORT": remote_forward_refused("PORT"),
    "refused/remote-forward-EPRT": remote_forward_refused("EPRT"),
    "refused/bounce": bounce,
    "refused/disguised": disguised,
    "refused/tls": tls_refused,
    "pipelined": pipelined,
}
