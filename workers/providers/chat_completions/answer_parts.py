"""What stands in the parts of a list content, and in lists of images: Mistral's thoughts, OpenRouter's pictures."""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec

from shared.domain.events import Reasoning, Signature, Text
from workers.providers.base import GeneratedImage
from workers.providers.data_urls import SCHEME
from workers.providers.refusal import is_list, is_object

Found: TypeAlias = Text | Reasoning | Signature | GeneratedImage | msgspec.Raw
"""A `Raw` may name a source."""
MAX_IMAGES: Final = 32
"""Of one answer; what comes beyond is left out."""
_THOUGHTS: Final = ("thinking", "reasoning")
_IMAGES: Final = ("image_url", "output_image", "image")
_SOURCES: Final = ("tool_reference",)  # Mistral's, of its own search


def read_parts(content: object) -> Iterator[Found]:
    """Yield what a list content tells; parts of unknown types tell their `text`, if they have one."""
    for part in content if is_list(content) else (content,):
        if isinstance(part, str):
            yield from _words(part)
        elif is_object(part):
            yield from _part(part)


def image_of(entry: object) -> GeneratedImage | None:
    """Return the image of an entry in any of the shapes for one."""
    if not is_object(entry):
        return None
    inner = entry.get("image_url", entry.get("image"))
    facts = inner if is_object(inner) else entry
    url = inner if isinstance(inner, str) else facts.get("url")
    if isinstance(url, str) and url.startswith((SCHEME, "https://", "http://")):
        return GeneratedImage(url=url)
    data = facts.get("b64_json")
    return GeneratedImage(url=f"{SCHEME}image/png;base64,{data}") if isinstance(data, str) and data else None


def _part(part: dict[str, Any]) -> Iterator[Found]:  # JSON
    kind = part.get("type")
    if kind in _THOUGHTS:
        yield from _thought(part)
    elif kind in _IMAGES:
        image = image_of(part)
        if image is not None:
            yield image
    elif kind in _SOURCES:
        yield msgspec.Raw(msgspec.json.encode(part))
    else:
        yield from _words(part.get("text"))


def _thought(part: dict[str, Any]) -> Iterator[Found]:  # JSON
    inner = next((part[name] for name in (*_THOUGHTS, "text") if part.get(name)), None)
    for found in read_parts(inner):
        yield Reasoning(found.text) if isinstance(found, Text) else found
    signature = part.get("signature")
    if isinstance(signature, str) and signature:
        yield Signature(signature)


def _words(text: object) -> Iterator[Text]:
    if isinstance(text, str) and text:
        yield Text(text)
