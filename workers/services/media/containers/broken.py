"""What the walks through containers have in common."""

from typing import Final

from shared.domain.ebml import Content

MAX_STEPS: Final = 1_000_000
"""Parts a walk looks at: real files of 64 MB have some hundred thousand, made-up ones could have eight million."""
MAX_PADDING_BYTES: Final = 64 * 1024
_FIRST_BYTES: Final = 8
CUT_OFF: Final = "its end is missing"
TOO_MANY_PARTS: Final = "it has too many parts"


class Broken(Exception):
    """A file is not what it says; the text says why."""


def is_padding(content: Content, position: int, end: int) -> bool:
    """Whether nothing but a few zero bytes follows, which some programs leave behind. Cheap where something does."""
    if end - position > MAX_PADDING_BYTES or any(content[position : min(position + _FIRST_BYTES, end)]):
        return False
    return not content[position:end].strip(b"\0")
