"""What videos and audio files are taken for, from their first bytes alone, and how uploads are named."""

from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequest, MediaRefused, UnsupportedMediaType
from shared.domain.images import EXTENSION_OF as IMAGE_EXTENSION_OF
from shared.domain.media import EXTENSION_OF, TAKEN, MediaFacts, kind_of, sniff_media, upload_id_of, upload_path
from tests import images, media

KNOWN = {
    "mp4": (media.mp4(), "video/mp4"),
    "m4v": (media.mp4(brand=b"M4V "), "video/mp4"),
    "3gp": (media.mp4(brand=b"3gp5"), "video/mp4"),
    "fragmented mp4": (media.fragmented_mp4(), "video/mp4"),
    "mov": (media.mov(), "video/quicktime"),
    "m4a": (media.m4a(), "audio/mp4"),
    "webm": (media.matroska(), "video/webm"),
    "recorded webm": (media.matroska(has_sizes=False), "video/webm"),
    "webm without pictures": (media.matroska(tracks=(2,)), "audio/webm"),
    "recorded webm without pictures": (media.matroska(tracks=(2,), has_sizes=False), "audio/webm"),
    "mkv": (media.matroska(form=b"matroska"), "video/x-matroska"),
    "mka": (media.matroska(form=b"matroska\0\0", tracks=(2, 2)), "audio/x-matroska"),
    "avi": (media.avi(), "video/x-msvideo"),
    "wav": (media.wav(), "audio/wav"),
    "opus": (media.ogg(), "audio/ogg"),
    "vorbis": (media.ogg(b"\x01vorbis"), "audio/ogg"),
    "theora": (media.ogg(b"\x80theora"), "video/ogg"),
    "flac": (media.flac(), "audio/flac"),
    "mp3": (media.mp3(), "audio/mpeg"),
    "tagged mp3": (media.tagged_mp3(), "audio/mpeg"),
    "aac": (media.aac(), "audio/aac"),
}
UNKNOWN = {
    "an HTML page, perhaps an error page under an image's name": b"<!doctype html><script>alert(1)</script>",
    "an XML document or SVG drawing": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "JSON": b'{"a": 1}',
    "a PDF document": b"%PDF-1.7",
    "a program": b"\x7fELF" + bytes(60),
    "nothing but zero bytes": bytes(100),
    "a picture": images.photo(),
    "an HEIC or AVIF picture, or an MP4 of an unknown kind": media.box(b"ftyp", b"heic" + bytes(4) + b"mif1"),
    "no file of a known kind": b"#!/bin/sh\nrm -rf /",
}
STARTS = [content[:40] for content, _ in KNOWN.values()]


@pytest.mark.parametrize("name", KNOWN)
def test_a_file_is_known_by_its_first_bytes(name: str):
    content, media_type = KNOWN[name]
    assert sniff_media(content) == MediaFacts(kind_of(media_type), media_type, EXTENSION_OF[media_type])


@pytest.mark.parametrize("looks_like", UNKNOWN)
def test_what_is_none_is_refused_in_a_sentence(looks_like: str):
    with pytest.raises(UnsupportedMediaType) as refusal:
        sniff_media(UNKNOWN[looks_like], field="body")
    assert (refusal.value.detail, refusal.value.field) == (f"This is {looks_like}; {TAKEN}.", "body")


def test_nothing_is_refused_as_nothing():
    with pytest.raises(MediaRefused) as refusal:
        sniff_media(b"")
    assert (refusal.value.detail, refusal.value.field) == ("The file is empty: 0 bytes arrived.", "file")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<!--ftypisom--><script>alert(1)</script>", id="a page with a brand in it"),
        pytest.param(b"\0\0\x20\0ftypisom" + bytes(8), id="a box of brands too long to be one"),
        pytest.param(b"\0\0\0\x18ftypzzzz" + bytes(4) + b"yyyyxxxx", id="unknown brands"),
        pytest.param(media.box(b"moov"), id="no brands"),
        pytest.param(media.matroska(form=b"html"), id="another kind of EBML"),
        pytest.param(b"RIFF\x20\0\0\0ACON" + bytes(30), id="another kind of RIFF"),
        pytest.param(media.ogg(b"<script>"), id="another kind of Ogg"),
        pytest.param(media.page(b"OpusHead", number=1), id="Ogg from the middle"),
        pytest.param(b"ID3\x03\0\0\0\0\0\x08" + bytes(8) + b"<script>alert(1)</script>", id="a tag before a page"),
        pytest.param(media.MP3_FRAME + b"<script>", id="one frame before a page"),
        pytest.param(media.AAC_FRAME + b"<script>", id="one frame of AAC before a page"),
        pytest.param(b"\xff\xfe<\0h\0t\0m\0l\0>\0", id="a page in UTF-16"),
    ],
)
def test_what_only_begins_like_one_is_refused(content: bytes):
    with pytest.raises(UnsupportedMediaType):
        sniff_media(content)


