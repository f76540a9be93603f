"""An image as a provider should see it. Runs in the decoder's subprocess only: hostile bytes are opened here."""

import io
from typing import Final

from PIL import ImageOps

from workers.services.pictures.decoder_wire import MAX_SIDE, PASS_THROUGH_BYTES, Format, Reply, Verdict
from workers.services.pictures.pictures import flattened, opened
from workers.services.pictures.plain_jpeg import without_remarks

_QUALITY: Final = 90


def prepare(content: bytes, kind: Format) -> Reply:
    """Decode an image wholly; a small plain JPEG is fine as it is, everything else is made anew as JPEG."""
    with opened(content, kind) as image:
        size = image.size
        if kind is Format.JPEG:
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))  # libjpeg then decodes a huge photo at a fraction of its size
        image.load()
        if (
            kind is Format.JPEG
            and max(size) <= MAX_SIDE
            and len(content) <= PASS_THROUGH_BYTES
            and image.mode in ("RGB", "L")
            and without_remarks(content) is content
        ):
            return Reply(Verdict.UNCHANGED, *size)
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((MAX_SIDE, MAX_SIDE))
        made = flattened(upright)
    buffer = io.BytesIO()
    made.save(buffer, "JPEG", quality=_QUALITY)
    return Reply(Verdict.REMADE, *made.size, buffer.getvalue())
