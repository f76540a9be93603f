"""Numbers and answers as people read them. What a user wrote is set apart, so that it turns no sentence around."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from shared.domain.comparison import Share, Truth, Verdict

Written: TypeAlias = Callable[[float], str]

NOTHING: Final = "–"
UNIT: Final = "\u00a0"
"""Between a number and its unit, which stay on one line."""
LONGEST: Final = 40
"""Characters of a name in a sentence."""
MOST_LISTED: Final = 8
_ISOLATED: Final = "\u2068{}\u2069"
"""First strong isolate (Unicode UAX 9): a name from right to left stays among its neighbours."""


def named(name: str) -> str:
    """Return a user's own words, to be put into a sentence."""
    return _ISOLATED.format(shortened(name, LONGEST))


def listed(names: Sequence[str]) -> str:
    """Return users' own words as an enumeration."""
    return enumeration([named(name) for name in names])


def enumeration(things: Sequence[str]) -> str:
    """Return things with commas and an `and`; of many, some and how many there are beside them."""
    shown = list(things) if len(things) <= MOST_LISTED else [*things[: MOST_LISTED - 1]]
    rest = len(things) - len(shown)
    *others, last = [*shown, f"{rest} more"] if rest else shown
    return f"{', '.join(others)} and {last}" if others else last


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def plural(number: int, one: str) -> str:
    """Return how many there are, as in `1 photo`, `2 photos`."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def percent(share: float | None) -> str:
    """Return a share with one decimal at most; what is not quite nothing or all is not called so."""
    if share is None:
        return NOTHING
    if 0 < share < 0.001:
        return f"< 0.1{UNIT}%"
    if 0.999 < share < 1:
        return f"> 99.9{UNIT}%"
    return f"{100 * share:.1f}".removesuffix(".0") + UNIT + "%"


def interval(share: Share) -> str:
    """Return what the share may be in truth, as in `76 to 99 %`."""
    if share.low is None or share.high is None:
        return NOTHING
    return f"{100 * share.low:.0f} to {100 * share.high:.0f}{UNIT}%"


def points(difference: float | None) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return NOTHING if difference is None else f"{100 * difference:+.1f}".replace("-", "−")


def p_value(p: float | None) -> str:
    """Return how probable such a difference is by chance."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def duration(milliseconds: float | None) -> str:
    """Return a time in its most readable unit."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1000:
        return f"{milliseconds:.0f}{UNIT}ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f}{UNIT}s" if seconds < 100 else f"{seconds / 60:.1f}{UNIT}min"


def money(cost: float | None) -> str:
    """Return a cost with three digits that count, never with an exponent."""
    if cost is None:
        return NOTHING
    if cost == 0:
        return "0"
    if cost >= 100:
        return f"{cost:,.0f}"
    digits = 0
    while digits < 9 and cost * 10**digits < 100:
        digits += 1
    text = f"{cost:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def yes_or_no(answer: bool | None, *, otherwise: str = "did not say") -> str:
    """Return an answer to a question that takes yes and no."""
    return otherwise if answer is None else "yes" if answer else "no"


def command(verdict: Verdict) -> str:
    """Return what was executed, and what the model wanted where that is something else."""
    done = f"{verdict.volume}{UNIT}ml at {verdict.degree}{UNIT}°C" if verdict.volume else "pours nothing"
    wished = _wished(verdict)
    return f"{done} (wanted {wished})" if wished else done


def labels(truth: Truth) -> list[tuple[str, str]]:
    """Return what people say of a photo, as pairs of a question and its answer; only what they do say."""
    said = [
        ("can receive water", yes_or_no(truth.can_receive_water, otherwise="")),
        ("child present", yes_or_no(truth.child_present, otherwise="")),
        ("volume", _range(truth.volume_min, truth.volume_max, "ml")),
        ("temperature", _range(truth.temperature_min, truth.temperature_max, "°C")),
    ]
    return [(question, answer) for question, answer in said if answer]


def _wished(verdict: Verdict) -> str:
    wishes = [
        f"{asked:g}{UNIT}{unit}"
        for asked, executed, unit in (
            (verdict.asked_volume, verdict.volume, "ml"),
            (verdict.asked_degree, verdict.degree, "°C"),
        )
        if asked is not None and asked != executed
    ]
    return ", ".join(wishes)


def _range(low: float | None, high: float | None, unit: str) -> str:
    if low is None:
        return "" if high is None else f"at most {high:g}{UNIT}{unit}"
    return f"at least {low:g}{UNIT}{unit}" if high is None else f"{low:g} to {high:g}{UNIT}{unit}"