@given(st.sampled_from(["<", "<html>", "<script>", "<?xml", "#!", "{", " ", "\n", "\ufeff<"]), st.binary(max_size=60))
@example("<!--", b"ftypisom" + bytes(40))
def test_nothing_that_begins_as_text_is_ever_known(start: str, rest: bytes):
    with pytest.raises(InvalidRequest):
        sniff_media(start.encode() + rest)


@given(st.sampled_from(STARTS), st.binary(max_size=300), st.integers(0, 40))
def test_arbitrary_bytes_behind_a_real_beginning_are_refused_or_known(start: bytes, tail: bytes, kept: int):
    try:
        facts = sniff_media(start[:kept] + tail)
        outcome = facts == MediaFacts(kind_of(facts.media_type), facts.media_type, EXTENSION_OF[facts.media_type])
    except InvalidRequest as refusal:
        outcome = refusal.field == "file" and bool(refusal.detail)
    assert outcome


@given(st.uuids(), st.sampled_from([*EXTENSION_OF.values(), *IMAGE_EXTENSION_OF.values()]))
def test_the_name_of_an_upload_says_its_id(upload_id: UUID, extension: str):
    assert upload_id_of(upload_path(upload_id, extension)) == upload_id


@pytest.mark.parametrize(
    "path",
    [
        "/uploads/../.env",
        "/uploads/019a0000-0000-7000-8000-000000000000.html",
        "/uploads/019a0000-0000-7000-8000-000000000000.svg",
        "/uploads/019a0000-0000-7000-8000-000000000000.jpg/..",
        "/uploads/019a0000-0000-7000-8000-000000000000.jpg.html",
        "/uploads/019a0000-0000-7000-8000-000000000000.jpg?x=1",
        "/uploads/019a0000-0000-7000-8000-000000000000.jpg\n",
        "/uploads/019a0000-0000-7000-8000-000000000000.jpg\0",
        "/uploads/019a0000-0000-7000-8000-000000000000.JPG",
        "/uploads/019A0000-0000-7000-8000-00000000000A.jpg",
        "/uploads/019a0000000070008000000000000000.jpg",
        "/uploads/019a0000-0000-7000-8000-000000000000",
        "/uploads//019a0000-0000-7000-8000-000000000000.jpg",
        "/uploads/x/019a0000-0000-7000-8000-000000000000.jpg",
        "/uploads/%2e%2e/019a0000-0000-7000-8000-000000000000.jpg",
        "\\uploads\\019a0000-0000-7000-8000-000000000000.jpg",
        "uploads/019a0000-0000-7000-8000-000000000000.jpg",
        "http://host/uploads/019a0000-0000-7000-8000-000000000000.jpg",
        "file:///uploads/019a0000-0000-7000-8000-000000000000.jpg",
        "/uploads/٠19a0000-0000-7000-8000-000000000000.jpg",
        "",
    ],
)
def test_no_other_name_is_an_uploads(path: str):
    assert upload_id_of(path) is None


@given(st.text(max_size=80) | st.text("/.uploads-0123456789abcdef%\\", max_size=80))
def test_a_name_is_an_uploads_only_if_it_is_made_as_such(path: str):
    upload_id = upload_id_of(path)
    assert upload_id is None or path == upload_path(upload_id, path.rpartition(".")[2])


@given(st.uuids(), st.text(max_size=6), st.text(max_size=6))
def test_nothing_may_stand_around_the_name_of_an_upload(upload_id: UUID, before: str, after: str):
    path = before + upload_path(upload_id, "mp4") + after
    assert upload_id_of(path) == (None if before or after else upload_id)
