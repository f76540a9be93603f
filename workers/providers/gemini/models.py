"""What Gemini's models take, told from their names: no list of theirs says it. As of 2026-11; a doubt is a no."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from shared.domain.errors import ModelNotFound

Thinks: TypeAlias = Literal["by_level", "by_budget", "no"]
"""How a model is told how much to think: the wrong way is refused (400), and so are both."""
_VERSION: Final = re.compile(r"gemini-(\d{1,3})(?:\.(\d{1,3}))?(?![\d.])")
_BY_BUDGET: Final = ("gemini-2.5-", "gemini-robotics-er-")
_ALIAS: Final = re.compile(r"gemini-(?:[a-z]+-)+latest")
"""A name such as `gemini-flash-latest`: whatever stands behind it understands budgets, the newer ones for old users."""
_MUTE: Final = ("-tts", "-native-audio", "-live", "-computer-use", "embedding")
_NO_LEVEL_BUDGET: Final = 32_768


@dataclass(frozen=True, kw_only=True)
class GeminiModel:
    """One model."""

    name: str
    """Without the `models/` that lists put before it."""
    thinks: Thinks
    thinks_unasked: bool
    """If not, asking for its thoughts without asking it to think is refused."""
    budgets: tuple[int, int] = (0, _NO_LEVEL_BUDGET)
    """The least and the most tokens it can be given to think with."""
    wants_signatures: bool = False
    """Whether it refuses its own calls of functions without the signature that came with them (Gemini 3 and later)."""
    makes_images: bool = False


def gemini_model(name: str) -> GeminiModel:
    """Return what is known of a model.

    Raises:
        ModelNotFound: if it is one of Imagen's, which was shut down.
    """
    name = name.removeprefix("models/")
    plain = name.lower()
    if plain.startswith("imagen-") or plain == "imagen":
        raise ModelNotFound(
            f"gemini has no {name}: Imagen was shut down on 2026-08-17. Ask a Gemini model that makes images instead,"
            " such as gemini-3.1-flash-image; the imagen_* parameters work with those, too."
        )
    version = _VERSION.match(plain)
    major = int(version[1]) if version else 0
    makes_images = "-image" in plain or plain.startswith("nano-banana")
    is_alias = _ALIAS.fullmatch(plain) is not None
    thinks = _thinks(plain, major, is_alias=is_alias, makes_images=makes_images)
    return GeminiModel(
        name=name,
        thinks=thinks,
        thinks_unasked=thinks != "no" and not makes_images and not (thinks == "by_budget" and "flash-lite" in plain),
        budgets=_budgets(plain),
        wants_signatures=major >= 3 or is_alias,
        makes_images=makes_images,
    )


def _thinks(plain: str, major: int, *, is_alias: bool, makes_images: bool) -> Thinks:
    if any(part in plain for part in _MUTE):
        return "no"
    if major >= 3:
        return "by_level"
    if makes_images:
        return "no"
    return "by_budget" if is_alias or "thinking" in plain or plain.startswith(_BY_BUDGET) else "no"


def _budgets(plain: str) -> tuple[int, int]:
    """Source: https://ai.google.dev/gemini-api/docs/thinking (2.5); pro models cannot be kept from thinking."""
    if plain.startswith("gemini-2.5-pro") or plain == "gemini-pro-latest":
        return (128, 32_768)
    return (0, 24_576)
