"""What simulated devices photograph: pictures of a folder, or drawn ones, as the fielded camera takes them.

240 × 240 pixels, JPEG of quality 30, a few kilobytes. No two photos are alike, as with a camera: the same bytes within
a minute would be the same touch to the server.
"""

import io
import secrets
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageOps

from compose.errors import CannotStart
from compose.simulation import Photo

SIDE_PIXELS: Final = 240
QUALITY: Final = 30
MOST_FILES: Final = 1000
_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_DENSITY: Final = slice(14, 18)
"""Where a JFIF file says how far apart its pixels are printed, two numbers from 1 to 65,535 (JFIF 1.02, APP0)."""
_DENSITIES: Final = 65_535
NUMBERS: Final = _DENSITIES**2
"""How many photos can be told apart."""
_DRAWN: Final = ("drawn cup", "drawn mug", "drawn bowl", "drawn glass")


class Camera:
    """Takes photos of its scenes in turn, each with a number of its own."""

    def __init__(self, scenes: Sequence[Photo]) -> None:
        self._scenes = scenes
        self._numbers = count(secrets.randbelow(NUMBERS))  # a second run must not repeat the first one's photos

    def shoot(self) -> Photo:
        """Take the next photo."""
        number = next(self._numbers)
        scene = self._scenes[number % len(self._scenes)]
        return Photo(scene.source, numbered(scene.content, number))


def numbered(jpeg: bytes, number: int) -> bytes:
    """Return a JPEG with the same pixels and other bytes, for numbers up to `NUMBERS`; `jpeg` begins as JFIF does."""
    across, down = divmod(number % NUMBERS, _DENSITIES)
    density = (across + 1).to_bytes(2) + (down + 1).to_bytes(2)
    return jpeg[: _DENSITY.start] + density + jpeg[_DENSITY.stop :]


def camera(folder: Path | None) -> Camera:
    """Return a camera for the pictures in a folder, by name; for drawn ones without a folder.

    Raises:
        CannotStart: if there is no folder, no picture in it, or one that cannot be opened.
    """
    if folder is None:
        return Camera([Photo(name, _encoded(_drawn(place))) for place, name in enumerate(_DRAWN)])
    if not folder.is_dir():
        raise CannotStart(f"There is no folder {folder} with photos.")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file())
    if not files:
        raise CannotStart(f"The folder {folder} holds no JPEG, PNG or WebP pictures.")
    return Camera([Photo(file.name, _encoded(_opened(file))) for file in files[:MOST_FILES]])


def _encoded(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=QUALITY)
    return content.getvalue()


def _opened(file: Path) -> Image.Image:
    try:
        with Image.open(file, formats=("JPEG", "PNG", "WEBP")) as picture:
            picture.draft("RGB", (2 * SIDE_PIXELS, 2 * SIDE_PIXELS))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CannotStart(f"The picture {file} cannot be opened: {error}.") from error
    return ImageOps.fit(upright, (SIDE_PIXELS, SIDE_PIXELS))


def _drawn(seed: int) -> Image.Image:
    """Draw a vessel from above on a tray."""
    picture = Image.new("RGB", (SIDE_PIXELS, SIDE_PIXELS), (170, 160, 150))
    draw = ImageDraw.Draw(picture)
    for line in range(0, SIDE_PIXELS, 7):
        draw.line((line, 0, SIDE_PIXELS - line, 60), fill=(line, 120, 60 + 20 * seed))
    draw.ellipse((48, 52, 192, 196), fill=(40 + 50 * seed, 90, 140), outline="white")
    draw.ellipse((72, 76, 168, 172), fill="white")
    return picture
