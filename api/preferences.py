"""Headers that say how a request is to be handled: `Prefer: wait=N` (RFC 7240) and `Idempotency-Key`."""

import re
from typing import Final

from starlette.datastructures import Headers

from shared.domain.errors import InvalidRequest

MAX_KEY_CHARS: Final = 255
_WAIT: Final = re.compile(r"""wait\s*=\s*"?([^";\s]*)"?""", re.IGNORECASE)
_SECONDS: Final = re.compile(r"\d{1,9}")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")


def preferred_wait_s(headers: Headers, *, longest_s: float) -> int | None:
    """Return how long the caller would wait, at most `longest_s`, or None if no such preference was sent.

    The first counts, as section 2 of the RFC has it. A preference that cannot be understood may be ignored by the
    RFC; this one is refused, because whoever sends `wait=-1` has a fault in their code.

    Raises:
        InvalidRequest: if the value is not a number of whole seconds.
    """
    for preference in ",".join(headers.getlist("prefer")).split(","):
        match = _WAIT.match(preference.strip())
        if match is None:
            continue
        if not _SECONDS.fullmatch(match[1]):
            raise InvalidRequest("wait must be a whole number of seconds, 0 or more, as in wait=10", field="Prefer")
        return min(int(match[1]), int(longest_s))
    return None


def idempotency_key(headers: Headers) -> str | None:
    """Return the key that makes repeating a request harmless, or None.

    Raises:
        InvalidRequest: if it is not 1 to 255 visible ASCII characters.
    """
    keys = headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _VISIBLE.fullmatch(keys[0]) or len(keys[0]) > MAX_KEY_CHARS:
        raise InvalidRequest(f"one key of 1 to {MAX_KEY_CHARS} visible ASCII characters", field="Idempotency-Key")
    return keys[0]
