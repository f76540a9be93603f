"""Thought signatures: what Gemini wants back with an answer, on the very part of it that it came with.

A signature travels as a text, `gemini:<kind>:<place>:<base64>`. The place says which part it belongs to in terms that
outlive the way an answer was cut: of `text`, after how many characters of the answer's text its part ends; of `call`
and `image`, which one it is, from 0; of `thought`, nothing. What is not of this form is another provider's.
Source: https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias, cast

from workers.providers.wire_json import Json

Kind: TypeAlias = Literal["text", "call", "image", "thought"]
NO_SIGNATURE: Final = "skip_thought_signature_validator"
"""What Google documents for calls that the model is shown without ever having made them, or whose signature is lost."""
MEMBER: Final = "thoughtSignature"
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_FORM: Final = re.compile(rf"gemini:(text|call|image|thought):([0-9]{{1,9}}):({_BASE64.pattern})")


class Place(NamedTuple):
    """The part of an answer that a signature belongs to."""

    kind: Kind
    at: int


class Signatures:
    """Those that one earlier turn came with; each is given out once."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._left = dict(found for text in texts for found in _read(text))

    def on(self, part: Json, kind: Kind, at: int) -> Json:
        """Return a part with its signature, if it has one."""
        signature = self._left.pop(Place(kind, at), None)
        return part if signature is None else part | {MEMBER: signature}

    def texts(self, text: str) -> list[Json]:
        """Return an answer's text as the parts it was signed in.

        A signature from before the first word is on the first part, one from behind what is left of the text on none.
        """
        parts: list[Json] = []
        start, early = 0, {}
        for place in sorted(place for place in self._left if place.kind == "text"):
            signed: Json = {MEMBER: self._left.pop(place)}
            end = min(place.at, len(text))
            if end > start:
                parts.append({"text": text[start:end]} | signed)
                start = end
            elif not parts:
                early = signed
        if start < len(text):
            parts.append({"text": text[start:]} | ({} if parts else early))
        return parts


def encode(place: Place, signature: str) -> str | None:
    """Return a signature as it is kept; None for what is none."""
    return f"gemini:{place.kind}:{place.at}:{signature}" if _BASE64.fullmatch(signature) else None


def with_substitute(parts: list[Json]) -> list[Json]:
    """Return a turn's parts so that a model that wants signatures takes its calls: the first must have one."""
    first = next((at for at, part in enumerate(parts) if "functionCall" in part), None)
    if first is None or MEMBER in parts[first]:
        return parts
    return [*parts[:first], parts[first] | {MEMBER: NO_SIGNATURE}, *parts[first + 1 :]]


def _read(text: str) -> Iterator[tuple[Place, str]]:
    found = _FORM.fullmatch(text)
    if found is not None:
        kind = cast("Kind", found[1])  # one of the four, as the expression says
        yield Place(kind, int(found[2])), found[3]
