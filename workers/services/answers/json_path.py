"""Where in some JSON something is, as people read it: `$.cups[0].volume`. Pure."""

import json
from typing import Final, NamedTuple

MAX_NAME_CHARS: Final = 60
MAX_PATH_CHARS: Final = 300


class Place(NamedTuple):
    """What is looked at: its path, and how deep it is."""

    path: str
    depth: int


def inside(path: str, name: str | int) -> str:
    """Return the path of a member, or of an entry: one short line of ASCII, whatever the name is."""
    if len(path) > MAX_PATH_CHARS:
        return path if path.endswith("…") else f"{path}…"
    if isinstance(name, int):
        return f"{path}[{name}]"
    if name.isascii() and name.isidentifier() and len(name) <= MAX_NAME_CHARS:
        return f"{path}.{name}"
    return f"{path}[{json.dumps(name[:MAX_NAME_CHARS])}]"
