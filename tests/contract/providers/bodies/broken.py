"""Answers that are not whole: each tells what it tells, and then is one error."""

from shared.domain.errors import (
    BadOutput,
    ContentBlocked,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    StreamIncomplete,
)
from shared.domain.events import Reasoning, Text, Usage
from tests.contract.providers.bodies.body import SAID, Body, chunk, counted, error, lines, spoken, thought, words
from tests.scripted_replies import DONE, sse_event
from workers.providers.base import ProviderDelta

TEA = chunk({"content": "Tea"})


def after_tea(name: str, row: str, fault: bytes, kind: type[ProviderError]) -> Body:
    """An answer that breaks after its first word."""
    return Body(name, row, (lines(spoken("Tea")) if row == "ollama" else TEA) + fault, SAID[:1], kind)


def nothing(name: str, row: str, content: bytes, kind: type[ProviderError], *before: ProviderDelta) -> Body:
    """An answer that never came to its first word."""
    return Body(name, row, content, before, kind)


_FLAT = {"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}
_SLOW = {"error": {"message": "slow", "code": "queue_exceeded"}, "status_code": 503}
_GONE = {"code": 502, "message": "Provider disconnected", "metadata": {"error_type": "provider_unavailable"}}
_NO_TOOL = error("No such tool", type="invalid_request_error", code="tool_use_failed", status_code=400)
_XAI = b'{"code":"The service is unavailable","error":"Please try again later."}'
_DEGREES = chunk({"content": "80 °C"})
_SPENT = counted(9, 50, 50)

REPORTED = (
    after_tea("openai error", "openai", error("The server had an error", type="server_error"), ProviderOverloaded),
    after_tea("doubao error", "doubao", error("busy", code="ServerOverloaded"), ProviderOverloaded),
    after_tea("doubao limit", "doubao", error("x", code="ModelAccountRpmRateLimitExceeded"), ProviderRateLimited),
    after_tea("groq error", "groq", b"event: error\n" + _NO_TOOL, ProviderRejected),
    after_tea("groq stopped early", "groq", chunk(x_groq={"error": "over capacity"}), ProviderError),
    Body(
        "openrouter error",
        "openrouter",
        TEA + chunk({"content": " ne"}, "error", usage=counted(9, 2), error=_GONE) + DONE,
        [Text("Tea"), Text(" ne"), Usage(9, 2)],
        ProviderOverloaded,
    ),
    after_tea("grok error", "grok", sse_event({"code": "Busy", "error": "Try again later"}), ProviderOverloaded),
    nothing("grok error as a stream", "grok", _XAI, ProviderOverloaded),
    after_tea("cerebras error", "cerebras", sse_event(_SLOW), ProviderOverloaded),
    after_tea("vllm flat error", "vllm", sse_event(_FLAT) + DONE, ProviderRejected),
    after_tea("llamacpp error field", "llamacpp", b'error: {"code":500,"message":"broken"}\n\n', ProviderOverloaded),
    after_tea("nvidia problem", "nvidia", sse_event({"title": "x", "status": 500, "detail": "y"}), ProviderOverloaded),
    after_tea("text as an error", "elsewhere", sse_event({"error": "model overloaded"}), ProviderOverloaded),
    after_tea("ollama error", "ollama", lines({"error": "an error was encountered while running"}), ProviderOverloaded),
)
"""Errors inside an answer."""
FINISHES = (
    after_tea("mistral finish error", "mistral", chunk({}, "error") + DONE, ProviderError),
    after_tea("deepseek out of resources", "deepseek", chunk({}, "insufficient_system_resource"), ProviderOverloaded),
    after_tea("gemini's filter", "gemini", chunk({}, "content_filter: SAFETY") + DONE, ContentBlocked),
    after_tea("zhipu's filter", "zhipu", chunk({}, "sensitive") + DONE, ContentBlocked),
    nothing("openai refusal", "openai", chunk({"refusal": "No."}) + chunk({}, "stop") + DONE, ContentBlocked),
    nothing(
        "limit spent on reasoning",
        "openrouter",
        thought("reasoning", "Long") + chunk({"content": "\n"}, "length", usage=_SPENT) + DONE,
        BadOutput,
        *(Reasoning("Long"), Text("\n"), Usage(9, 50, 50)),
    ),
    nothing(
        "limit spent in silence",
        "openai",
        chunk({}, "length") + chunk(usage=_SPENT) + DONE,
        BadOutput,
        Usage(9, 50, 50),
    ),
    nothing("only loaded", "ollama", lines(spoken() | {"done": True, "done_reason": "load"}), StreamIncomplete),
)
"""Ends that are none of an answer."""
DAMAGED = (
    after_tea("bad JSON", "openai", b"data: {not json}\n\n" + DONE, StreamIncomplete),
    after_tea("not UTF-8", "openai", b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', StreamIncomplete),
    after_tea("content of another type", "openai", chunk({"content": 7}), StreamIncomplete),
    after_tea("no object", "openai", b"data: []\n\n", StreamIncomplete),
    after_tea("no end", "openai", b"", StreamIncomplete),
    after_tea("cut in an event", "openai", words()[:70], StreamIncomplete),
    after_tea("cut in a character", "openai", _DEGREES[: _DEGREES.index("°".encode()) + 1], StreamIncomplete),
    nothing("only the end mark", "openai", DONE, StreamIncomplete),
    nothing("nothing", "openai", b"", StreamIncomplete),
    nothing("a page", "openai", b"<html><body><h1>502 Bad Gateway</h1></body></html>\n", StreamIncomplete),
    after_tea("ollama cut in a line", "ollama", lines(spoken(" is"))[:-20], StreamIncomplete),
    after_tea("ollama without its end", "ollama", b"", StreamIncomplete),
    after_tea("ollama bad JSON", "ollama", b"{not json}\n", StreamIncomplete),
)
"""Bytes that are none of an answer, or not all of them."""

BROKEN = (*REPORTED, *FINISHES, *DAMAGED)
