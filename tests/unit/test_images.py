"""What uploads are taken for, from their headers alone."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ImageRefused, InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from shared.domain.images import ImageFacts, sniff
from tests import images

WHOLE = {
    "jpeg": (images.photo(), ImageFacts("image/jpeg", 240, 240, "jpg")),
    "progressive jpeg": (images.progressive_photo(), ImageFacts("image/jpeg", 240, 240, "jpg")),
    "jpeg with exif": (images.photo_with_exif(), ImageFacts("image/jpeg", 240, 160, "jpg")),
    "jpeg padded by the camera": (images.photo() + bytes(512), ImageFacts("image/jpeg", 240, 240, "jpg")),
    "png": (images.png(), ImageFacts("image/png", 64, 48, "png")),
    "lossy webp": (images.webp(), ImageFacts("image/webp", 64, 48, "webp")),
    "lossless webp": (images.webp(lossless=True), ImageFacts("image/webp", 64, 48, "webp")),
    "extended webp": (images.webp_with_alpha(), ImageFacts("image/webp", 64, 48, "webp")),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_image_is_known_by_its_headers(name: str) -> None:
    content, facts = WHOLE[name]
    assert sniff(content) == facts


@pytest.mark.parametrize(
    ("content", "error", "detail"),
    [
        (b"", ImageRefused, "The image is empty: 0 bytes arrived."),
        (
            images.html_page(),
            UnsupportedMediaType,
            "This is an HTML page, perhaps an error page under an image's name; images are taken as JPEG, PNG or WebP.",
        ),
        (b'\n{"error": 1}', UnsupportedMediaType, "This is JSON; images are taken as JPEG, PNG or WebP."),
        (
            b"<svg width='1'/>",
            UnsupportedMediaType,
            "This is an XML document or SVG drawing; images are taken as JPEG, PNG or WebP.",
        ),
        (b"GIF89a" + bytes(40), UnsupportedMediaType, "This is a GIF; images are taken as JPEG, PNG or WebP."),
        (
            b"\0\0\0\x18ftypheic" + bytes(40),
            UnsupportedMediaType,
            "This is an HEIC or AVIF picture or a video; images are taken as JPEG, PNG or WebP.",
        ),
        (bytes(100), UnsupportedMediaType, "This is nothing but zero bytes; images are taken as JPEG, PNG or WebP."),
        (
            b"hello, world",
            UnsupportedMediaType,
            "This is not a picture of a known kind; images are taken as JPEG, PNG or WebP.",
        ),
        (images.cut_off(images.photo()), ImageRefused, "The JPEG is cut off: its end is missing."),
        (images.photo()[:-2], ImageRefused, "The JPEG is cut off: its end is missing."),
        (images.photo()[:5], ImageRefused, "The JPEG is cut off: its end is missing."),
        (b"\xff\xd8\xff\xd9", ImageRefused, "The JPEG ends before its first pixel."),
        (b"\xff\xd8JFIF", ImageRefused, "The JPEG is broken: a marker is not where one must be."),
        (
            b"\xff\xd8\xff\xe0\x00\x01" + bytes(9),
            ImageRefused,
            "The JPEG is broken: a segment is shorter than its own length.",
        ),
        (
            b"\xff\xd8\xff\xda\x00\x02\xff\xd9",
            ImageRefused,
            "The JPEG is broken: its pixels come before its size.",
        ),
        (images.cut_off(images.png()), ImageRefused, "The PNG is cut off: its end is missing."),
        (images.png()[:20], ImageRefused, "The PNG is cut off: its end is missing."),
        (
            images.png().replace(b"IHDR", b"iHDR"),
            ImageRefused,
            "The PNG is broken: it does not begin with its size.",
        ),
        (images.cut_off(images.webp()), ImageRefused, "The WebP is cut off: its end is missing."),
        (images.webp().replace(b"VP8 ", b"VP9 "), ImageRefused, "The WebP is broken: its first chunk has no size."),
        (
            images.bomb(),
            PayloadTooLarge,
            "The image is 10000 × 5000, 50,000,000 pixels; at most 40,000,000 are taken.",
        ),
        (images.bomb(8, 0), ImageRefused, "The image has no pixels: it says that it is 8 × 0."),
    ],
)
def test_what_is_not_a_whole_image_is_refused_in_a_sentence(
    content: bytes, error: type[InvalidRequest], detail: str
) -> None:
    with pytest.raises(error) as refusal:
        sniff(content, field="input.image")
    assert (type(refusal.value), refusal.value.detail, refusal.value.field) == (error, detail, "input.image")


def test_the_limit_on_pixels_is_the_callers() -> None:
    assert sniff(images.photo(), max_pixels=57_600).width == 240
    with pytest.raises(PayloadTooLarge):
        sniff(images.photo(), max_pixels=57_599)


def _refuses_or_knows(content: bytes) -> None:
    try:
        pixels = (facts := sniff(content)).width * facts.height
        outcome = ("known", 0 < pixels <= 40_000_000)
    except InvalidRequest as refusal:
        outcome = (refusal.field, bool(refusal.detail))
    assert outcome in {("known", True), ("image", True)}


@given(st.binary(max_size=2000))
def test_arbitrary_bytes_are_refused_or_known(content: bytes) -> None:
    _refuses_or_knows(content)


@given(
    st.sampled_from([b"\xff\xd8\xff", b"\xff\xd8", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", b"RIFF\x20\0\0\0WEBPVP8 "]),
    st.binary(max_size=400),
)
def test_arbitrary_bytes_behind_a_real_beginning_are_refused_or_known(head: bytes, tail: bytes) -> None:
    _refuses_or_knows(head + tail)


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 10_000), st.binary(max_size=8))
def test_a_damaged_image_is_refused_or_known(name: str, position: int, patch: bytes) -> None:
    content = WHOLE[name][0]
    position %= len(content)
    _refuses_or_knows(content[:position] + patch + content[position + len(patch) :])


@given(st.sampled_from(["jpeg", "progressive jpeg", "jpeg with exif", "png", "lossy webp"]), st.floats(0, 0.999))
def test_no_beginning_of_an_image_passes_for_the_whole(name: str, part: float) -> None:
    with pytest.raises(InvalidRequest):
        sniff(images.cut_off(WHOLE[name][0], part))


SLOW = (b"\xff", b"\xff\xd0", b"\xff\xe0\x00\x02", b"\xff\xc0\x00\x08\x08\x10\x00\x10\x00\x00", b"\xff\xda\x00\x02\xff")


@pytest.mark.parametrize("filler", SLOW)
def test_twenty_megabytes_made_to_be_slow_do_not_hold_up_an_event_loop(filler: bytes) -> None:
    content = b"\xff\xd8" + filler * (20 * 1024 * 1024 // len(filler))
    started = time.process_time()
    with pytest.raises(InvalidRequest):
        sniff(content)
    assert time.process_time() - started < 0.5, "a walk byte by byte takes seconds"
