"""From the image a job names to bytes a provider may see."""

from dataclasses import dataclass, field
from typing import assert_never

from shared.domain.commands import ImageSource, InlineImage, StoredImage
from shared.domain.images import sniff
from workers.providers.base import PromptImage
from workers.services.attempt import Attempt
from workers.services.decode_image import FIELD
from workers.services.stored_image import StoredRow, find_image, read_image


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


async def load_image(attempt: Attempt, source: ImageSource) -> PromptImage:
    """Return the image, decoded once to prove it harmless, without EXIF; raises what `load_photo` does."""
    return (await load_photo(attempt, source)).shown


async def load_photo(attempt: Attempt, source: ImageSource) -> Photo:
    """Return the image as a provider may see it, and as it came.

    Raises:
        ImageRefused: if it is not a whole, decodable image.
        NotFound: if the owner has no such image, or its object is gone.
        Unavailable: if the object store or the decoder is away.
    """
    stored, content, media_type = await _content(attempt, source)
    timeout_s = attempt.tools.clocks.decode_image.total_seconds()
    prepared = await attempt.tools.decoder.prepare(content, media_type, timeout_s=timeout_s)
    return Photo(
        shown=PromptImage(prepared.content, prepared.media_type),
        content=content,
        width=prepared.width,
        height=prepared.height,
        stored=stored,
        is_plain=prepared.content is content,
    )


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
