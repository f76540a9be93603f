"""What the LLM Service API's clients are told: frames of a socket, and errors as `{"detail": …}`. Pure.

A chunk's frame is both what the document shows and what later clients read; the last frame is `complete`, or an error.
JSON is as Python's `json.dumps` writes it, ASCII only, so a frame never holds a line end: a framer's frames are lines.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.dialects.llm_service_api.parse import Fault, fault_at
from api.dialects.llm_service_api.special_tokens import SpecialTokens
from api.framing import AnswerFramer
from shared.domain.errors import ErrorInfo, ProviderError, SmartSipError


class ServiceFramer(AnswerFramer):
    """The frames of one answer, each with a line end behind it. What a model thinks is not among them."""

    media_type = "application/json"

    def __init__(self) -> None:
        super().__init__()
        self.has_failed = False
        self._tokens = SpecialTokens()

    def heartbeat(self) -> bytes:
        """Return nothing: the server's pings keep a socket alive."""
        return b""

    def started(self, provider: str, model: str) -> bytes:
        """Begin anew; what an earlier attempt left kept back was not said."""
        self._tokens = SpecialTokens()
        return b""

    def text(self, text: str) -> bytes:
        """See `AnswerFramer`."""
        return _chunk(self._tokens.feed(text))

    def completed(self, finish_reason: str) -> bytes:
        """See `AnswerFramer`."""
        return _chunk(self._tokens.end()) + _frame({"type": "complete", "chunk": ""})

    def failed(self, error: ErrorInfo) -> bytes:
        """See `AnswerFramer`."""
        self.has_failed = True
        return error_frame(error)


def error_frame(error: ErrorInfo) -> bytes:
    """Return the frame that says what went wrong."""
    return _frame({"error": _words(error)})


def render_error(error: ErrorInfo) -> tuple[int, bytes]:
    """Return the status and the body of an error: a list of faults for 422, a sentence for everything else.

    What a provider did wrong is 500 here, as it was.
    """
    if error.code in _PROVIDER_CODES or error.status in (502, 504):
        return 500, _detail(_words(error))
    if error.status == 422 and error.field is not None:
        return 422, faulty([fault_at(error.field, _words(error))])
    return error.status, _detail(_words(error) if error.field is None else f"{error.field}: {_words(error)}")


def faulty(faults: Sequence[Fault]) -> bytes:
    """Return the body for a request that is not valid."""
    return _detail(faults)


def _detail(detail: object) -> bytes:
    return json.dumps({"detail": detail}, ensure_ascii=False, separators=(",", ":")).encode()


def _chunk(text: str) -> bytes:
    return _frame({"chunk": text, "type": "chunk", "content": text}) if text else b""


def _frame(data: Mapping[str, Any]) -> bytes:  # JSON
    return f"{json.dumps(data)}\n".encode()


def _words(error: ErrorInfo) -> str:
    return error.detail or error.title


def _codes(error: type[SmartSipError]) -> set[str]:
    return {error.code}.union(*(_codes(branch) for branch in error.__subclasses__()))


_PROVIDER_CODES: Final = frozenset(_codes(ProviderError))
