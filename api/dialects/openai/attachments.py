"""The images and recordings of a request: looked at, counted, and kept for where they go. Pure."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final, Literal
from uuid import UUID

from api.dialects.openai.wire import AudioPart, ImagePart
from shared.domain.commands import MAX_INLINE_IMAGE_BYTES, JsonObject
from shared.domain.errors import InvalidRequest, UnsupportedMediaType
from shared.domain.images import sniff
from shared.domain.media import SNIFFED_BYTES, sniff_media
from shared.domain.remote import MAX_REMOTE, NOT_FETCHED, check_url, is_url

INLINE_BYTES: Final = MAX_INLINE_IMAGE_BYTES
"""What of all images and recordings together travels inside the job; the rest is stored first."""
MAX_ATTACHMENTS: Final = 64
"""Images and recordings of one request."""
ONLY_DATA_URLS: Final = "Images are sent as data URLs, as in data:image/png;base64,…"


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """An image or a recording to be stored before the job is accepted; `field` is where the caller put it."""

    kind: Literal["image", "audio"]
    content: bytes = field(repr=False)
    field: str


class Attachments:
    """Collects a request's images and recordings: small ones as they are, the others with a stand-in for their id.

    `may_fetch` says whether images may be elsewhere.
    """

    def __init__(self, *, may_fetch: bool = False) -> None:
        self._may_fetch = may_fetch
        self.kept: list[Attachment] = []
        self.details: set[str] = set()
        """How closely images are to be looked at."""
        self._inline_bytes = 0
        self._count = 0
        self._remote = 0

    def image(self, part: ImagePart, place: str) -> JsonObject:
        """Return an image as a part of the core's."""
        place, url = f"{place}.image_url.url", part.image_url.url
        if part.image_url.detail is not None:
            self.details.add(part.image_url.detail)
        if is_url(url):
            return {"type": "image", "image": {"url": self._elsewhere(url, place)}}
        data = _data_of(url, place)
        content = _decoded(data, place)
        sniff(content, field=place)
        attachment = Attachment(kind="image", content=content, field=place)
        return {"type": "image", "image": self._taken(attachment, {"data": data})}

    def audio(self, part: AudioPart, place: str) -> JsonObject:
        """Return a recording as a part of the core's."""
        place = f"{place}.input_audio.data"
        content = _decoded(part.input_audio.data, place)
        if sniff_media(content[:SNIFFED_BYTES], field=place).kind != "audio":
            raise UnsupportedMediaType("This is a video, not a recording.", field=place)
        attachment = Attachment(kind="audio", content=content, field=place)
        inline = {"data": part.input_audio.data, "format": part.input_audio.format}
        return {"type": "audio", "audio": self._taken(attachment, inline)}

    def _elsewhere(self, url: str, place: str) -> str:
        if not self._may_fetch:
            raise InvalidRequest(f"{ONLY_DATA_URLS}; {NOT_FETCHED}.", field=place)
        self._remote += 1
        if self._remote > MAX_REMOTE:
            raise InvalidRequest(f"At most {MAX_REMOTE} images are fetched for one request.", field=place)
        try:
            return check_url(url)
        except ValueError as error:
            raise InvalidRequest(f"A URL of an image {error}.", field=place) from error

    def _taken(self, attachment: Attachment, inline: JsonObject) -> JsonObject:
        self._count += 1
        if self._count > MAX_ATTACHMENTS:
            raise InvalidRequest(
                f"At most {MAX_ATTACHMENTS} images and recordings are taken in one request.", field=attachment.field
            )
        if self._inline_bytes + len(attachment.content) <= INLINE_BYTES:
            self._inline_bytes += len(attachment.content)
            return inline
        self.kept.append(attachment)
        return {"id": UUID(int=len(self.kept) - 1)}


def _data_of(url: str, place: str) -> str:
    head, comma, data = url.partition(",")
    if not head.lower().startswith("data:"):
        raise InvalidRequest(f"{ONLY_DATA_URLS}.", field=place)
    if not comma or not head.lower().endswith(";base64"):
        raise InvalidRequest("A data URL of an image is like data:image/png;base64,…", field=place)
    return data


def _decoded(data: str, place: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("This is not base64.", field=place) from error
