"""From the image a job names to bytes a provider may see."""

from dataclasses import dataclass, field
from typing import Final, assert_never

from shared.domain.commands import ImageSource, InlineImage, RemoteMedia, StoredImage
from shared.domain.images import sniff
from workers.providers.base import MESSAGES_FIELD, PromptImage
from workers.services.attempt import Attempt
from workers.services.media.fetch_media import fetch_media
from workers.services.media.stored_image import StoredRow, find_image, read_image
from workers.services.pictures.decode_image import FIELD, PreparedImage

MAX_IMAGE_BYTES: Final = 20 * 1024 * 1024
"""As large as an image may be that is uploaded."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An image that was opened: what a provider is shown, and what it was made of.

    `stored` is absent where the image came inside the job. `is_plain` says that the content holds nothing but pixels;
    where it does not, or is large, nobody looked.
    """

    shown: PromptImage
    content: bytes = field(repr=False)
    width: int
    height: int
    stored: StoredRow | None
    is_plain: bool


async def load_image(attempt: Attempt, source: ImageSource | RemoteMedia) -> PromptImage:
    """Return a message's image, decoded once to prove it harmless, without EXIF.

    Raises:
        MediaRefused: if it is elsewhere, and cannot be had.
        SmartSipError: as `load_photo`.
    """
    if not isinstance(source, RemoteMedia):
        return (await load_photo(attempt, source)).shown
    content = await fetch_media(attempt, source.url, max_bytes=MAX_IMAGE_BYTES)
    prepared = await _prepared(attempt, content, sniff(content, field=MESSAGES_FIELD).media_type)
    return PromptImage(prepared.content, prepared.media_type)


async def load_photo(attempt: Attempt, source: ImageSource) -> Photo:
    """Return the image as a provider may see it, and as it came.

    Raises:
        ImageRefused: if it is not a whole, decodable image.
        NotFound: if the owner has no such image, or its object is gone.
        Unavailable: if the object store or the decoder is away.
    """
    stored, content, media_type = await _content(attempt, source)
    prepared = await _prepared(attempt, content, media_type)
    return Photo(
        shown=PromptImage(prepared.content, prepared.media_type),
        content=content,
        width=prepared.width,
        height=prepared.height,
        stored=stored,
        is_plain=prepared.content is content,
    )


async def _prepared(attempt: Attempt, content: bytes, media_type: str) -> PreparedImage:
    timeout_s = attempt.tools.clocks.decode_image.total_seconds()
    return await attempt.tools.decoder.prepare(content, media_type, timeout_s=timeout_s)


async def _content(attempt: Attempt, source: ImageSource) -> tuple[StoredRow | None, bytes, str]:
    match source:
        case InlineImage():
            content = source.content()
            return None, content, sniff(content, field=FIELD).media_type
        case StoredImage():
            field = f"{FIELD}.id"
            row = await find_image(attempt.tools, attempt.owner_id, source.id, field=field)
            row, content = await read_image(attempt.tools, row, field=field)
            return row, content, row.media_type
        case _:
            assert_never(source)
