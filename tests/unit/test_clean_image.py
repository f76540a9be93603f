"""Images as they are kept and shown: nothing left that tells where or when, nothing lost that can be seen."""

import io
import os
import signal
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from shared.domain.errors import ImageRefused, InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from shared.domain.images import sniff
from tests import images
from workers.services.pictures.decode_image import CleanImage, ImageDecoder
from workers.services.pictures.decoder_wire import MAX_IMAGE_BYTES

TIMEOUT_S = 30.0  # far above what any image here takes, for a machine that is busy
SECRET = images.SECRET_PLACE.encode()
QUARTERS = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
LYING = {  # orientation as in EXIF: the corners of `images._quarters` (red, green, blue, white) as they are to be seen
    1: "RGBW",
    2: "GRWB",
    3: "WBGR",
    4: "BWRG",
    5: "RBGW",
    6: "BRWG",
    7: "WGBR",
    8: "GWRB",
}


@pytest.fixture
async def decoder() -> AsyncIterator[ImageDecoder]:
    async with ImageDecoder(processes=1) as decoder:
        yield decoder


async def _clean(decoder: ImageDecoder, content: bytes) -> CleanImage:
    return await decoder.clean(content, sniff(content).media_type, timeout_s=TIMEOUT_S)


def _opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def _pixel(content: bytes, x: float, y: float) -> tuple[int, int, int]:
    """The colour at a place, from 0 to 1 each way."""
    picture = _opened(content).convert("RGB")
    at = 3 * (int(y * picture.height) * picture.width + int(x * picture.width))
    red, green, blue = picture.tobytes()[at : at + 3]
    return red, green, blue


def _seen(content: bytes) -> str:
    """What colours the four quarters have."""
    names = {(True, False, False): "R", (False, True, False): "G", (False, False, True): "B", (True, True, True): "W"}
    colours = (_pixel(content, x, y) for x, y in QUARTERS)
    return "".join(names[red > 128, green > 128, blue > 128] for red, green, blue in colours)


def _difference(one: bytes, other: bytes) -> int:
    """How far two pictures are apart at most, 0 to 255."""
    return max(ImageChops.difference(_opened(one).convert("RGB"), _opened(other).convert("RGB")).tobytes())


def _says_nothing(content: bytes) -> bool:
    """Whether a picture has pixels and nothing else, as Pillow reads it and as bytes."""
    picture = _opened(content)
    known = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression"}
    exif = dict(picture.getexif())
    is_known = set(picture.info) <= known
    return SECRET not in content and is_known and not exif and b"Exif" not in content and b"http" not in content


@pytest.mark.parametrize("content", [images.photo(), images.photo() + bytes(300), images.progressive_photo()])
async def test_a_plain_photo_that_is_its_own_thumbnail_stays_byte_for_byte(
    decoder: ImageDecoder, content: bytes
) -> None:
    assert await _clean(decoder, content) == CleanImage(content, "image/jpeg", 240, 240, None, is_unchanged=True)


async def test_a_plain_photo_of_any_size_stays_and_gets_a_thumbnail(decoder: ImageDecoder) -> None:
    content = images.photo(3000, 1500)
    cleaned = await _clean(decoder, content)
    assert (cleaned.content, cleaned.is_unchanged) == (content, True)
    assert cleaned.thumbnail is not None
    facts = sniff(cleaned.thumbnail)
    assert (facts.media_type, facts.width, facts.height) == ("image/jpeg", 320, 160)
    assert _says_nothing(cleaned.thumbnail)


@pytest.mark.parametrize(
    "content",
    [
        images.photo_where_and_when(),
        images.photo_where_and_when(200, 150),
        images.photo_with_exif(),
        images.photo_with_comment(),
        images.photo_with_comment_between_scans(),
        images.photo_before_another(),
        images.photo_with_jfif_thumbnail(),
        images.photo() + SECRET,
        images.png_where_and_when(),
        images.png_where_and_when(mode="P"),
        images.png_where_and_when(mode="LA"),
        images.webp_where_and_when(),
        images.webp_where_and_when(mode="RGBA"),
    ],
)
async def test_nothing_but_pixels_is_kept(decoder: ImageDecoder, content: bytes) -> None:
    assert SECRET in content
    cleaned = await _clean(decoder, content)
    assert not cleaned.is_unchanged
    assert _says_nothing(cleaned.content)
    assert cleaned.thumbnail is None or _says_nothing(cleaned.thumbnail)


