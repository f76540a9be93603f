"""An image as it is kept and shown: whole, upright, without metadata. Runs in the decoder's subprocess only.

JPEG stays JPEG, PNG stays PNG. WebP becomes JPEG, which everything can show, or PNG where it is transparent.
"""

import io
from typing import Any, Final, TypeAlias

from PIL import Image, ImageCms, ImageOps
from PIL.ExifTags import Base

from workers.services.pictures.decoder_wire import MAX_IMAGE_BYTES, THUMBNAIL_SIDE, Format, Reply, Verdict
from workers.services.pictures.pictures import flattened, opened
from workers.services.pictures.plain_jpeg import without_remarks

_PNG_COMPRESSION: Final = 3  # two thirds of the time of zlib's default, for a tenth of the size
_PNG_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_WITH_PROFILE: Final = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB"}
"""Modes whose colour profile is applied, and the mode they are in afterwards."""
Options: TypeAlias = dict[str, Any]  # Pillow's own, for its encoders
_AS_JPEG: Final[tuple[Options, ...]] = ({"quality": 92, "subsampling": 0}, {"quality": 80}, {"quality": 50})
"""Tried in turn until an image is no larger than MAX_IMAGE_BYTES; the first is enough for all but noise."""
_THUMBNAIL: Final[Options] = {"quality": 80}
_cms: Any = ImageCms  # where Pillow leaves types open


def clean(content: bytes, kind: Format) -> Reply:
    """Decode an image wholly, and return it free of metadata, with a thumbnail unless it is small enough itself.

    A JPEG that lies as it should keeps its pixels as they were encoded, and loses the rest; one with nothing to lose is
    unchanged. Photos in other colours than sRGB are converted where their profile can be applied; elsewhere the profile
    is dropped with the rest.
    """
    with opened(content, kind) as image:
        image.load()
        upright = ImageOps.exif_transpose(image) if _is_turned(image) else image
        picture = _in_srgb(_with_alpha_plane(upright))
        if kind is Format.JPEG and picture is image and picture.mode in ("RGB", "L"):
            bare = without_remarks(content)
            if bare is content:
                return Reply(Verdict.UNCHANGED, *picture.size, b"", _thumbnail_of(picture, kind))
            if bare is not None:
                return Reply(Verdict.REMADE, *picture.size, bare, _thumbnail_of(picture, kind))
        made, form = _encoded(picture, kind)
        return Reply(Verdict.REMADE, *picture.size, made, _thumbnail_of(picture, form))


def _is_turned(image: Image.Image) -> bool:
    return image.getexif().get(Base.Orientation, 1) in range(2, 9)


class _TooLong(Exception):
    """An image made anew would be larger than MAX_IMAGE_BYTES."""


class _Bounded(io.BytesIO):
    """Stops an encoder once it has written too much."""

    def write(self, data: Any, /) -> int:  # Any: whatever buffer Pillow hands over
        if self.tell() + len(data) > MAX_IMAGE_BYTES:
            raise _TooLong
        return super().write(data)


def _encoded(picture: Image.Image, kind: Format) -> tuple[bytes, Format]:
    if kind is Format.PNG or picture.has_transparency_data:
        try:
            return _as_png(picture), Format.PNG
        except _TooLong:
            pass
    flat = flattened(picture.copy())
    for options in _AS_JPEG:
        try:
            return _saved(flat, "JPEG", options), Format.JPEG
        except _TooLong:
            continue
    raise MemoryError


def _as_png(picture: Image.Image) -> bytes:
    bare = picture.copy() if picture.mode in _PNG_MODES else picture.convert("RGB")
    bare.info = {}
    return _saved(bare, "PNG", {"compress_level": _PNG_COMPRESSION})


def _saved(picture: Image.Image, form: str, options: Options) -> bytes:
    buffer = _Bounded()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _thumbnail_of(picture: Image.Image, form: Format) -> bytes:
    """Return a thumbnail, or nothing for a picture that is its own once it has this form."""
    if form is Format.JPEG and max(picture.size) <= THUMBNAIL_SIDE:
        return b""
    small = picture.copy() if picture.mode in ("RGB", "RGBA", "L", "LA") else flattened(picture)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), reducing_gap=3.0)
    return _saved(flattened(small), "JPEG", _THUMBNAIL)


def _with_alpha_plane(picture: Image.Image) -> Image.Image:
    """Return a picture whose transparency, if it has any, is in its pixels and no longer in its metadata."""
    if picture.has_transparency_data and picture.mode not in ("LA", "RGBA"):
        profile = picture.info.get("icc_profile")
        picture = picture.convert("RGBA")
        picture.info = {"icc_profile": profile}
    return picture


def _in_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    mode = _WITH_PROFILE.get(picture.mode)
    if not profile or mode is None:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return picture
        converted = ImageCms.profileToProfile(picture, source, _cms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError):
        return picture
    return converted or picture
