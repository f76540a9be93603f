"""What the firmware is told: three strings as JSON, or a line of plain text that its parser takes for nothing.

Pure. An error is never JSON, so that no error can be taken for a command; once bytes are out, an error is the command
that pours nothing.
"""

from typing import Final

import msgspec

from api.dialects.smartsip.wire import Command
from shared.domain.dispense import SAFE, Dispense, as_strings
from shared.domain.errors import ErrorInfo, ProviderError, SmartSipError

SPACE: Final = b" "
"""Legal before JSON, and a chunk: it starts the device's 5-second timer anew."""


def render(dispense: Dispense) -> bytes:
    """Return a command as the old system wrote it, without spaces."""
    return msgspec.json.encode(Command(**as_strings(dispense)))


NOTHING: Final = render(SAFE)
"""The command that pours nothing."""


def render_error(error: ErrorInfo) -> tuple[int, bytes]:
    """Return the status and the line of text; what a provider or this server said of itself stays here."""
    is_told = error.status < 500 and error.code not in _PROVIDER_CODES
    words = (error.detail if is_told else None) or error.title
    line = "".join(character if character.isprintable() else " " for character in words)
    return error.status, f"error msg: {line}".encode()


def _codes(error: type[SmartSipError]) -> set[str]:
    return {error.code}.union(*(_codes(branch) for branch in error.__subclasses__()))


_PROVIDER_CODES: Final = frozenset(_codes(ProviderError))
