"""Errors as OpenAI says them, and what its SDK does about them. Pure.

The SDK tries every 408, 409, 429 and 5xx again, up to two times, unless a header says otherwise. What a provider did
was tried again here already, so only what this server itself had no room or time for is worth another try.
"""

import re
from collections.abc import Mapping
from typing import Final

from api.dialects.openai.wire_answers import Error, ErrorBody
from shared.domain.errors import (
    ContentBlocked,
    ContextTooLong,
    ErrorInfo,
    ProviderError,
    QuotaExceeded,
    SmartSipError,
    TokensSpent,
    TooManyLogins,
    TooManyStreams,
    Unauthenticated,
)

INSUFFICIENT_QUOTA: Final = "insufficient_quota"
RATE_LIMITED: Final = "rate_limit_exceeded"
RETRY_AFTER_S: Final = 1
"""Where nobody says when to try again."""
_CODES: Final = {
    Unauthenticated.code: "invalid_api_key",
    TokensSpent.code: INSUFFICIENT_QUOTA,
    QuotaExceeded.code: RATE_LIMITED,
    TooManyStreams.code: RATE_LIMITED,
    TooManyLogins.code: RATE_LIMITED,
    ContextTooLong.code: "context_length_exceeded",
    ContentBlocked.code: "content_filter",
}
"""Ours that have a name there; the others keep theirs."""
_STATUSES: Final = {422: 400, 402: 429}
"""It says 400 of everything that is wrong with a request, and 429 of a quota that is used up."""
_PARAMS: Final = {"max_output_tokens": "max_completion_tokens"}
_CORES_OWN: Final = ("input.", "parameters.")
"""Where the core's commands have what stands at the top of a request."""
_INDEX: Final = re.compile(r"\.(\d+)(?=\.|$)")


def error_body(error: ErrorInfo) -> ErrorBody:
    """Return what is said of an error."""
    code = _CODES.get(error.code, error.code)
    return ErrorBody(
        Error(message=error.detail or error.title, type=_type(error, code), param=_param(error.field), code=code)
    )


def status_of(error: ErrorInfo) -> int:
    """Return the status of an error's answer."""
    return _STATUSES.get(error.status, error.status)


def headers_of(error: ErrorInfo) -> Mapping[str, str]:
    """Return what tells the SDK whether to try again, and when."""
    if not error.retryable or error.code in _PROVIDERS:
        return {"x-should-retry": "false"}
    again = {"x-should-retry": "true"}
    return again if error.retry_after_s is not None else again | {"Retry-After": str(RETRY_AFTER_S)}


def _type(error: ErrorInfo, code: str) -> str:
    status = status_of(error)
    if code == INSUFFICIENT_QUOTA:
        return INSUFFICIENT_QUOTA
    if status == 429:
        return "requests"
    return "invalid_request_error" if status < 500 else "server_error"


def _param(field: str | None) -> str | None:
    """Return where a fault is, as OpenAI writes places: `messages[0].content[1]`."""
    if field is None:
        return None
    for prefix in _CORES_OWN:
        field = field.removeprefix(prefix)
    return _INDEX.sub(r"[\1]", _PARAMS.get(field, field))


def _codes(error: type[SmartSipError]) -> set[str]:
    return {error.code}.union(*(_codes(branch) for branch in error.__subclasses__()))


_PROVIDERS: Final = frozenset(_codes(ProviderError))
