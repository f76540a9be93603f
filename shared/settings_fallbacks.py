"""Settings of the fallbacks: which models are asked in another's place, in which order."""

from collections.abc import Collection, Mapping
from typing import Annotated, Final, TypeAlias

from pydantic import Field

from shared.domain.commands import ModelRef

EVERY_MODEL: Final = "*"
"""In place of a model's name: every model of the provider that is not named itself."""
Fallbacks: TypeAlias = dict[ModelRef, Annotated[tuple[ModelRef, ...], Field(min_length=1, max_length=10)]]


def check_fallbacks(fallbacks: Mapping[str, tuple[str, ...]], *, configured: Collection[str]) -> None:
    """Refuse fallbacks that could never be asked.

    Raises:
        ValueError: with what to change.
    """
    for asked, instead in fallbacks.items():
        for model in instead:
            provider, _, name = model.partition("/")
            if name == EVERY_MODEL:
                raise ValueError(f"SMARTSIP_FALLBACKS has {model} as a fallback of {asked}: name one model")
            if provider not in configured:
                raise ValueError(
                    f"SMARTSIP_FALLBACKS has {model} as a fallback of {asked}, and its provider is not configured"
                    f" (configured: {', '.join(configured)})"
                )


def fallbacks_of(model: str, fallbacks: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return who is asked in a model's place, in order: its own list, else its provider's."""
    provider = model.partition("/")[0]
    instead = fallbacks.get(model) or fallbacks.get(f"{provider}/{EVERY_MODEL}", ())
    return tuple(dict.fromkeys(other for other in instead if other != model))
