"""The sources that an answer names, in the shapes providers have for them: each is reported once."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shared.domain.events import SearchResult, SearchResults
from workers.providers.refusal import is_list, is_object

MAX_SOURCES: Final = 200
"""More of one answer are not reported."""
MAX_URL_CHARS: Final = 2000
MAX_TITLE_CHARS: Final = 500
MAX_CONTENT_CHARS: Final = 4000
_URLS: Final = ("url", "link", "href", "source")
_TITLES: Final = ("title", "name")
_CONTENTS: Final = ("content", "snippet", "description")
_INNER: Final = ("url_citation", "search_results", "results", "items", "data")
"""Members in which the sources stand: OpenAI's and OpenRouter's annotations, Groq's tools, lists in objects."""
_MAX_DEPTH: Final = 5


class Sources:
    """What one stream has named so far."""

    def __init__(self) -> None:
        self._urls: set[str] = set()

    def new(self, *raw: msgspec.Raw) -> Iterator[SearchResults]:
        """Yield what these pieces of JSON name and was not named before; what cannot be read names nothing."""
        found = [source for piece in raw if bytes(piece) for source in _sources(_decoded(piece), _MAX_DEPTH)]
        results = [source for source in found if self._is_new(source)]
        if results:
            yield SearchResults(results)

    def _is_new(self, source: SearchResult) -> bool:
        if source.url in self._urls or len(self._urls) >= MAX_SOURCES:
            return False
        self._urls.add(source.url)
        return True


def _decoded(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _sources(value: object, depth: int) -> Iterator[SearchResult]:
    if depth == 0:
        return
    if isinstance(value, str):
        yield from _source(value, {})
    elif is_list(value):
        for entry in value:
            yield from _sources(entry, depth - 1)
    elif is_object(value):
        yield from _source(_text(value, _URLS, MAX_URL_CHARS + 1) or "", value)
        for name in _INNER:
            if not isinstance(inner := value.get(name), str):
                yield from _sources(inner, depth - 1)


def _source(url: str, facts: dict[str, Any]) -> Iterator[SearchResult]:
    """Yield a source that one can visit: clients make links of them."""
    if url.startswith(("https://", "http://")) and len(url) <= MAX_URL_CHARS:
        yield SearchResult(url, _text(facts, _TITLES, MAX_TITLE_CHARS), _text(facts, _CONTENTS, MAX_CONTENT_CHARS))


def _text(facts: dict[str, Any], names: tuple[str, ...], most: int) -> str | None:
    texts = (facts.get(name) for name in names)
    return next((text[:most] for text in texts if isinstance(text, str) and text), None)
