"""Reading one value of a model's answer: numbers with or without units, booleans, words.

Everything here returns None for what it cannot read with certainty; the envelope takes None to the safe side.
"""

import math
import re
import unicodedata
from typing import Any, Final

MAX_TEXT_CHARS: Final = 60
_MAX_PLAUSIBLE: Final = 100_000
"""Neither millilitres nor degrees: a number beyond it is a malfunction, not a wish to be cut to size."""
_QUANTITY: Final = re.compile(r"\s*([+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?)\s*([^\s0-9.][^0-9]{0,30})?", re.ASCII)
_FACTOR_TO_ML: Final = {
    "": 1.0,
    "ml": 1.0,
    "milliliter": 1.0,
    "milliliters": 1.0,
    "millilitre": 1.0,
    "millilitres": 1.0,
    "cc": 1.0,
    "cl": 10.0,
    "dl": 100.0,
    "l": 1000.0,
    "liter": 1000.0,
    "liters": 1000.0,
    "litre": 1000.0,
    "litres": 1000.0,
}
_CELSIUS: Final = frozenset({"", "°", "c", "°c", "℃", "celsius", "°celsius", "degrees", "degreescelsius", "degreesc"})
_FAHRENHEIT: Final = frozenset({"f", "°f", "℉", "fahrenheit", "°fahrenheit", "degreesfahrenheit", "degreesf"})
_TRUE: Final = frozenset({"true", "yes"})
_FALSE: Final = frozenset({"false", "no"})
_PUNCTUATION: Final = frozenset(" -,.()/'&%+")


def read_volume(value: Any) -> float | None:
    """Return millilitres; a bare number is millilitres already."""
    number, unit = _quantity(value)
    factor = _FACTOR_TO_ML.get(unit)
    return None if number is None or factor is None else number * factor


def read_degree(value: Any) -> float | None:
    """Return degrees Celsius; a bare number is Celsius already."""
    number, unit = _quantity(value)
    if number is None:
        return None
    if unit in _CELSIUS:
        return number
    return (number - 32) * 5 / 9 if unit in _FAHRENHEIT else None


def read_fraction(value: Any) -> float | None:
    """Return a number from 0 to 1; per cent are taken when they say so (`"85%"`)."""
    number, unit = _quantity(value)
    if number is None or unit not in ("", "%"):
        return None
    fraction = number / 100 if unit == "%" else number
    return fraction if 0 <= fraction <= 1 else None


def read_flag(value: Any) -> bool | None:
    """Return a truth value: JSON's own, or true, false, yes, no as a word."""
    if isinstance(value, bool):
        return value
    word = value.strip().casefold() if isinstance(value, str) else ""
    return True if word in _TRUE else False if word in _FALSE else None


def read_words(value: Any) -> str:
    """Return a text fit to be shown anywhere: letters, digits and plain punctuation of one line, at most 60 characters.

    The fielded device puts it into a web page, and a photo's lettering may end up in it, so markup, quotes, control and
    direction characters are dropped. Empty for everything that is not a text.
    """
    if not isinstance(value, str):
        return ""
    kept = (char if _is_plain(char) else " " for char in value[: 20 * MAX_TEXT_CHARS])
    return " ".join("".join(kept).split())[:MAX_TEXT_CHARS].rstrip()


def _is_plain(char: str) -> bool:
    return char in _PUNCTUATION or unicodedata.category(char)[0] in "LNM"


def _quantity(value: Any) -> tuple[float | None, str]:
    """Return a number and its unit, lower case and without spaces; no number where there is any doubt."""
    unit = ""
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        if match is None:
            return None, ""
        value, unit = float(match[1]), "".join((match[2] or "").casefold().split())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, ""
    if abs(value) > _MAX_PLAUSIBLE or not math.isfinite(value):
        return None, ""
    return float(value), unit
