"""The sources that Gemini's search and its reading of pages name. Pure, and tolerant: what is odd names nothing."""

from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

from workers.providers.refusal import is_object

_RETRIEVED: Final = ("URL_RETRIEVAL_STATUS_SUCCESS", "URL_RETRIEVAL_STATUS_UNSPECIFIED", None)
_KINDS: Final = ("web", "maps", "retrievedContext", "image")


def sources_of(grounding: msgspec.Raw, url_context: msgspec.Raw) -> msgspec.Raw | None:
    """Return a candidate's metadata as the JSON that `Sources` reads, None where nothing is named.

    Addresses of the search are Google's own redirects; pages that could not be had are no sources.
    """
    found = [*_searched(_decoded(grounding)), *_read(_decoded(url_context))]
    return msgspec.Raw(msgspec.json.encode(found)) if found else None


def _searched(metadata: dict[str, Any]) -> Iterator[dict[str, object]]:
    for chunk in _objects(metadata.get("groundingChunks")):
        for kind in _KINDS:
            if is_object(source := chunk.get(kind)):
                yield {"url": source.get("uri") or source.get("sourceUri"), "title": source.get("title")}


def _read(metadata: dict[str, Any]) -> Iterator[dict[str, object]]:
    for page in _objects(metadata.get("urlMetadata")):
        if page.get("urlRetrievalStatus") in _RETRIEVED:
            yield {"url": page.get("retrievedUrl")}


def _decoded(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        value: object = msgspec.json.decode(raw) if bytes(raw) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    return value if is_object(value) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    entries = cast("list[object]", value) if isinstance(value, list) else []
    return [entry for entry in entries if is_object(entry)]
