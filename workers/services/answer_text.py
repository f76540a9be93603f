"""A model's words on their way to the reader: thoughts in tags become reasoning, images inside them are stored."""

import asyncio

import structlog

from shared.domain.chats import IMAGE_URL
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.events import ImageStored, Text
from shared.domain.ids import ImageId
from workers.services.answer_images import AnswerImages, FoundImage, content_of
from workers.services.attempt import Attempt
from workers.services.settle_image import ASIDE_BYTES
from workers.services.store_answer_image import store_answer_image
from workers.services.think_tags import ThinkTags

_log = structlog.get_logger(__name__)


class AnswerText:
    """Reports one answer, as an attempt's events. Whatever becomes of the attempt, `end` belongs after it."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._emit = attempt.emit
        self._thoughts = ThinkTags()
        self._images = AnswerImages()
        self._said: list[str] = []
        self._reported: set[ImageId] = set()

    @property
    def text(self) -> str:
        """What was reported as text."""
        return "".join(self._said)

    def take_plain(self, fragment: Text) -> bool:
        """Report a fragment at once if nothing can be in it but words; else leave it, for `take`."""
        text = fragment.text
        if "<" in text or "!" in text or not self._thoughts.is_plain or not self._images.is_plain:
            return False
        self._said.append(text)
        self._emit(fragment)
        return True

    async def take(self, fragment: Text) -> None:
        """Report what a fragment tells, together with what was kept back of those before it.

        Raises:
            Unavailable: if an image cannot be stored at the moment.
        """
        for told in self._thoughts.feed(fragment.text):
            if not isinstance(told, Text):
                self._emit(told)
                continue
            for piece in self._images.feed(told.text):
                self._say(piece if isinstance(piece, str) else await self._shown(piece))

    def end(self) -> None:
        """Report what was kept back; an image that did not come whole is dropped. Doing it again is harmless."""
        for told in self._thoughts.end():
            if not isinstance(told, Text):
                self._emit(told)
                continue
            for piece in self._images.feed(told.text):
                if isinstance(piece, str):  # what is kept back of a tag completes no image
                    self._say(piece)
        self._say(self._images.end())

    def _say(self, text: str) -> None:
        if text:
            self._said.append(text)
            self._emit(Text(text))

    async def _shown(self, found: FoundImage) -> str:
        """Store an image, and return the reference to it: an empty one if it is no image that is taken."""
        try:
            content = await _content(found)
            row = await store_answer_image(self._attempt, content)
        except (InvalidRequest, NotFound) as error:
            _log.warning("answer_image_refused", code=error.code, detail=error.detail)
            return f"![{found.alt}]()"
        image_id = ImageId(row.id)
        if image_id not in self._reported:
            self._reported.add(image_id)
            self._emit(ImageStored(str(image_id), row.media_type, row.size_bytes))
        return f"![{found.alt}]({IMAGE_URL.format(image_id=image_id)})"


async def _content(found: FoundImage) -> bytes:
    if len(found.url or "") <= ASIDE_BYTES:
        return content_of(found)
    return await asyncio.to_thread(content_of, found)
