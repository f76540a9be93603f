"""What api-server's clients are told: chat completions, whole or in chunks, and errors as `{"msg": …}`. Pure.

JSON is as Python's `json.dumps` writes it, ASCII only. Every event of a stream is one line that begins with `data: `,
also what keeps a silent one alive: the old document promises it. There is no `[DONE]`: a stream ends after the event
that has a `finish_reason`, and one that failed says so beside it, in `error`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from api.framing import AnswerFramer
from shared.domain.errors import (
    ContentBlocked,
    ContextTooLong,
    ErrorInfo,
    Forbidden,
    Internal,
    NotFound,
    ProviderError,
    RequestTooLarge,
    SmartSipError,
    TokensSpent,
    Unauthenticated,
)
from shared.domain.events import Reply, Usage
from shared.domain.ids import JobId

_WORDS_OF: Final = {
    Unauthenticated.code: "Invalid token!",
    Forbidden.code: "Invalid token!",
    TokensSpent.code: "Insufficient token (client)!",
    NotFound.code: "Not Found!",
    Internal.code: "Something wrong!",
}
"""What the old system says of these."""
_PASSED_ON: Final = frozenset({"length", "content_filter"})
"""Why answers end besides `stop`, which is said of everything else."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """What every chunk of an answer begins with: of which job it is, and of which model."""

    job_id: JobId
    model: str

    def of(self, kind: str) -> dict[str, Any]:  # JSON
        """Return it for an `object` of this kind; the job's id begins with the milliseconds of when it was made."""
        created = (self.job_id.int >> 80) // 1000
        return {"id": f"chatcmpl-{self.job_id.hex}", "object": kind, "created": created, "model": self.model}


class AskFramer(AnswerFramer):
    """One stream: who speaks, what is said, and why it ended."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self._head = head
        self._has_begun = False

    def heartbeat(self) -> bytes:
        """Return a chunk that says nothing: readers that take every block for JSON know no comments."""
        return self._beginning() or self._chunk({})

    def started(self, provider: str, model: str) -> bytes:
        """Note who answers; every chunk of a stream names the same model."""
        if not self._has_begun:
            self._head = replace(self._head, model=model)
        return b""

    def text(self, text: str) -> bytes:
        """See `AnswerFramer`."""
        return self._beginning() + self._chunk({"content": text}) if text else b""

    def completed(self, finish_reason: str) -> bytes:
        """See `AnswerFramer`."""
        return self._beginning() + self._chunk({}, _finish(finish_reason))

    def failed(self, error: ErrorInfo) -> bytes:
        """Return an event at which old readers stop, and that says to others that there is no whole answer."""
        return self._chunk({}, "stop", error={"code": error.code, "message": _words(error)})

    def _beginning(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        return self._chunk({"role": "assistant"})

    def _chunk(self, delta: Mapping[str, str], finish_reason: str | None = None, **more: object) -> bytes:
        choice = {"delta": delta, "index": 0, "finish_reason": finish_reason}
        chunk = self._head.of("chat.completion.chunk") | {"choices": [choice]} | more
        return b"data: " + dumps(chunk) + b"\n\n"


def render(reply: Reply, head: Head) -> bytes:
    """Return the whole answer; without a count of its provider's its usage is 0."""
    used = reply.usage or Usage(0, 0)
    usage = {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
    }
    choice = {
        "message": {"role": "assistant", "content": reply.text},
        "finish_reason": _finish(reply.finish_reason or "stop"),
        "index": 0,
    }
    head = replace(head, model=reply.model or head.model)
    return dumps(head.of("chat.completion") | {"usage": usage, "choices": [choice]})


def render_error(error: ErrorInfo) -> tuple[int, bytes]:
    """Return the status and the body of an error.

    What a provider did wrong is 500 here, unless the caller can do something about it.
    """
    is_theirs = error.code in _PROVIDERS and error.code not in _CALLERS
    return 500 if is_theirs or error.status == 504 else error.status, dumps({"msg": _words(error)})


def dumps(document: Mapping[str, Any]) -> bytes:  # JSON
    """Return JSON as the old system wrote it."""
    return json.dumps(document).encode()


def _finish(reason: str) -> str:
    return reason if reason in _PASSED_ON else "stop"


def _words(error: ErrorInfo) -> str:
    """Return a sentence; what a provider or this server said of itself stays here."""
    if error.code in _WORDS_OF:
        return _WORDS_OF[error.code]
    is_told = error.status < 500 and error.code not in _PROVIDERS and error.detail is not None
    words = error.detail if is_told and error.detail else error.title
    return words if error.field is None or words.startswith(error.field) else f"{error.field}: {words}"


def _codes(error: type[SmartSipError]) -> set[str]:
    return {error.code}.union(*(_codes(branch) for branch in error.__subclasses__()))


_PROVIDERS: Final = frozenset(_codes(ProviderError))
_CALLERS: Final = frozenset({RequestTooLarge.code, ContextTooLong.code, ContentBlocked.code})
"""Refusals by a provider that another question does not get."""
