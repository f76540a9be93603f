"""What preparing and cleaning images have in common. Runs in the decoder's subprocess only."""

import io

from PIL import Image

from workers.services.pictures.decoder_wire import Format


def opened(content: bytes, kind: Format) -> Image.Image:
    """Read an image's headers, as this format and no other.

    Raises:
        DecompressionBombError: if it has more pixels than `Image.MAX_IMAGE_PIXELS` (Pillow itself allows double).
    """
    image = Image.open(io.BytesIO(content), formats=[kind.name])
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and image.width * image.height > most:
        raise Image.DecompressionBombError("too many pixels")
    return image


def flattened(picture: Image.Image) -> Image.Image:
    """Return a picture in plain colours (RGB or L), what is transparent as white, and without its metadata."""
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture)
    if picture.mode == "I;16":  # which Pillow cuts off at 255 instead of scaling it
        picture = Image.frombytes("L", picture.size, picture.tobytes()[1::2])  # the upper byte of each pixel
    plain = picture if picture.mode in ("RGB", "L") else picture.convert("RGB")
    plain.info = {}
    return plain
