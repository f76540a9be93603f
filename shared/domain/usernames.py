"""Users' names: what people may call themselves, told so that two names that look alike are one."""

import unicodedata
from typing import Final

from shared.domain.errors import InvalidRequest

MAX_USERNAME_CHARS: Final = 64
_MAX_TYPED_CHARS: Final = 4 * MAX_USERNAME_CHARS  # one letter and its marks, each typed apart
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of controls, of what has no shape of its own, and of line breaks."""


def username_from(text: str, *, field: str = "username") -> str:
    """Return a name in Unicode's composed form (NFC), which is the same text to people.

    Raises:
        InvalidRequest: if it cannot be a user's name.
    """
    name = unicodedata.normalize("NFC", text) if len(text) <= _MAX_TYPED_CHARS else ""
    if not 1 <= len(name) <= MAX_USERNAME_CHARS:
        raise InvalidRequest(f"must have 1 to {MAX_USERNAME_CHARS} characters", field=field)
    if name != name.strip():
        raise InvalidRequest("must not begin or end with a space", field=field)
    if any(unicodedata.category(character) in _UNSEEN for character in name):
        raise InvalidRequest("must not have control characters or others that cannot be seen", field=field)
    return name
