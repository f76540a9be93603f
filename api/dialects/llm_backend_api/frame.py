"""What llm-backend-api's clients are told, as its server wrote it: bare JSON frames, and errors as `{"error": …}`.

Pure. A frame is one JSON object and an empty line, without `data:`. A stream that does not end with `full_response`
ended with a frame `error`. Intentional differences: `full_response` is JSON whatever was said, and `done` comes once.
"""

import json
from typing import Final

from api.framing import INTERRUPTED, AnswerFramer
from shared.domain.errors import ErrorInfo, ProviderError, SmartSipError, UsernameTaken

FINISHED: Final = "Stream finished"
_ESCAPED: Final = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029\x85"}
"""What Go's encoder escapes beside what JSON must have escaped (encoding/json, HTMLEscape); and U+0085, which ends a
line for clients that split text instead of bytes."""


class BareFramer(AnswerFramer):
    """One stream: what is said as it comes, that it is over, and then all of it once more."""

    def __init__(self) -> None:
        super().__init__()
        self._said: list[str] = []

    def heartbeat(self) -> bytes:
        """Return a space: it means nothing before JSON, and is no empty frame to those who split at empty lines."""
        return b" "

    def text(self, text: str) -> bytes:
        """See `AnswerFramer`."""
        self._said.append(text)
        return _frame("message", text) if text else b""

    def completed(self, finish_reason: str) -> bytes:
        """See `AnswerFramer`."""
        return _frame("done", FINISHED) + _frame("full_response", "".join(self._said))

    def failed(self, error: ErrorInfo) -> bytes:
        """See `AnswerFramer`."""
        return _frame("error", words(error))


def go_json(value: object) -> bytes:
    """Return a value as Go's encoder writes it: compact, as UTF-8, and safe inside HTML."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED).encode()


def render_error(error: ErrorInfo) -> tuple[int, bytes]:
    """Return the status and the body of an error.

    The old system knew 400, 401, 404 and 500: what it had a word for keeps that. What a provider did is 500.
    """
    return _status(error), go_json({"error": words(error)})


def words(error: ErrorInfo) -> str:
    """Return what is said of an error; a provider's own words stay here."""
    if error.code in _PROVIDER_CODES and error != INTERRUPTED:
        return error.title
    said = error.detail or error.title
    return said if error.field is None or error.code == UsernameTaken.code else f"{error.field}: {said}"


def _status(error: ErrorInfo) -> int:
    if error.code in _PROVIDER_CODES or error.status in (502, 504):
        return 500
    return 400 if error.status == 422 or error.code == UsernameTaken.code else error.status


def _frame(event: str, data: str) -> bytes:
    return go_json({"data": data, "event": event}) + b"\n\n"


def _codes(error: type[SmartSipError]) -> set[str]:
    return {error.code}.union(*(_codes(branch) for branch in error.__subclasses__()))


_PROVIDER_CODES: Final = frozenset(_codes(ProviderError))
