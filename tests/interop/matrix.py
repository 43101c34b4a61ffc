"""The matrix: each client with each server in each mode, to list, to upload and to download, byte for byte."""

from clients import CLIENTS, MODES
from further_clients import FURTHER_CLIENTS
from further_servers import FURTHER_SERVERS
from netns import has_ipv6
from servers import PureFtpd, Vsftpd, VsftpdDualStack
from stage import SIZES, Failed

SERVERS = (Vsftpd, VsftpdDualStack, PureFtpd, *FURTHER_SERVERS)


def cells(direct):
    """The names of all cells, `client/server/mode/action`, each with the function that runs it."""
    six = has_ipv6()
    for client in (*CLIENTS, *FURTHER_CLIENTS):
        for server in SERVERS:
            for mode in client.can:
                if mode.endswith("6") and not six or (client.name, mode) in server.beyond:
                    continue
                # Without ferryline, only a server that listens on ::1 itself serves ::1.
                if direct and (mode in client.healed or mode.endswith("6") and server is not VsftpdDualStack):
                    continue
                for action in client.actions:
                    if action not in server.actions:
                        continue
                    yield (
                        f"{client.name}/{server.name}/{mode}/{action}",
                        lambda stage, name, words=(client, server, mode, action): play(stage, name, *words),
                    )


def legend(direct):
    """Why some combinations are not among the cells."""
    lines = [client.cannot for client in (*CLIENTS, *FURTHER_CLIENTS) if client.cannot]
    if not has_ipv6():
        lines.append("this machine has no ::1: the modes over IPv6 are left out")
    elif direct:
        lines.append("without ferryline only vsftpd6 listens on ::1, and it refuses the EPRT that lftp sends there")
    return lines


def play(stage, name, client, server, mode, action):
    """Runs one cell; returns a note for the table."""
    server = stage.server(server)
    target = stage.target(server, mode)
    program = client(stage.programs, stage.scratch)
    mark = server.mark()

    if action == "list":
        done = program.list_folder(target, "down")
        differences = [f"{file} is not listed" for file in SIZES if file not in done.text]
    elif action == "upload":
        folder, path = stage.upload_folder(name)
        done = program.upload(target, stage.files, folder)
        differences = compare(stage, path)
    else:
        path = stage.download_folder(name)
        done = program.download(target, "down", list(SIZES), path)
        differences = compare(stage, path)

    if done.code is None:
        raise Failed(f"{client.name} did not come to an end", done.text)
    if done.code != 0:
        raise Failed(f"{client.name} ended with code {done.code}", done.text)
    if differences:
        raise Failed("; ".join(differences), done.text)

    wanted = MODES[mode][1]
    used = program.verbs(done)
    if set(used) != {wanted}:
        raise Failed(f"told to use {wanted}, the client used {' '.join(used) or 'nothing'}", done.text)
    return describe_server_leg(wanted, used, server.verbs_since(mark), done)


def compare(stage, folder):
    """The differences between the original files and those that arrived in `folder`."""
    differences = []
    for original in stage.files:
        copy = folder / original.name
        if not copy.exists():
            differences.append(f"{copy.name} did not arrive")
            continue
        sent, got = original.read_bytes(), copy.read_bytes()
        if sent != got:
            where = next((i for i, (a, b) in enumerate(zip(sent, got)) if a != b), min(len(sent), len(got)))
            differences.append(f"{copy.name}: {len(got)} bytes of {len(sent)}, different from byte {where}")
    return differences


def describe_server_leg(wanted, used, seen, done):
    """The transfer as the server saw it, where that differs from the client's view."""
    if seen is None or set(seen) == {wanted}:
        return ""
    if not seen:
        raise Failed(f"the log of the server shows no {wanted} nor another such verb", done.text)
    return f"the server was asked {' '.join(dict.fromkeys(seen))}"
