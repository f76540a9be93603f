"""The one classifier: what a provider answered instead of an answer, sorted by what the caller can do about it.

The HTTP status decides; codes and words of the body only where the status is ambiguous. Which provider sends what is
noted beside each rule.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

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
from workers.providers.hints import retry_after_s
from workers.providers.refusal import Refusal, codes, inner_status, metadata, text_of

_CONTEXT_CODES: Final = {
    "context_length_exceeded",  # OpenAI and most others; OpenRouter in metadata.error_type
    "exceed_context_size_error",  # llama.cpp
    "max_tokens_exceeded",
    "token_limit_exceeded",
    "string_too_long",
}
_CONTEXT_WORDS: Final = re.compile(
    r"maximum context length|context[ _](?:size|window|length)|too large for model|input token count", re.IGNORECASE
)
_REGION_CODES: Final = {"unsupported_country_region_territory"}  # OpenAI, 403
_REGION_WORDS: Final = re.compile(r"user location is not supported", re.IGNORECASE)  # Gemini, 400
_QUOTA_CODES: Final = {
    "insufficient_quota",  # OpenAI, 429
    "billing_hard_limit_reached",
    "billing_not_active",
    "accountoverdueerror",  # Ark, 403
}
_QUOTA_WORDS: Final = re.compile(r"insufficient (?:account )?(?:balance|credits)", re.IGNORECASE)
_CONTENT_CODES: Final = {"content_filter", "content_policy_violation", "refusal", "moderation_blocked"}
_CONTENT_STEMS: Final = ("sensitivecontentdetected", "riskdetection")  # Ark, which says before what, and after how bad
_AUTH_CODES: Final = {
    "invalid_api_key",
    "api_key_invalid",
    "authentication_error",
    "invalid_authentication",
    "unauthenticated",
}
_AUTH_WORDS: Final = re.compile(r"(?:incorrect|invalid) api key|api key not valid", re.IGNORECASE)  # xAI, Gemini: 400
_RATE_CODES: Final = {"rate_limit_exceeded", "rate_limit_error", "rate_limited", "too_many_requests", "rate_limit"} | {
    "resource_exhausted"  # Google, as below: https://google.aip.dev/193
}
_RATE_ENDS: Final = ("ratelimitexceeded",)  # Ark
_NOT_FOUND_CODES: Final = {
    "model_not_found",
    "not_found_error",
    "not_found",
    "invalidendpointormodel.notfound",
    "modelnotopen",
}
_OVERLOADED_CODES: Final = {
    "server_error",
    "api_error",
    "internal_server_error",
    "overloaded_error",
    "serveroverloaded",  # Ark, 429
    "service_unavailable",
    *("unavailable", "internal", "deadline_exceeded"),  # Google
    "provider_unavailable",
    "insufficient_system_resource",  # DeepSeek
}
_OVERLOADED_WORDS: Final = re.compile(
    r"overloaded|unavailable|try again later|server (?:had an )?error|error was encountered while running",
    re.IGNORECASE,
)
_UNABLE_WORDS: Final = re.compile(r"(?:image|audio|video) input is not supported", re.IGNORECASE)
"""What llama.cpp says, with status 500, of a model without eyes or ears."""
_REJECTED_CODES: Final = {
    "invalid_request_error",
    "bad_request",
    "badrequesterror",
    "tool_use_failed",
    "invalid_argument",
}
_OWN_CODES: Final[dict[tuple[str, str], type[ProviderError]]] = {
    ("siliconflow", "30001"): ProviderQuota,
    # https://docs.z.ai/api-reference/api-code
    ("zhipu", "1113"): ProviderQuota,
    ("zhipu", "1211"): ModelNotFound,
    ("zhipu", "1261"): ContextTooLong,
    ("zhipu", "1301"): ContentBlocked,
}
"""Numbers that mean something with one provider only."""
_STATUS: Final[dict[int, type[ProviderError]]] = {
    401: ProviderAuth,
    402: ProviderQuota,  # DeepSeek, OpenRouter, Cerebras, NVIDIA
    403: ProviderAuth,
    404: ModelNotFound,
    407: ProviderAuth,  # the proxy's
    408: ProviderOverloaded,
    410: ModelNotFound,  # xAI, for what was shut down
    413: RequestTooLarge,  # Groq: above the tokens per minute, the same size never passes
    429: ProviderRateLimited,
    498: ProviderRateLimited,  # Groq: capacity_exceeded
}


class _Facts(msgspec.Struct, frozen=True):
    provider: str
    status: int | None
    codes: frozenset[str]
    text: str
    has_reasons: bool


def classify(refusal: Refusal, *, provider: str, secrets: Iterable[str] = ()) -> ProviderError:
    """Return the error that a refusal amounts to; never raises, whatever the provider sent."""
    body = refusal.json()
    text = text_of(refusal, secrets=secrets)
    facts = _Facts(
        provider,
        refusal.status if refusal.status is not None else inner_status(body),
        codes(body),
        text,
        "reasons" in metadata(body),
    )
    kind = _kind(facts)
    return kind(_detail(facts), retry_after_s=retry_after_s(refusal) if kind.retryable else None)


def _kind(facts: _Facts) -> type[ProviderError]:
    status = facts.status
    if status in (413, 402, 401, 407):
        return _STATUS[status]
    by_code = _by_code(facts)
    if by_code is not None:
        return by_code
    if status is None:
        return _in_stream(facts)
    if status >= 500:
        return ProviderOverloaded
    if status >= 400:
        return _STATUS.get(status, ProviderRejected)
    return ProviderError


def _by_code(facts: _Facts) -> type[ProviderError] | None:
    """Sort what one status does not tell apart: 400, 403, 422 and 429, and errors inside an answer."""
    own = next((_OWN_CODES[key] for code in facts.codes if (key := (facts.provider, code)) in _OWN_CODES), None)
    if own is not None and (facts.status or 0) < 500:
        return own
    rules: tuple[tuple[type[ProviderError], bool], ...] = (
        (ContextTooLong, _is_client_error(facts) and (_has(facts, _CONTEXT_CODES) or _says(facts, _CONTEXT_WORDS))),
        (ProviderRegion, _is_client_error(facts) and (_has(facts, _REGION_CODES) or _says(facts, _REGION_WORDS))),
        (ProviderQuota, _has(facts, _QUOTA_CODES)),
        (ProviderQuota, facts.status in (None, 403, 429) and _says(facts, _QUOTA_WORDS)),
        (ContentBlocked, _is_client_error(facts) and _is_about_content(facts)),
        (ProviderAuth, _is_client_error(facts) and (_has(facts, _AUTH_CODES) or _says(facts, _AUTH_WORDS))),
        (ProviderOverloaded, facts.status == 429 and _has(facts, _OVERLOADED_CODES)),
        (ProviderRejected, facts.status == 500 and _says(facts, _UNABLE_WORDS)),
    )
    return next((kind for kind, holds in rules if holds), None)


def _in_stream(facts: _Facts) -> type[ProviderError]:
    """Sort an error that came without any status."""
    rules: tuple[tuple[type[ProviderError], bool], ...] = (
        (ProviderRateLimited, _has(facts, _RATE_CODES) or any(code.endswith(_RATE_ENDS) for code in facts.codes)),
        (ProviderOverloaded, _has(facts, _OVERLOADED_CODES)),
        (ModelNotFound, _has(facts, _NOT_FOUND_CODES)),
        (ProviderRejected, _has(facts, _REJECTED_CODES)),
        (ProviderOverloaded, _says(facts, _OVERLOADED_WORDS)),
    )
    return next((kind for kind, holds in rules if holds), ProviderError)


def _is_client_error(facts: _Facts) -> bool:
    return facts.status is None or facts.status in (400, 403, 404, 409, 422)


def _is_about_content(facts: _Facts) -> bool:
    is_arks = any(stem in code for code in facts.codes for stem in _CONTENT_STEMS)
    return is_arks or _has(facts, _CONTENT_CODES) or (facts.status == 403 and facts.has_reasons)  # OpenRouter


def _has(facts: _Facts, wanted: set[str]) -> bool:
    return not facts.codes.isdisjoint(wanted)


def _says(facts: _Facts, words: re.Pattern[str]) -> bool:
    return words.search(facts.text) is not None


def _detail(facts: _Facts) -> str:
    """Say who answered what, in a sentence for the person who is called at night."""
    if facts.status is None:
        return f"{facts.provider} answered with an error: {facts.text or 'it does not say which'}"
    if facts.status == 407:
        return f"The proxy before {facts.provider} refused its credential (407): {facts.text or 'no reason given'}"
    if facts.status < 400:
        return (
            f"{facts.provider} answered {facts.status}, which is no answer: is its base URL right? {facts.text}".strip()
        )
    return f"{facts.provider} answered {facts.status}: {facts.text or 'no reason given'}"