@pytest.mark.parametrize("orientation", list(LYING))
async def test_a_photo_is_kept_upright_in_full_size(decoder: ImageDecoder, orientation: int) -> None:
    for content in (
        images.photo_where_and_when(orientation=orientation),
        images.png_where_and_when(orientation=orientation),
    ):
        cleaned = await _clean(decoder, content)
        size = (640, 480) if orientation <= 4 else (480, 640)
        assert cleaned.thumbnail is not None
        assert ((cleaned.width, cleaned.height), _seen(cleaned.content), _seen(cleaned.thumbnail)) == (
            size,
            LYING[orientation],
            LYING[orientation],
        )


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (images.photo_where_and_when(), "image/jpeg"),
        (images.cmyk_photo(), "image/jpeg"),
        (images.png_where_and_when(), "image/png"),
        (images.png(mode="1"), "image/png"),
        (images.png(mode="I;16"), "image/png"),
        (images.webp_where_and_when(), "image/jpeg"),
        (images.webp_where_and_when(mode="RGBA"), "image/png"),
    ],
)
async def test_a_format_stays_where_browsers_show_it(decoder: ImageDecoder, content: bytes, media_type: str) -> None:
    cleaned = await _clean(decoder, content)
    assert (cleaned.media_type, sniff(cleaned.content).media_type) == (media_type, media_type)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "I;16"])
async def test_the_pixels_of_a_png_are_kept_exactly(decoder: ImageDecoder, mode: str) -> None:
    content = images.png(mode=mode)
    cleaned = await _clean(decoder, content)
    before, after = _opened(content), _opened(cleaned.content)
    assert (after.mode, after.tobytes()) == (before.mode, before.tobytes())
    assert cleaned.thumbnail is not None


@pytest.mark.parametrize(
    "content",
    [
        images.photo_where_and_when(),
        images.photo_where_and_when(quality=30),
        images.photo_with_comment_between_scans(),
        images.photo_before_another(),
    ],
)
async def test_a_photo_that_lies_as_it_should_keeps_its_very_pixels(decoder: ImageDecoder, content: bytes) -> None:
    cleaned = await _clean(decoder, content)
    assert len(cleaned.content) < len(content)
    assert _difference(cleaned.content, content) == 0


async def test_a_photo_that_is_turned_loses_next_to_nothing(decoder: ImageDecoder) -> None:
    content = images.photo_where_and_when(orientation=3, quality=90)
    cleaned = await _clean(decoder, content)
    turned = io.BytesIO()
    _opened(cleaned.content).transpose(Image.Transpose.ROTATE_180).save(turned, "PNG")
    assert _difference(turned.getvalue(), content) <= 16


async def test_a_colour_profile_is_applied_before_it_is_dropped(decoder: ImageDecoder) -> None:
    cleaned = await _clean(decoder, images.photo_in_swapped_colours())
    red, green, blue = _pixel(cleaned.content, 0.5, 0.5)
    assert green > 200 > 100 > max(red, blue)
    assert _says_nothing(cleaned.content)


async def test_a_colour_profile_that_cannot_be_applied_is_dropped(decoder: ImageDecoder) -> None:
    content = images.photo_in_swapped_colours()
    start = content.index(b"ICC_PROFILE\0") + 14
    content = content[: start + 36] + b"nope" + content[start + 40 :]  # where the word acsp must be
    red, green, _ = _pixel((await _clean(decoder, content)).content, 0.5, 0.5)
    assert red > 200 > 100 > green


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
async def test_no_colour_profile_stays_in_a_png(decoder: ImageDecoder, mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (400, 300)).save(buffer, "PNG", icc_profile=SECRET)
    cleaned = await _clean(decoder, buffer.getvalue())
    assert (_opened(buffer.getvalue()).info, _opened(cleaned.content).info) == ({"icc_profile": SECRET}, {})


