"""The recordings of all cells before: they hold no password, and each of them replays."""

import re

from process import run
from servers import PASSWORD
from stage import Failed

# How many differences of a replay are shown.
SHOWN = 40


def no_password(stage):
    files = recorded(stage)
    for file in files:
        text = file.read_text("ascii")
        if PASSWORD in text:
            raise Failed(f"{file} holds the password")
        if found := re.search(r"^(@\S+ )?[CS]> PASS(?! \*{4}$).*", text, re.MULTILINE | re.IGNORECASE):
            raise Failed(f"{file} holds what may be a password: {found[0]}")
    return f"{len(files)} sessions"


def replay(stage):
    """The state machine does the same again for the same input: nothing in it depends on the clock or on chance."""
    if not recorded(stage):
        return "nothing was recorded"
    done = run([stage.program, "replay", stage.recorded], timeout=100)
    if done.code != 0:
        lines = done.text.splitlines()
        raise Failed(lines[-1], "\n".join(lines[:SHOWN]))
    return done.out.decode().strip()


def recorded(stage):
    # A recording that is still being written would differ.
    stage.stop_ferrylines()
    return sorted(stage.recorded.glob("*.session"))


CELLS = {
    "recorded/no-password": no_password,
    "recorded/replay": replay,
}
