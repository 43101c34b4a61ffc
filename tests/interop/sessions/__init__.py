"""The sessions that are recorded. Each further one is a function in its module, named after what it shows."""

from sessions import answers, ends, pairs, parts, several, setups, ways  # noqa: F401
from sessions.frame import SESSIONS, fill_home

__all__ = ["SESSIONS", "fill_home"]
