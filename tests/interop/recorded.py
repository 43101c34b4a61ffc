"""What the ferrylines of all cells before have recorded: no password, and nothing that does not replay."""

import re

from process import run
from servers import PASSWORD
from stage import Failed

# Differences shown of a replay that has any.
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
    """The state machine does the same again, told the same: nothing in it hangs on the clock or on chance."""
    if not recorded(stage):
        return "nothing was recorded"
    done = run([stage.program, "replay", stage.recorded], timeout=100)
    if done.code != 0:
        lines = done.text.splitlines()
        raise Failed(lines[-1], "\n".join(lines[:SHOWN]))
    return done.out.decode().strip()


def recorded(stage):
    # What is still being written would differ.
    stage.stop_ferrylines()
    return sorted(stage.recorded.glob("*.session"))


CELLS = {
    "recorded/no-password": no_password,
    "recorded/replay": replay,
}
