"""Which version of a program the suite drives."""

import platform
import re
from pathlib import Path

from process import checked


def of(programs: Path, kind):
    """Name and version, as in `vsftpd 3.0.3`."""
    # A server with other settings is still the same program.
    named = [base for base in kind.__mro__ if base.__dict__.get("package")]
    name = named[0].name if named else kind.name
    if kind.package:
        (package,) = (programs.parent / "debs" / kind.package).glob("*.deb")
        version = checked(["dpkg-deb", "-f", package, "Version"]).strip()
        # Neither the epoch nor Debian's own revision and repacking.
        version = re.sub(r"^\d+:|-[^-]*$", "", version).split("+")[0]
        return f"{name} {version}"
    if kind.name in ("curl", "wget"):
        return f"{name} {re.search(r'[0-9.]+[0-9]', checked([kind.name, '--version']))[0]}"
    if kind.name == "ftplib":
        return f"{name} of Python {platform.python_version()}"
    return name
