"""OpenRouter's `reasoning_details`: in fragments from the stream, and whole for the next turn, which wants them back.

Source: https://openrouter.ai/docs/use-cases/reasoning-tokens ("Preserving reasoning blocks").
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from workers.providers.refusal import is_list, is_object

_GROWS: Final = ("text", "summary")
"""Members that come in fragments; the others come whole."""
_PROOFS: Final = ("signature", "data")
MAX_CHARS: Final = 1024 * 1024
"""Longer ones are not kept: they would be sent with every turn."""


class ReasoningDetails:
    """The details of one answer."""

    def __init__(self) -> None:
        self._details: list[dict[str, Any]] = []  # JSON
        self._size = 0

    def take(self, fragments: object) -> Iterator[str]:
        """Keep what a delta brings, yield what of it is for people to read."""
        for fragment in fragments if is_list(fragments) else ():
            if not is_object(fragment):
                continue
            self._keep(fragment)
            yield from (it for name in _GROWS if isinstance(it := fragment.get(name), str) and it)

    def whole(self) -> str | None:
        """Return all of them as a JSON list; None where nothing proves them, and nobody needs them back."""
        proven = any(detail.get(name) for detail in self._details for name in _PROOFS)
        return msgspec.json.encode(self._details).decode() if proven and self._size <= MAX_CHARS else None

    def _keep(self, fragment: dict[str, Any]) -> None:  # JSON
        self._size += sum(len(value) for value in fragment.values() if isinstance(value, str))
        if self._size > MAX_CHARS:
            return
        known = next((detail for detail in self._details if _is_same(detail, fragment)), None)
        if known is None:
            self._details.append(dict(fragment))
            return
        for name, value in fragment.items():
            if name in _GROWS and isinstance(value, str) and isinstance(begun := known.get(name), str):
                known[name] = begun + value
            elif value is not None:
                known[name] = value


def _is_same(detail: dict[str, Any], fragment: dict[str, Any]) -> bool:  # JSON
    """Return whether a fragment continues a detail: of one type, in one place, and not with a name of its own."""
    names = (fragment.get("id"), detail.get("id"))
    has_one_name = None in names or names[0] == names[1]
    return has_one_name and all(detail.get(name) == fragment.get(name) for name in ("type", "index"))
