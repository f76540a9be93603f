"""MP3 and AAC: frames one after another, in MP3 with tags before and after them."""

from collections.abc import Callable
from typing import Final

from shared.domain.ebml import Content
from shared.domain.mpeg_audio import (
    ADTS_HEAD_BYTES,
    ID3_HEAD_BYTES,
    MP3_HEAD_BYTES,
    adts_frame_size,
    id3_size,
    mp3_frame_size,
)
from workers.services.media.containers.broken import MAX_PADDING_BYTES, MAX_STEPS, TOO_MANY_PARTS, Broken, is_padding

_TAGS_AT_THE_END: Final = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")


def check_mp3(content: Content) -> None:
    """Raises `Broken` unless frames fill the file between its tags."""
    position = id3_size(content[:ID3_HEAD_BYTES])
    padded = content[position : position + MAX_PADDING_BYTES]
    position += len(padded) - len(padded.lstrip(b"\0"))
    position = _after_frames(content, position, mp3_frame_size, MP3_HEAD_BYTES)
    if not content[position : position + 11].startswith(_TAGS_AT_THE_END):
        _end_at(content, position)


def check_aac(content: Content) -> None:
    """Raises `Broken` unless the file is frames and nothing else."""
    _end_at(content, _after_frames(content, 0, adts_frame_size, ADTS_HEAD_BYTES))


def _after_frames(content: Content, position: int, frame_size: Callable[[bytes], int | None], head_bytes: int) -> int:
    """Return where the frames end; recorders that are switched off leave the last one unfinished."""
    end = len(content)
    for number in range(MAX_STEPS):
        size = frame_size(content[position : position + head_bytes])
        if size is None:
            if number == 0:
                raise Broken("it has no sound where it must begin")
            return position
        if position + size >= end:
            if number == 0 and position + size > end:
                raise Broken("it ends within its first frame")
            return end
        position += size
    raise Broken(TOO_MANY_PARTS)


def _end_at(content: Content, position: int) -> None:
    end = len(content)
    if end - position >= MP3_HEAD_BYTES and not is_padding(content, position, end):
        raise Broken("its sound is interrupted by something else")
