"""Why Gemini stopped: the reasons it names, as finishes and errors.

Source: google-genai 3.4, `types.FinishReason` and `types.BlockedReason`.
"""

from typing import Final

from shared.domain.errors import BadOutput, ContentBlocked, ProviderError, ProviderRejected
from shared.domain.events import Finish
from workers.providers.refusal import tidy

_FINISH: Final = {
    "STOP": "stop",
    "FUNCTION_CALL": "tool_calls",  # not Google's; servers that imitate it say so
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",  # the request's own limit, with more to come that nobody asked for
}
_BLOCKED: Final = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "ESCALATION"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "PUP_LIMITED_DISABLED"}
)
_REJECTED: Final = {
    "MALFORMED_FUNCTION_CALL": "wrote a call of a function that cannot be read",
    "UNEXPECTED_TOOL_CALL": "called a function that it was not offered",
    "TOO_MANY_TOOL_CALLS": "used its tools too often for one answer",
    "MISSING_THOUGHT_SIGNATURE": "misses a thought signature of an earlier turn",
}
_NO_OUTPUT: Final = {
    "NO_IMAGE": "made no image",
    "IMAGE_OTHER": "made no image, and does not say why",
    "MALFORMED_RESPONSE": "wrote an answer that cannot be read",
    "LANGUAGE": "does not speak the language of the answer",
    "OTHER": "ended its answer, and does not say why",
    "FINISH_REASON_UNSPECIFIED": "ended its answer, and does not say why",
}


def finish(provider: str, reason: str, message: str, *, has_called: bool, has_said: bool) -> Finish:
    """Return how an answer ended.

    Raises:
        ContentBlocked: if a filter stopped it before it said anything; afterwards that is a finish.
        ProviderRejected: if it cannot be used, whatever was said.
        BadOutput: if there is none of what was asked for.
    """
    why = f": {message}" if message else ""
    if reason in _BLOCKED:
        if has_said:
            return Finish("content_filter")
        raise blocked(provider, "the answer", reason, message)
    if reason in _REJECTED:
        raise ProviderRejected(f"{provider} {_REJECTED[reason]} ({reason}){why}")
    if reason in _NO_OUTPUT and not has_said:
        raise BadOutput(f"{provider} {_NO_OUTPUT[reason]} ({reason}){why}")
    if has_called and reason == "STOP":
        return Finish("tool_calls")
    return Finish(_FINISH.get(reason, reason))


def blocked(provider: str, what: str, reason: str | int, message: str | None) -> ProviderError:
    """Return the error of a filter that let nothing through."""
    why = f": {tidy(message)}" if message else ""
    return ContentBlocked(f"{provider} blocked {what} ({tidy(str(reason))}){why}")
