"""The companies that speak chat completions: what differs from the defaults, as of 2026-11.

In doubt a parameter is left out. Who stops billing when the socket is closed is told by
https://openrouter.ai/docs/api-reference/streaming ("stream cancellation"); who is not named there is unknown.
"""

from typing import Final

from workers.providers.chat_completions import families
from workers.providers.chat_completions.row import OpenAICompatible
from workers.providers.model_lists import Listing

_IMAGE_OPTIONS: Final = frozenset({"image_detail"})
_VIDEO_OPTIONS: Final = frozenset({"video_detail", "max_frames", "fps"})
_PENALTIES: Final = frozenset({"presence_penalty", "frequency_penalty"})
_OPENAI_TAKES: Final = _IMAGE_OPTIONS | {
    *("logprobs", "top_logprobs", "logit_bias", "metadata", "modalities", "prediction", "prompt_cache_key"),
    *("prompt_cache_retention", "safety_identifier", "service_tier", "store", "verbosity", "web_search_options"),
}
_OPENROUTER_TAKES: Final = _IMAGE_OPTIONS | {
    *("models", "provider", "plugins", "modalities", "image_config", "repetition_penalty", "top_k", "top_a", "min_p"),
    *("session_id", "trace", "service_tier", "logprobs", "top_logprobs", "logit_bias"),
}
_MISTRAL_TAKES: Final = frozenset(
    {"safe_prompt", "top_k", "repetition_penalty", "min_tokens", "prompt_cache_key", "guardrails", "prediction"}
)

HOSTED: Final = (
    OpenAICompatible(
        name="openai",
        first_delta_s=300,  # it thinks without a word
        idle_s=120,
        stops_billing_on_abort="yes",
        # max_tokens is deprecated, and reasoning models refuse it (types of the SDK 3.54)
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        schema_mode="json_schema_strict",
        completes_schemas=True,
        families=families.OPENAI,
        drops_when_reasoning=_PENALTIES | {"temperature", "top_p", "logprobs", "top_logprobs", "logit_bias"},
        listing=Listing(
            hides=(
                *("embedding", "whisper", "tts", "transcribe", "realtime", "moderation"),
                *("sora", "babbage", "davinci"),
            )
        ),
        takes=_OPENAI_TAKES,
        media=frozenset({"audio"}),
    ),
    OpenAICompatible(
        name="deepseek",
        stops_billing_on_abort="yes",
        drops=frozenset({"seed"}),
        # ignored while it thinks, but for the last two, which are refused (https://api-docs.deepseek.com, thinking)
        drops_when_reasoning=_PENALTIES | {"temperature", "logprobs", "top_logprobs"},
        families=families.DEEPSEEK,
        takes=frozenset({"logprobs", "top_logprobs"}),
        max_stops=16,
        replay="reasoning_content",
    ),
    OpenAICompatible(
        name="doubao",
        idle_s=120,
        families=families.DOUBAO,
        listing=None,  # none is documented that a key for chats opens
        takes=frozenset({"repetition_penalty", "service_tier", "image_detail", "image_pixel_limit", "fps"}),
        media=frozenset({"video", "audio"}),
    ),
    OpenAICompatible(
        name="siliconflow",
        idle_s=90,
        drops=frozenset({"seed"}),
        families=families.SILICONFLOW,
        listing=Listing(hides=("embedding", "bge-", "rerank")),
        takes=frozenset({"min_p", "top_k"} | _IMAGE_OPTIONS | _VIDEO_OPTIONS),
        media=frozenset({"video", "audio"}),
        audio_form="audio_url",
    ),
    OpenAICompatible(
        name="groq",
        stops_billing_on_abort="no",
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        schema_mode="json_schema",  # most models; the others refuse it
        drops=_PENALTIES,  # "not supported by any model" (types of its SDK 1.7)
        families=families.GROQ,
        think_tags=True,
        listing=Listing(hides=("whisper", "tts", "orpheus")),
        takes=frozenset(
            {"service_tier", "search_settings", "citation_options", "compound_custom", "documents"} | _IMAGE_OPTIONS
        ),
    ),
    OpenAICompatible(
        name="mistral",
        stops_billing_on_abort="no",
        stream_usage="never_send",  # unknown members are refused (422), and usage comes without asking
        schema_mode="json_schema",
        seed_param="random_seed",
        drops=frozenset({"user"}),
        families=families.MISTRAL,
        replay="thinking_parts",
        takes=_MISTRAL_TAKES,
        media=frozenset({"audio"}),
        audio_form="input_audio_text",
    ),
    OpenAICompatible(
        name="grok",
        first_delta_s=3600,  # as its own examples allow (https://docs.x.ai, reasoning)
        idle_s=300,
        stops_billing_on_abort="yes",
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        schema_mode="json_schema_strict",
        drops=_PENALTIES | {"stop"},
        families=families.GROK,
        usage_excludes_reasoning=True,
        takes=frozenset({"service_tier", "parallel_function_calling"} | _IMAGE_OPTIONS),
    ),
    OpenAICompatible(
        name="openrouter",
        idle_s=120,
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        stream_usage="never_send",  # it always comes
        schema_mode="json_schema",  # where the model takes one; asked for less where it refuses
        families=families.OPENROUTER,
        replay="reasoning_details",
        takes=_OPENROUTER_TAKES,
        moves=frozenset({"transforms", "web_search_options", "structured_outputs"}),
        media=frozenset({"video", "audio"}),
    ),
    OpenAICompatible(
        name="gemini",  # where its address ends in /openai; its own protocol has a class
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
        closes_schemas=True,
        drops=_PENALTIES | {"parallel_tool_calls"},
        families=families.CEREBRAS,
        replay="reasoning",
        think_tags=True,
        takes=frozenset({"clear_thinking", "min_tokens", "prediction", "prompt_cache_key"}),
    ),
    OpenAICompatible(
        name="nvidia",
        first_delta_s=180,
        idle_s=120,
        families=families.NVIDIA,
        think_tags=True,
        listing=Listing(hides=("embed", "rerank")),
        takes=frozenset({"top_k", "min_p", "repetition_penalty", "nvext"}),
    ),
    OpenAICompatible(
        name="zhipu",
        stream_usage="never_send",  # it always comes, in the last chunk
        drops=_PENALTIES | {"seed"},
        families=families.ZHIPU,
        think_tags=True,  # glm-z1
    ),
)
