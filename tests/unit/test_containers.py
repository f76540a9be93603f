"""Whether a video or audio file is whole: real kinds are, hostile ones are refused, quickly and in a sentence."""

import time
from mmap import mmap
from tempfile import TemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequest, MediaRefused
from shared.domain.media import EXTENSION_OF, sniff_media
from tests import media
from tests.media import AAC_FRAME, MP3_FRAME, box, chunk, element
from workers.services.media.containers import check_container

FTYP = box(b"ftyp", b"isom" + bytes(4) + b"isom")
MOOV = box(b"moov", box(b"trak"))
MDAT = box(b"mdat", bytes(20))
SEGMENT = element(0x1A45DFA3, element(0x4282, b"webm")) + b"\x18\x53\x80\x67\x01" + b"\xff" * 7
TRACKS = element(0x1654AE6B, bytes(4))
CLUSTER = element(0x1F43B675, bytes(4))
WAVE = b"RIFF\xff\xff\xff\xffWAVE" + chunk(b"fmt ", bytes(16))
PAGE = media.page(b"OpusHead" + bytes(11), number=0)

WHOLE = {
    "mp4": media.mp4(),
    "mp4 that goes on to the end": FTYP + MOOV + b"\0\0\0\0mdat" + bytes(99),
    "mp4 with a long box": FTYP + MOOV + b"\0\0\0\x01mdat" + (16 + 9).to_bytes(8) + bytes(9),
    "padded mp4": media.mp4() + bytes(100),
    "fragmented mp4": media.fragmented_mp4(),
    "mov": media.mov(),
    "m4a": media.m4a(),
    "webm": media.matroska(),
    "recorded webm": media.matroska(has_sizes=False),
    "audio webm": media.matroska(tracks=(2,)),
    "mkv": media.matroska(form=b"matroska"),
    "mka": media.matroska(form=b"matroska", tracks=(2,)),
    "avi": media.avi(),
    "wav": media.wav(),
    "wav out of a pipe": WAVE + b"data\xff\xff\xff\xff" + bytes(100),
    "ogg": media.ogg(),
    "ogv": media.ogg(b"\x80theora"),
    "flac": media.flac(),
    "mp3": media.mp3(),
    "mp3 that was cut off in its last frame": media.mp3()[:-100],
    "tagged mp3": media.tagged_mp3(),
    "aac": media.aac(),
}
BROKEN = {
    "video/mp4": {
        "a box reaches beyond the end": media.mp4()[:-1],
        "a box is shorter than its own head": FTYP + b"\0\0\0\x07moov",
        "something that is no box is where one must be": FTYP + b"\0\0\0\x10<\n\n>" + bytes(20),
        "it has no box 'moov'": FTYP + MDAT,
        "it has no box 'trak'": FTYP + box(b"moov") + MDAT,
        "it has no box 'mdat'": FTYP + MOOV,
        "its end is missing": FTYP + MOOV + MDAT + b"\0\0\0\x10",
    },
    "video/quicktime": {"a box reaches beyond the end": FTYP + box(b"moov", b"\0\0\0\xfftrak") + MDAT},
    "audio/mp4": {"a box reaches beyond the end": FTYP + b"\0\0\0\x01mdat" + b"\xff" * 8},
    "video/webm": {
        "its head is missing": b"\x1a\x45\xdf\xa3",
        "its head is not followed by a segment": SEGMENT[:-12],
        "its end is missing": media.matroska()[:-1],
        "it has no tracks or no frames": SEGMENT + TRACKS,
        "something unknown is where an element must be": SEGMENT + TRACKS + element(0xA3, bytes(9)),
        "an element has no size": SEGMENT + element(0x1654AE6B, b"", has_size=False),
        "an element reaches beyond the end": media.matroska(has_sizes=False)[:-1],
    },
    "video/x-matroska": {"its end is missing": SEGMENT + TRACKS + CLUSTER + b"\x1f\x43"},
    "video/x-msvideo": {
        "it has no pictures": chunk(b"RIFF", b"AVI " + chunk(b"LIST", b"movi")),
        "its end is missing": media.avi()[:-1],
    },
    "audio/wav": {
        "its end is missing": media.wav()[:-1],
        "something follows after its end": media.wav() + b"<script>alert(1)</script>",
        "a chunk reaches beyond the end": WAVE + b"LIST\xff\0\0\0" + bytes(20),
        "something that is no chunk is where one must be": WAVE + bytes(12) + b"\xff",
        "it has no sound": chunk(b"RIFF", b"WAVE" + chunk(b"data", bytes(50))),
    },
    "audio/ogg": {
        "its end is missing": media.ogg()[:-1],
        "it has no more than a beginning": PAGE,
        "its beginning is missing": media.page(b"OpusHead", number=1),
        "something that is no page is where one must be": PAGE + b"<script>alert(1);</script> and more",
    },
    "video/ogg": {"its end is missing": media.ogg(b"\x80theora")[:30]},
    "audio/flac": {
        "its end is missing": media.flac()[:50],
        "it does not begin with what its sound is like": b"fLaC\x04\0\0\x08" + bytes(60),
        "its sound is not where it must be": media.flac().replace(b"\xff\xf8", b"<s"),
        "it has too many blocks before its sound": b"fLaC\0\0\0\x22" + bytes(34) + b"\x01\0\0\0" * 2000,
    },
    "audio/mpeg": {
        "it has no sound where it must begin": b"ID3\x04\0\0\0\0\0\x04" + b"<html>" + MP3_FRAME,
        "it ends within its first frame": MP3_FRAME[:-1],
        "its sound is interrupted by something else": MP3_FRAME * 3 + b"<script>" + MP3_FRAME,
    },
    "audio/aac": {
        "it has no sound where it must begin": b"\xff\xf1\xff" + bytes(9),
        "its sound is interrupted by something else": AAC_FRAME * 3 + b"<script>",
    },
}
MANY = 1_100_000
SLOW = {
    "boxes in boxes": ("video/mp4", FTYP, b"\0\0\0\0moov"),
    "empty elements": ("video/webm", SEGMENT, b"\xec\x80"),
    "empty chunks": ("audio/wav", WAVE, b"JUNK\0\0\0\0"),
    "zeros and something": ("audio/wav", WAVE + bytes(60_000) + b"x", bytes(8)),
    "empty pages": ("audio/ogg", PAGE, b"OggS\0" + bytes(22)),
    "short frames": ("audio/aac", b"", bytes([0xFF, 0xF1, 0x50, 0x80, 0, 0xFF, 0xFC])),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_passes(name: str):
    check_container(WHOLE[name], sniff_media(WHOLE[name]).media_type, field="input")


@pytest.mark.parametrize(("media_type", "why"), [(kind, why) for kind, whys in BROKEN.items() for why in whys])
def test_a_file_that_lies_is_refused_in_a_sentence(media_type: str, why: str):
    with pytest.raises(MediaRefused) as refusal:
        check_container(BROKEN[media_type][why], media_type, field="input.media_id")
    assert (refusal.value.detail, refusal.value.field) == (f"The file is broken: {why}.", "input.media_id")


@pytest.mark.parametrize("media_type", EXTENSION_OF)
def test_a_page_is_no_file_of_any_kind(media_type: str):
    with pytest.raises(MediaRefused):
        check_container(b"<!doctype html><script>alert(1)</script>", media_type, field="input")


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 2000), st.binary(max_size=12))
def test_a_damaged_file_is_refused_or_passes(name: str, position: int, patch: bytes):
    content = WHOLE[name]
    position %= len(content)
    _refuses_or_passes(content[:position] + patch + content[position + len(patch) :])


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 2000))
def test_the_beginning_of_a_file_is_refused_or_passes(name: str, kept: int):
    _refuses_or_passes(WHOLE[name][:kept])


@given(
    st.sampled_from(sorted(EXTENSION_OF)), st.binary(max_size=200), st.sampled_from([FTYP, SEGMENT, WAVE, PAGE, b""])
)
def test_arbitrary_bytes_are_refused_or_pass(media_type: str, tail: bytes, start: bytes):
    _refuses_or_passes(start + tail, media_type)


@pytest.mark.parametrize("name", SLOW)
def test_a_file_made_to_be_slow_takes_no_more_than_a_moment(name: str):
    media_type, start, part = SLOW[name]
    with TemporaryFile() as file:
        file.write(start + part * MANY)
        file.flush()
        with mmap(file.fileno(), 0) as content:
            began = time.process_time()
            with pytest.raises(MediaRefused):
                check_container(content, media_type, field="input")
            assert time.process_time() - began < 4, "64 MB of such parts would take half a minute"


def _refuses_or_passes(content: bytes, media_type: str | None = None) -> None:
    """Whatever comes of it is a refusal that says something, and no other error."""
    try:
        check_container(content, media_type or sniff_media(content).media_type, field="file")
    except InvalidRequest as refusal:
        outcome = refusal.field == "file" and bool(refusal.detail)
    else:
        outcome = True
    assert outcome
