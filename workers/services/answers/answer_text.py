"""A model's words and images on their way to the reader: images are stored, and references stand in their place."""

import asyncio
from typing import Final
from urllib.parse import quote

import structlog

from shared.domain.chats import IMAGE_URL
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.events import ImageStored, Noted, Text
from shared.domain.ids import ImageId
from shared.domain.jobs import Kind
from workers.providers.base import GeneratedImage
from workers.services.answers.answer_images import AnswerImages, FoundImage, content_of
from workers.services.answers.store_answer_image import store_answer_image
from workers.services.attempt import Attempt
from workers.services.media.fetch_url import fetch_url
from workers.services.media.stored_image import StoredRow
from workers.services.pictures.decoder_wire import MAX_IMAGE_BYTES
from workers.services.pictures.settle_image import ASIDE_BYTES

ALT: Final = "image"
MAX_URL_CHARS: Final = 2000
_URL_SAFE: Final = "!#$%&'*+,/:;=?@[]~"
"""What `quote` leaves besides letters, digits and `_.-~`: not the brackets that would end a reference."""
_log = structlog.get_logger(__name__)


class AnswerText:
    """Reports one answer, as an attempt's events. Whatever becomes of the attempt, `end` belongs after it."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._emit = attempt.emit
        self._images = AnswerImages()
        self._said: list[str] = []
        self._reported: set[ImageId] = set()

    @property
    def text(self) -> str:
        """What was reported as text."""
        return "".join(self._said)

    def take_plain(self, fragment: Text) -> bool:
        """Report a fragment at once if nothing can be in it but words; else leave it, for `take`."""
        if "!" in fragment.text or not self._images.is_plain:
            return False
        self._said.append(fragment.text)
        self._emit(fragment)
        return True

    async def take(self, fragment: Text) -> None:
        """Report what a fragment tells, together with what was kept back of those before it.

        Raises:
            Unavailable: if an image cannot be stored at the moment.
        """
        for piece in self._images.feed(fragment.text):
            self._say(piece if isinstance(piece, str) else await self._shown(piece))

    async def show(self, image: GeneratedImage) -> None:
        """Report an image that came beside the words. In a chat, a reference to it stands among them.

        One that its provider put somewhere is fetched, for it will not be there for long; if that cannot be, it stays a
        link.

        Raises:
            Unavailable: if it cannot be stored at the moment.
        """
        self.end()
        content = image.content if image.content is not None else await self._fetched(image.url or "")
        url = _linked(image.url or "") if content is None else await self._stored_at(content)
        if url and self._attempt.spec.kind is Kind.CHAT:
            self._say(f"{self._gap()}![{ALT}]({url})")

    def end(self) -> None:
        """Report what was kept back; an image that did not come whole is dropped. Doing it again is harmless."""
        self._say(self._images.end())

    def _say(self, text: str) -> None:
        if text:
            self._said.append(text)
            self._emit(Text(text))

    def _gap(self) -> str:
        return "" if not self._said or self._said[-1].endswith("\n") else "\n\n"

    async def _fetched(self, url: str) -> bytes | None:
        provider = self._attempt.provider
        try:
            fetched = await fetch_url(
                url,
                max_bytes=MAX_IMAGE_BYTES,
                timeout_s=self._attempt.tools.clocks.fetch_media.total_seconds(),
                allow_private=provider is not None and provider.is_near,
            )
        except InvalidRequest as error:
            _log.info("answer_image_not_fetched", code=error.code, detail=error.detail)
            return None
        return fetched.content

    async def _stored_at(self, content: bytes) -> str:
        """Return where an image is; nothing if it is none that is taken, which is noted."""
        try:
            row = await store_answer_image(self._attempt, content)
        except (InvalidRequest, NotFound) as error:
            _log.warning("answer_image_refused", code=error.code, detail=error.detail)
            self._emit(Noted("image_refused", f"An image of the answer was left out: {error}"))
            return ""
        return self._reference(row)

    async def _shown(self, found: FoundImage) -> str:
        """Store an image, and return the reference to it: an empty one if it is no image that is taken."""
        try:
            content = await _content(found)
            row = await store_answer_image(self._attempt, content)
        except (InvalidRequest, NotFound) as error:
            _log.warning("answer_image_refused", code=error.code, detail=error.detail)
            return f"![{found.alt}]()"
        return f"![{found.alt}]({self._reference(row)})"

    def _reference(self, row: StoredRow) -> str:
        """Report a stored image, once, and return its address."""
        image_id = ImageId(row.id)
        if image_id not in self._reported:
            self._reported.add(image_id)
            self._emit(ImageStored(str(image_id), row.media_type, row.size_bytes))
        return IMAGE_URL.format(image_id=image_id)


def _linked(url: str) -> str:
    """Return an address that can stand in a reference; nothing if it is none that a browser should follow."""
    is_plain = url.startswith(("https://", "http://")) and len(url) <= MAX_URL_CHARS
    return quote(url, safe=_URL_SAFE) if is_plain else ""


async def _content(found: FoundImage) -> bytes:
    if len(found.url or "") <= ASIDE_BYTES:
        return content_of(found)
    return await asyncio.to_thread(content_of, found)
