"""The only list of providers: one row for each that speaks chat completions, a class for each that does not."""

from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from shared.settings import ProviderEndpoint
from workers.providers.base import Provider
from workers.providers.demo import DemoProvider
from workers.providers.model_lists import Listing
from workers.providers.ollama import OllamaProvider
from workers.providers.openai_compatible import OpenAICompatibleProvider
from workers.providers.openai_wire import OpenAICompatible

_OPENAI_REASONS: Final = (
    *((f"gpt-5.{minor}-{variant}", True) for minor in (1, 2, 3, 4) for variant in ("chat", "pro")),
    ("gpt-5.1-codex", True),
    *((f"gpt-5.{minor}", False) for minor in (1, 2, 3, 4)),
    ("gpt-5-chat", False),
    ("gpt-5", True),
    ("gpt-6-astra", True),
    *((f"o{number}", True) for number in range(1, 10)),
)
"""GPT-5.1 to 5.4 reason only when asked to, but for their chat and pro variants; everything else of the family does by
itself, except its first chat model (https://developers.openai.com/api/docs/guides/reasoning; pydantic-ai 2026-07,
profiles/openai.py, where nearly all were tried). In doubt they are left out: that costs less than a refusal."""

_IMAGE_OPTIONS: Final = frozenset({"image_detail"})
_VIDEO_OPTIONS: Final = frozenset({"video_detail", "max_frames", "fps"})
_SELF_HOSTED_TAKES: Final = frozenset({"top_k", "min_p", "repetition_penalty"})
_OPENAI_TAKES: Final = _IMAGE_OPTIONS | {
    *("logprobs", "top_logprobs", "logit_bias", "metadata", "modalities", "prediction", "prompt_cache_key"),
    *("prompt_cache_retention", "safety_identifier", "service_tier", "store", "verbosity", "web_search_options"),
}
_OPENROUTER_TAKES: Final = _IMAGE_OPTIONS | {
    *("models", "provider", "plugins", "reasoning", "modalities", "image_config", "repetition_penalty", "top_k"),
    *("top_a", "min_p", "session_id", "trace", "service_tier", "logprobs", "top_logprobs", "logit_bias"),
}

_PENALTIES: Final = frozenset({"presence_penalty", "frequency_penalty"})

# What differs from the defaults, as of 2026-11; in doubt a parameter is left out. Who stops billing when the socket is
# closed: https://openrouter.ai/docs/api-reference/streaming ("stream cancellation"); who is not named there is unknown.
ROWS: Final = (
    OpenAICompatible(
        name="openai",
        stops_billing_on_abort="yes",
        # max_tokens is deprecated, and reasoning models refuse it (types of the SDK 3.54)
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        schema_mode="json_schema_strict",
        reasons=_OPENAI_REASONS,
        listing=Listing(
            hides=(
                *("embedding", "whisper", "tts", "transcribe", "realtime", "moderation"),
                *("dall-e", "gpt-image", "sora", "babbage", "davinci"),
            )
        ),
        takes=_OPENAI_TAKES,
        media=frozenset({"audio"}),
    ),
    OpenAICompatible(
        name="deepseek",
        stops_billing_on_abort="yes",
        drops=frozenset({"seed"}),
        takes=frozenset({"logprobs", "top_logprobs", "thinking"}),
    ),
    OpenAICompatible(
        name="doubao",
        listing=None,  # none is documented that a key for chats opens
        takes=frozenset({"thinking", "repetition_penalty", "service_tier", "image_detail", "fps"}),
        media=frozenset({"video", "audio"}),
    ),
    OpenAICompatible(
        name="siliconflow",
        drops=frozenset({"seed"}),
        listing=Listing(hides=("embedding", "bge-", "rerank")),
        takes=frozenset({"enable_thinking", "thinking_budget", "min_p", "top_k"} | _IMAGE_OPTIONS | _VIDEO_OPTIONS),
        media=frozenset({"video"}),
    ),
    OpenAICompatible(
        name="groq",
        stops_billing_on_abort="no",
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        drops=_PENALTIES,  # "not supported by any model" (types of its SDK 1.7)
        listing=Listing(hides=("whisper", "tts", "orpheus")),
        takes=frozenset({"reasoning_format", "include_reasoning", "service_tier", "search_settings", "image_detail"}),
    ),
    OpenAICompatible(
        name="mistral",
        stops_billing_on_abort="no",
        stream_usage="never_send",  # unknown members are refused (422), and usage comes without asking
        schema_mode="json_schema",
        seed_param="random_seed",
        drops=frozenset({"user"}),
        takes=frozenset({"safe_prompt", "random_seed"}),
    ),
    OpenAICompatible(
        name="grok",
        stops_billing_on_abort="yes",
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        schema_mode="json_schema_strict",
        drops=_PENALTIES | {"stop"},
        usage_excludes_reasoning=True,
        takes=frozenset({"service_tier"} | _IMAGE_OPTIONS),
    ),
    OpenAICompatible(
        name="openrouter",
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        stream_usage="never_send",  # it always comes
        takes=_OPENROUTER_TAKES,
        media=frozenset({"video", "audio"}),
    ),
    OpenAICompatible(
        name="gemini",
        stops_billing_on_abort="no",
        schema_mode="json_schema",
        drops=_PENALTIES | {"seed"},  # its own protocol has them; a member that this one lacks is refused (400)
        listing=Listing(prefix="models/", hides=("embedding", "imagen", "veo", "tts", "aqa")),
        media=frozenset({"audio"}),
    ),
    OpenAICompatible(
        name="cerebras",
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        schema_mode="json_schema_strict",
        drops=_PENALTIES | {"parallel_tool_calls"},
        takes=frozenset({"reasoning_format", "disable_reasoning", "clear_thinking", "min_tokens", "prediction"}),
    ),
    OpenAICompatible(
        name="nvidia",
        listing=Listing(hides=("embed", "rerank")),
        takes=frozenset({"chat_template_kwargs"}) | _SELF_HOSTED_TAKES,
    ),
    OpenAICompatible(
        name="zhipu",
        stream_usage="never_send",  # it always comes, in the last chunk
        drops=_PENALTIES | {"seed"},
    ),
)


def build_providers(endpoints: Mapping[str, ProviderEndpoint]) -> dict[str, Provider]:
    """Return every provider that is configured, by name; `demo` always.

    A name that no row and no class has is taken as a server that speaks chat completions, with cautious assumptions.
    """
    providers: dict[str, Provider] = {"demo": DemoProvider()}
    for name, endpoint in endpoints.items():
        if name not in providers:
            providers[name] = _build(name, endpoint)
    return providers


def row_of(name: str) -> OpenAICompatible:
    """Return the row of that name, or cautious assumptions: only its owner knows which media a server of his takes."""
    elsewhere = OpenAICompatible(name=name, takes=_SELF_HOSTED_TAKES, media=frozenset({"video", "audio"}))
    return next((row for row in ROWS if row.name == name), elsewhere)


def _build(name: str, endpoint: ProviderEndpoint) -> Provider:
    api_key = _secret(endpoint.api_key)
    if name == "ollama":
        return OllamaProvider(base_url=endpoint.base_url, api_key=api_key, proxy=endpoint.proxy)
    return OpenAICompatibleProvider(
        row_of(name), base_url=endpoint.base_url, api_key=api_key, proxy=endpoint.proxy, headers=endpoint.headers
    )


def _secret(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value() or None
