"""How long frames of MP3 and AAC are, and the tag before them, told by their first bytes."""

from typing import Final

MP3_HEAD_BYTES: Final = 4
ADTS_HEAD_BYTES: Final = 7
ID3_HEAD_BYTES: Final = 10
_MPEG_1: Final = 3
_LAYER_3: Final = 1
_KILOBITS: Final = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Of layer III, for the indexes 1 to 14, in MPEG 1 and in MPEG 2 and 2.5 (ISO 11172-3 and 13818-3, 2.4.2.3)."""
_HERTZ: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mp3_frame_size(head: bytes) -> int | None:
    """Return how many bytes a frame of MPEG audio layer III has; None if these four bytes do not begin one.

    Frames of a free bitrate, which nobody writes, are not known.
    """
    if len(head) < MP3_HEAD_BYTES or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if layer != _LAYER_3 or version not in _HERTZ or not 1 <= bitrate <= 14 or rate == 3:
        return None
    is_first = version == _MPEG_1
    slots = 144_000 if is_first else 72_000
    return slots * _KILOBITS[is_first][bitrate - 1] // _HERTZ[version][rate] + padding


def adts_frame_size(head: bytes) -> int | None:
    """Return how many bytes a frame of AAC has (ISO 13818-7 section 6.2); None if these seven do not begin one."""
    if len(head) < ADTS_HEAD_BYTES or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return None
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size >= ADTS_HEAD_BYTES else None


def id3_size(head: bytes) -> int:
    """Return how many bytes an ID3v2 tag takes that these ten bytes begin; 0 if they begin none."""
    if len(head) < ID3_HEAD_BYTES or head[:3] != b"ID3" or head[3] not in (2, 3, 4):
        return 0
    if any(byte & 0x80 for byte in head[6:10]):  # its size has seven bits in a byte
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    has_footer = bool(head[5] & 0x10)
    return ID3_HEAD_BYTES + size + (ID3_HEAD_BYTES if has_footer else 0)
