"""What the readers and writers of pictures and films have in common."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from shared.domain.errors import ProviderError
from shared.domain.events import Noted, Usage
from workers.providers.base import GeneratedImage, PromptImage
from workers.providers.parameter_notes import Notes
from workers.providers.refusal import is_object
from workers.providers.request_body import ASIDE_BYTES, quoted_base64

Json: TypeAlias = dict[str, Any]  # a JSON object of the wire
Fits: TypeAlias = Callable[[object], bool]
"""Whether a value is one that a parameter can have."""
MAX_COUNT: Final = 1_000_000_000
MAX_WORD_CHARS: Final = 200


class Failed(NamedTuple):
    """A picture that was not made, and the provider's own error about it as JSON."""

    body: bytes


class Pictures(NamedTuple):
    """What came of asking for pictures; `error` is the provider's own about all of them, as JSON."""

    made: list[GeneratedImage | Failed]
    usage: Usage | None
    error: bytes | None


def is_word(value: object) -> bool:
    """Whether it is a short text."""
    return isinstance(value, str) and 0 < len(value) <= MAX_WORD_CHARS


def is_flag(value: object) -> bool:
    """Whether it is true or false."""
    return isinstance(value, bool)


def is_integer(value: object) -> bool:
    """Whether it is a whole number."""
    return type(value) is int


def is_number(value: object) -> bool:
    """Whether it is a number."""
    return type(value) in (int, float)


def taken(options: Mapping[str, Any], known: Mapping[str, Fits]) -> Json:
    """Return the options that are known and can be what they are."""
    return {name: options[name] for name, fits in known.items() if name in options and fits(options[name])}


def dropped(names: Iterable[str], model: str) -> list[Noted]:
    """Return a note for each parameter that is not sent."""
    notes = Notes(model)
    for name in names:
        notes.dropped(name)
    return list(notes.told)


def data_url(image: PromptImage) -> msgspec.Raw:
    """Return an image as a JSON string."""
    return quoted_base64(image.content, before=f"data:{image.media_type};base64,")


async def encoded(make: Callable[[], Json], *, shown_bytes: int = 0) -> bytes:
    """Return a request as JSON, made in a thread where images travel inside."""
    if shown_bytes < ASIDE_BYTES:
        return msgspec.json.encode(make())
    return await asyncio.to_thread(lambda: msgspec.json.encode(make()))


def read_object(content: bytes) -> Json | None:
    """Return an answer, or None if it is no JSON object."""
    try:
        said: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return said if is_object(said) else None


def read_pictures(content: bytes) -> Pictures | None:
    """Return what an answer of `…/images/generations` says, or None if it cannot be read as one.

    Takes time where pictures came inside: 50 ms for one of 20 MB.
    """
    said = read_object(content)
    if said is None:
        return None
    error: object = said.get("error")
    entries = items(said.get("data")) or items(said.get("images"))
    made = [_picture(entry) for entry in entries if is_object(entry)]
    if not error and not any(isinstance(said.get(name), list) for name in ("data", "images")):
        return None
    return Pictures(made, _usage(said.get("usage")), msgspec.json.encode({"error": error}) if error else None)


def count(value: object) -> int:
    """Return a number of tokens; 0 for what is none."""
    return value if type(value) is int and 0 < value <= MAX_COUNT else 0


def items(value: object) -> list[object]:
    """Return the entries of a JSON value; none where it is no list."""
    return list(value) if isinstance(value, list) else []  # pyright: ignore[reportUnknownArgumentType] - JSON


def text_at(value: object, *path: str) -> str | None:
    """Return the text at a place of a JSON value, if there is one."""
    for name in path:
        if not is_object(value):
            return None
        value = value.get(name)
    return value if isinstance(value, str) and value.strip() else None


def for_good(error: ProviderError) -> ProviderError:
    """Return an error about an order that was taken: that it may pass is no reason to place it again."""
    return ProviderError(error.detail) if error.retryable else error


def _picture(entry: Json) -> GeneratedImage | Failed:
    inline = text_at(entry, "b64_json")
    if inline is not None:
        data = inline.partition(",")[2] if inline.startswith("data:") else inline
        try:
            return GeneratedImage(content=base64.b64decode(data + "=="))  # padding is left out by some
        except (binascii.Error, ValueError):
            return Failed(msgspec.json.encode({"error": {"message": "The picture is not base64."}}))
    url = text_at(entry, "url") or text_at(entry, "url", "url")
    if url is not None:
        return GeneratedImage(url=url)
    error: object = entry.get("error") or {"message": "no picture, and no reason"}
    return Failed(msgspec.json.encode({"error": error}))


def _usage(said: object) -> Usage | None:
    if not is_object(said):
        return None
    details: object = said.get("input_tokens_details")
    return Usage(
        input_tokens=count(said.get("input_tokens")) or count(said.get("prompt_tokens")),
        output_tokens=count(said.get("output_tokens")) or count(said.get("completion_tokens")),
        cached_tokens=count(details.get("cached_tokens")) if is_object(details) else 0,
    )
