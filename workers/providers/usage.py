"""What a chat completion used, as its provider counts it: the same numbers in the places providers have for them."""

from typing import Any, Final, TypeAlias

from shared.domain.events import Usage
from workers.providers.refusal import is_object

Counts: TypeAlias = dict[str, Any]  # JSON: what a provider puts there is its own affair
_INPUT: Final = ("prompt_tokens", "input_tokens")
_OUTPUT: Final = ("completion_tokens", "output_tokens")
_MOST: Final = 1_000_000_000
"""More than any answer has: a provider that counts so has miscounted, and sums of it must not overflow."""


def read_usage(counts: Counts, *, excludes_reasoning: bool) -> Usage:
    """Return the tokens; `excludes_reasoning`: what the provider calls completion lacks the reasoning.

    The total is believed more than that fact where there is one: then the rest of it beside the input is the output.
    """
    prompt, completion = _inner(counts, "prompt_tokens_details"), _inner(counts, "completion_tokens_details")
    taken, written, total = _first(counts, *_INPUT), _first(counts, *_OUTPUT), _first(counts, "total_tokens")
    reasoning = _first(completion, "reasoning_tokens") or _first(counts, "reasoning_tokens")
    output = written
    if excludes_reasoning:
        output = max(total - taken, written) if total else written + reasoning
    return Usage(
        input_tokens=taken,
        output_tokens=output,
        reasoning_tokens=reasoning or output - written,
        cached_tokens=(
            _first(prompt, "cached_tokens")
            or _first(counts, "prompt_cache_hit_tokens", "cached_tokens")  # DeepSeek, Moonshot
            or _first(_inner(counts, "input_tokens_details"), "cached_tokens")
        ),
    )


def _first(counts: Counts, *names: str) -> int:
    for name in names:
        value = counts.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(min(max(value, 0), _MOST))
    return 0


def _inner(counts: Counts, name: str) -> Counts:
    inner = counts.get(name)
    return inner if is_object(inner) else {}
