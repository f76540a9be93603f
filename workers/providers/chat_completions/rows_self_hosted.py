"""Servers of one's own that speak chat completions, for endpoints that are named after them, and for all others.

Which media a model on them takes only its owner knows.
"""

from typing import Final, Literal

from workers.providers.chat_completions import families
from workers.providers.chat_completions.row import OpenAICompatible

_MEDIA: Final[frozenset[Literal["video", "audio"]]] = frozenset({"video", "audio"})
_SAMPLING: Final = frozenset({"top_k", "min_p"})
_LOGPROBS: Final = frozenset({"logprobs", "top_logprobs", "logit_bias"})

LOADING_S: Final = 300
"""A model that is asked for may have to be loaded first, and a long prompt be read without a GPU."""

SELF_HOSTED: Final = (
    OpenAICompatible(
        name="vllm",
        first_delta_s=LOADING_S,
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        schema_mode="json_schema",
        families=families.VLLM,
        replay="reasoning",
        think_tags=True,
        takes=_SAMPLING | _LOGPROBS | {"repetition_penalty", "min_tokens"},
        max_stops=None,
        media=_MEDIA,
    ),
    OpenAICompatible(
        name="lmstudio",
        first_delta_s=LOADING_S,
        schema_mode="json_schema",
        families=families.SELF_HOSTED,
        think_tags=True,
        takes=frozenset({"top_k", "repeat_penalty"}),
        renames=(("repetition_penalty", "repeat_penalty"),),
        max_stops=None,
        media=_MEDIA,
    ),
    OpenAICompatible(
        name="llamacpp",
        first_delta_s=LOADING_S,
        schema_mode="json_schema",
        families=families.LLAMACPP,
        think_tags=True,
        takes=_SAMPLING | _LOGPROBS | {"repeat_penalty", "cache_prompt"},
        renames=(("repetition_penalty", "repeat_penalty"),),
        max_stops=None,
        media=_MEDIA,
    ),
)


def elsewhere(name: str) -> OpenAICompatible:
    """Return what is assumed of a server that nothing is known of."""
    return OpenAICompatible(
        name=name,
        first_delta_s=LOADING_S,
        families=families.SELF_HOSTED,
        think_tags=True,
        takes=_SAMPLING | {"repetition_penalty"},
        max_stops=None,
        media=_MEDIA,
    )