async def test_a_thumbnail_shows_what_is_transparent_as_white(decoder: ImageDecoder) -> None:
    picture = Image.new("RGBA", (640, 480), (200, 0, 0, 0))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    cleaned = await _clean(decoder, buffer.getvalue())
    assert cleaned.thumbnail is not None
    assert _pixel(cleaned.thumbnail, 0.5, 0.5) == (255, 255, 255)


async def test_a_png_that_would_be_too_large_without_its_loss_becomes_a_jpeg(decoder: ImageDecoder) -> None:
    cleaned = await _clean(decoder, images.noise(3400, 3400, "PNG"))
    assert (cleaned.media_type, cleaned.width, cleaned.height) == ("image/jpeg", 3400, 3400)
    assert len(cleaned.content) <= MAX_IMAGE_BYTES


async def test_the_largest_images_fit_into_the_memory_of_a_subprocess(decoder: ImageDecoder) -> None:
    before = decoder.process_ids
    for picture in (Image.new("RGB", (6300, 6300), "green"), Image.new("RGBA", (6300, 6300), (9, 9, 9, 9))):
        buffer = io.BytesIO()
        exif = Image.Exif()
        exif[images.ORIENTATION_TAG] = 6
        picture.save(buffer, "PNG", compress_level=1, exif=exif.tobytes())
        cleaned = await _clean(decoder, buffer.getvalue())
        assert (cleaned.media_type, cleaned.width) == ("image/png", 6300)
    assert decoder.process_ids == before


@pytest.mark.parametrize(
    ("content", "media_type", "error", "detail"),
    [
        (
            images.with_broken_pixels(images.png()),
            "image/png",
            ImageRefused,
            "The image is broken: its pixels cannot be decoded.",
        ),
        (
            images.cut_off(images.photo()),
            "image/jpeg",
            ImageRefused,
            "The image is broken: its pixels cannot be decoded.",
        ),
        (images.bomb(), "image/png", PayloadTooLarge, "The image has more pixels than are taken."),
        (
            images.photo(),
            "image/gif",
            UnsupportedMediaType,
            "Images are taken as JPEG, PNG or WebP, not as image/gif.",
        ),
    ],
)
async def test_what_cannot_be_decoded_is_refused(
    decoder: ImageDecoder, content: bytes, media_type: str, error: type[InvalidRequest], detail: str
) -> None:
    before = decoder.process_ids
    with pytest.raises(error) as refusal:
        await decoder.clean(content, media_type, timeout_s=TIMEOUT_S)
    assert (refusal.value.detail, refusal.value.field) == (detail, "input.image")
    assert decoder.process_ids == before


async def test_a_signal_to_the_workers_group_does_not_look_like_an_images_doing(decoder: ImageDecoder) -> None:
    (pid,) = decoder.process_ids
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert await _clean(decoder, images.photo())
    assert decoder.process_ids == {pid}


SOURCES = (
    images.photo(),
    images.photo_where_and_when(200, 150, orientation=6),
    images.photo_with_comment_between_scans(),
    images.photo_in_swapped_colours(),
    images.png_where_and_when(64, 48),
    images.webp_where_and_when(64, 48, mode="RGBA"),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SOURCES), st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=6))))
@example(images.photo_with_comment_between_scans(), [(795, b"\0\0")])  # hides where the comment begins
async def test_a_damaged_image_is_cleaned_or_refused(
    decoder: ImageDecoder, content: bytes, patches: list[tuple[int, bytes]]
) -> None:
    for position, patch in patches:
        position %= len(content)
        content = content[:position] + patch + content[position + len(patch) :]
    try:
        cleaned = await _clean(decoder, content)
    except InvalidRequest:
        return
    assert SECRET not in cleaned.content
    assert cleaned.thumbnail is None or max(_opened(cleaned.thumbnail).size) <= 320
