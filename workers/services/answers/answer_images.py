"""Images that a model writes into its answer as Markdown, `![alt](data:image/png;base64,…)`, found in its fragments.

A reference is on one line, as in CommonMark: it ends at its `)`, or broken at the line's end. Everything else is text,
references to images elsewhere among it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.domain.errors import PayloadTooLarge
from workers.providers.data_urls import FIELD, MAX_IMAGE_BYTES, image_of_data_url

MAX_DATA_CHARS: Final = -(-MAX_IMAGE_BYTES // 3) * 4 + 1024
"""Of a data URL: such an image in base64, and a generous beginning. What comes beyond is not kept."""
MAX_ALT_CHARS: Final = 2000

_ALT: Final = rf"\[([^\[\]\n]{{0,{MAX_ALT_CHARS}}}+)"
_REFERENCE: Final = re.compile(rf"!{_ALT}\]\(data:", re.IGNORECASE)
_BEGINNING: Final = re.compile(rf"!(?:{_ALT}(?:\](?:\((?:d(?:a(?:ta?)?)?)?)?)?)?\Z", re.IGNORECASE)
_MAX_BEGINNING_CHARS: Final = MAX_ALT_CHARS + len("![](data")


@dataclass(frozen=True)
class FoundImage:
    """An image of an answer: what stands in the brackets, and its URL after `data:`; None if it was too long."""

    alt: str
    url: str | None = field(repr=False)


class AnswerImages:
    """Takes one answer in any fragments; keeps back only what may become a reference to an image inside it."""

    def __init__(self) -> None:
        self._held = ""
        self._alt: str | None = None  # of the reference whose URL is being collected
        self._url: list[str] = []
        self._url_chars = 0

    @property
    def is_plain(self) -> bool:
        """Whether a fragment without `!` would be text as it is."""
        return not self._held and self._alt is None

    def feed(self, text: str) -> Iterator[str | FoundImage]:
        """Take the next fragment, yield text and images, in order. To be exhausted before the next one."""
        rest = self._held + text
        self._held = ""
        position = 0
        while True:
            if self._alt is not None:
                position = self._collect(rest, position)
                if position < 0:
                    return
                yield self._found()
            reference = _REFERENCE.search(rest, position)
            if reference is None:
                break
            if reference.start() > position:
                yield rest[position : reference.start()]
            self._alt = reference[1]
            position = reference.end()
        beginning = _BEGINNING.search(rest, max(position, len(rest) - _MAX_BEGINNING_CHARS))
        at = len(rest) if beginning is None else beginning.start()
        if at > position:
            yield rest[position:at]
        self._held = rest[at:]

    def end(self) -> str:
        """Return what was kept back and is text after all; an image that is not whole is dropped."""
        held, self._held = self._held, ""
        self._forget()
        return held

    def _collect(self, rest: str, position: int) -> int:
        """Keep what belongs to the URL; return where the text goes on, or -1 if the URL does."""
        line_end = rest.find("\n", position)
        end = rest.find(")", position, line_end if line_end >= 0 else len(rest))
        if end >= 0:
            self._keep(rest[position:end])
            return end + 1
        if line_end >= 0:
            self._url_chars = MAX_DATA_CHARS + 1  # a reference without its end
            return line_end
        self._keep(rest[position:])
        return -1

    def _keep(self, piece: str) -> None:
        self._url_chars += len(piece)
        if self._url_chars > MAX_DATA_CHARS:
            self._url.clear()
        else:
            self._url.append(piece)

    def _found(self) -> FoundImage:
        url = None if self._url_chars > MAX_DATA_CHARS else "".join(self._url)
        found = FoundImage(self._alt or "", url)
        self._forget()
        return found

    def _forget(self) -> None:
        self._alt = None
        self._url.clear()
        self._url_chars = 0


def content_of(found: FoundImage) -> bytes:
    """Return the bytes of an image, not yet known to be one. Takes time: up to 50 ms for the largest.

    Raises:
        ImageRefused: if the URL has no end, or is not of an image in base64.
        PayloadTooLarge: if it is of more than is taken.
    """
    if found.url is None:
        raise PayloadTooLarge("The image is larger than is taken, or its address has no end.", field=FIELD)
    return image_of_data_url(found.url)
