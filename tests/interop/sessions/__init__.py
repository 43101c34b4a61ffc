"""What is recorded. A further session is one more function, under the name of what it shows, where it belongs."""

from sessions import answers, ends, pairs, parts, several, setups, ways  # noqa: F401
from sessions.frame import SESSIONS, fill_home

__all__ = ["SESSIONS", "fill_home"]
