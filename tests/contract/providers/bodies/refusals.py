"""What providers answer instead of an answer: with which status, headers and body, and what it amounts to."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.domain.errors import (
    ContentBlocked,
    ContextTooLong,
    ModelNotFound,
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderQuota,
    ProviderRateLimited,
    ProviderRegion,
    ProviderRejected,
    RequestTooLarge,
)


class Refused(NamedTuple):
    """A refusal; `body` is sent as JSON unless it is bytes. `wait_s` is the hint, `says` a part of its text."""

    provider: str
    status: int
    body: Any
    kind: type[ProviderError]
    wait_s: float | None = None
    headers: Mapping[str, str] = {}
    says: str = ""


def openai(message: str, **members: Any) -> dict[str, Any]:
    """An error in OpenAI's form."""
    return {"error": {"message": message, "type": None, "param": None, "code": None} | members}


def flat(message: str, **members: Any) -> dict[str, Any]:
    """An error whose members are the body's."""
    return {"message": message, "param": None} | members


_KEY_INVALID = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
_RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38s"}
_GROQ = {
    "retry-after": "6",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-reset-tokens": "7.66s",
}
_CEREBRAS = {
    "x-ratelimit-remaining-requests-day": "14000",
    "x-ratelimit-remaining-tokens-minute": "0",
    "x-ratelimit-reset-requests-day": "33011.38",
    "x-ratelimit-reset-tokens-minute": "11.38",
}
_PAGE = b"<html><head><title>502</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_PROBLEM = {
    "type": "urn:problem",
    "title": "Unprocessable Entity",
    "detail": "body -> top_k\n  Extra inputs",
    "status": 422,
}
_EXTRA = {"detail": [{"type": "extra_forbidden", "loc": ["body", "user"], "msg": "Extra inputs are not permitted"}]}
_XAI_KEY = {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***ix."}
_SPENT = {"code": "Permission denied", "error": "Insufficient credits for team x."}

REFUSALS = (
    # Keys, and who may not use them.
    Refused("openai", 401, openai("Incorrect API key provided: sk-ab****yz.", code="invalid_api_key"), ProviderAuth),
    Refused("openai", 403, openai("You have no access to this."), ProviderAuth),
    Refused("grok", 400, _XAI_KEY, ProviderAuth, says="Incorrect API key"),
    Refused("gemini", 400, {"error": {"code": 400, "message": "x", "details": [_KEY_INVALID]}}, ProviderAuth),
    Refused("gemini", 400, [{"error": {"code": 400, "message": "API key not valid."}}], ProviderAuth, says="not valid"),
    Refused("doubao", 401, openai("Missing. Request id: 1", code="AuthenticationError"), ProviderAuth),
    Refused("siliconflow", 401, "Invalid token", ProviderAuth, says="401: Invalid token"),
    Refused("nvidia", 401, {"status": 401, "title": "Unauthorized", "detail": "Failed"}, ProviderAuth, says="Failed"),
    Refused("vllm", 401, {"error": "Unauthorized"}, ProviderAuth, says="Unauthorized"),
    Refused("mistral", 401, {"detail": "Unauthorized"}, ProviderAuth, says="Unauthorized"),
    Refused("openai", 407, b"Proxy Authentication Required", ProviderAuth, says="proxy"),
    Refused("openai", 403, openai("no", code="unsupported_country_region_territory"), ProviderRegion),
    Refused(
        "gemini",
        400,
        {"error": {"status": "FAILED_PRECONDITION", "message": "User location is not supported for the API use."}},
        ProviderRegion,
    ),
    # Money.
    Refused("deepseek", 402, openai("Insufficient Balance", type="unknown_error"), ProviderQuota),
    Refused("openrouter", 402, openai("Insufficient credits", code=402), ProviderQuota),
    Refused("openai", 429, openai("You exceeded your quota", type="insufficient_quota"), ProviderQuota),
    Refused("doubao", 403, openai("Overdue.", code="AccountOverdueError", type="Forbidden"), ProviderQuota),
    Refused("siliconflow", 403, {"code": 30001, "message": "no money", "data": None}, ProviderQuota),
    Refused("zhipu", 429, openai("欠费", code="1113"), ProviderQuota, says="欠费"),
    Refused("grok", 403, _SPENT, ProviderQuota),
    # Too fast.
    Refused("groq", 429, openai("Rate limit", code="rate_limit_exceeded"), ProviderRateLimited, 6, _GROQ),
    Refused("groq", 498, openai("Flex tier capacity exceeded", code="capacity_exceeded"), ProviderRateLimited),
    Refused("cerebras", 429, flat("slow", code="token_quota_exceeded"), ProviderRateLimited, 11.38, _CEREBRAS),
    Refused("openai", 429, openai("slow"), ProviderRateLimited, 0.25, {"retry-after-ms": "250"}),
    Refused("mistral", 429, flat("slow", code="1300"), ProviderRateLimited, 1, {"ratelimit-reset": "1"}),
    Refused("doubao", 429, openai("RPM", code="ModelAccountRpmRateLimitExceeded"), ProviderRateLimited),
    Refused(
        "gemini", 429, {"error": {"code": 429, "message": "quota", "details": [_RETRY]}}, ProviderRateLimited, wait_s=38
    ),
    Refused(
        "openrouter",
        429,
        openai("Provider returned error", metadata={"raw": "limited upstream", "provider_name": "Google"}),
        ProviderRateLimited,
        says="Provider returned error: limited upstream",
    ),
    Refused("siliconflow", 429, {"message": "TPM limit reached.", "data": None}, ProviderRateLimited),
    Refused("grok", 429, {"code": "exhausted", "error": "Too many requests"}, ProviderRateLimited),
    Refused("nvidia", 429, {"status": 429, "title": "Too Many Requests"}, ProviderRateLimited, says="Too Many"),
    # Too much elsewhere.
    Refused("openai", 503, openai("overloaded", type="server_error"), ProviderOverloaded, 2, {"retry-after": "2"}),
    Refused("doubao", 429, openai("busy", code="ServerOverloaded"), ProviderOverloaded),
    Refused("cerebras", 503, flat("high traffic", code="queue_exceeded"), ProviderOverloaded),
    Refused("siliconflow", 503, {"code": 50505, "message": "overloaded", "data": None}, ProviderOverloaded),
    Refused("ollama", 503, {"error": "server busy, please try again.  maximum pending"}, ProviderOverloaded),
    Refused("llamacpp", 503, openai("Loading model", type="unavailable_error", code=503), ProviderOverloaded),
    Refused("openrouter", 502, openai("x", metadata={"raw": "boom"}), ProviderOverloaded, says="x: boom"),
    Refused("nvidia", 500, {"title": "Internal Server Error", "detail": "Inference error"}, ProviderOverloaded),
    Refused("openai", 502, _PAGE, ProviderOverloaded, says="502 Bad Gateway"),
    *(Refused("openrouter", status, b"", ProviderOverloaded) for status in (408, 500, 504, 524, 529)),
    # Too long, which is asked before what a text says about a context.
    Refused("groq", 413, openai("Request too large for model: context window"), RequestTooLarge),
    Refused("openai", 400, openai("x", code="context_length_exceeded"), ContextTooLong),
    Refused("cerebras", 400, flat("x", code="context_length_exceeded"), ContextTooLong),
    Refused("vllm", 400, openai("This model's maximum context length is 8192 tokens.", code=400), ContextTooLong),
    Refused("llamacpp", 400, openai("x", type="exceed_context_size_error", code=400), ContextTooLong),
    Refused("lmstudio", 400, {"error": "the model is loaded with context length of only 4096"}, ContextTooLong),
    Refused("mistral", 400, flat("too large for model with 131072", code="3051"), ContextTooLong),
    Refused("gemini", 400, {"error": {"message": "The input token count (9) exceeds"}}, ContextTooLong),
    Refused("openrouter", 400, openai("x", metadata={"error_type": "string_too_long"}), ContextTooLong),
    Refused("openrouter", 400, openai("x", metadata={"raw": "maximum context length"}), ContextTooLong),
    # Not to be said.
    Refused("doubao", 400, openai("x", code="InputTextSensitiveContentDetected"), ContentBlocked),
    Refused("doubao", 400, openai("x", code="SensitiveContentDetected.Violence"), ContentBlocked),
    Refused("doubao", 400, openai("x", code="InputImageRiskDetection"), ContentBlocked),
    Refused("openrouter", 403, openai("Input flagged", metadata={"reasons": ["violence"]}), ContentBlocked),
    Refused("openrouter", 400, openai("x", metadata={"error_type": "content_policy_violation"}), ContentBlocked),
    Refused("zhipu", 400, openai("x", code="1301"), ContentBlocked),
    # Not there.
    Refused("openai", 404, openai("The model `nope` does not exist", code="model_not_found"), ModelNotFound),
    Refused("doubao", 404, openai("Not activated.", code="ModelNotOpen"), ModelNotFound),
    Refused("grok", 410, {"code": "x", "error": "Live search is deprecated"}, ModelNotFound, says="Live search"),
    Refused("nvidia", 404, b"404 page not found", ModelNotFound, says="page not found"),
    # Wrong.
    Refused("openai", 400, openai("'temperature' does not support 0", code="unsupported_value"), ProviderRejected),
    Refused("openai", 400, openai("Error while downloading", code="invalid_image_url"), ProviderRejected),
    Refused("groq", 400, openai("Failed to generate JSON", code="json_validate_failed"), ProviderRejected),
    Refused("mistral", 422, _EXTRA, ProviderRejected, says="body -> user: Extra inputs are not permitted"),
    Refused("nvidia", 422, _PROBLEM, ProviderRejected, says="body -> top_k Extra inputs"),
    Refused("siliconflow", 400, {"code": 20012, "message": "Model does not exist.", "data": None}, ProviderRejected),
    Refused("ollama", 400, {"error": '"llama3.2" does not support thinking'}, ProviderRejected),
    Refused("openai", 409, openai("conflict"), ProviderRejected),
)
