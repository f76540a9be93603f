"""Tiny videos and audio files of every kind that is taken, whole as far as their containers tell."""

import wave
from io import BytesIO

MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)
"""128 kbit/s at 44.1 kHz: 417 bytes."""
AAC_FRAME = bytes([0xFF, 0xF1, 0x50, 0x80, 100 >> 3, (100 & 7) << 5 | 0x1F, 0xFC]) + bytes(93)


def box(kind: bytes, content: bytes = b"") -> bytes:
    """A box of MP4."""
    return (8 + len(content)).to_bytes(4) + kind + content


def mp4(*, brand: bytes = b"isom", frames: bytes = b"frames of a film") -> bytes:
    """A film with one track."""
    stream = box(b"stbl", box(b"stsd", bytes(8)) + box(b"stts", bytes(8)))
    track = box(b"tkhd", bytes(84)) + box(b"mdia", box(b"mdhd", bytes(24)) + box(b"minf", stream))
    moov = box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", track))
    return box(b"ftyp", brand + bytes(4) + b"isommp42") + moov + box(b"mdat", frames)


def mov() -> bytes:
    return mp4(brand=b"qt  ")


def m4a() -> bytes:
    return mp4(brand=b"M4A ")


def fragmented_mp4() -> bytes:
    """A film as browsers record it."""
    return mp4(brand=b"iso5") + box(b"moof", box(b"mfhd", bytes(8)) + box(b"traf", b"")) + box(b"mdat", bytes(50))


def element(number: int, content: bytes, *, has_size: bool = True) -> bytes:
    """An element of Matroska."""
    size = (1 << 28 | len(content)).to_bytes(4) if has_size else b"\x01" + b"\xff" * 7
    return number.to_bytes((number.bit_length() + 7) // 8) + size + content


def matroska(*, form: bytes = b"webm", tracks: tuple[int, ...] = (1, 2), has_sizes: bool = True) -> bytes:
    """A film with these tracks (1 is video, 2 audio); without sizes as browsers record it."""
    head = element(0x1A45DFA3, element(0x4286, b"\x01") + element(0x4282, form))
    listed = element(0x1654AE6B, b"".join(element(0xAE, element(0x83, bytes([track]))) for track in tracks))
    block = element(0xA3, b"\x81\0\0\x80" + bytes(40))
    clusters = element(0x1F43B675, element(0xE7, b"\0") + block * 3, has_size=has_sizes) * 2
    return head + element(0x18538067, element(0x1549A966, bytes(20)) + listed + clusters, has_size=has_sizes)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of RIFF."""
    return kind + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def avi() -> bytes:
    header = chunk(b"LIST", b"hdrl" + chunk(b"avih", bytes(56)))
    return chunk(b"RIFF", b"AVI " + header + chunk(b"LIST", b"movi" + chunk(b"00dc", bytes(99))))


def wav(*, seconds: float = 0.05) -> bytes:
    buffer = BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        sound.writeframes(bytes(2 * round(8000 * seconds)))
    return buffer.getvalue()


def page(content: bytes, *, number: int) -> bytes:
    """A page of Ogg."""
    table = b"\xff" * (len(content) // 255) + bytes([len(content) % 255])
    head = b"OggS\0" + bytes([2 if number == 0 else 0]) + bytes(8) + b"\x07\0\0\0" + number.to_bytes(4, "little")
    return head + bytes(4) + bytes([len(table)]) + table + content


def ogg(start: bytes = b"OpusHead") -> bytes:
    pieces = start + bytes(11), b"OpusTags" + bytes(20), bytes(600), bytes(255)
    return b"".join(page(piece, number=number) for number, piece in enumerate(pieces))


def flac() -> bytes:
    return b"fLaC" + b"\0\0\0\x22" + bytes(34) + b"\x84\0\0\x08" + bytes(8) + b"\xff\xf8\xc9\x18" + bytes(200)


def mp3() -> bytes:
    return MP3_FRAME * 4


def tagged_mp3() -> bytes:
    """With an ID3 tag of 300 bytes and some padding in front, and an old one behind."""
    return b"ID3\x04\0\0\0\0\x02\x2c" + bytes(300) + bytes(10) + mp3() + b"TAG" + bytes(125)


def aac() -> bytes:
    return AAC_FRAME * 4
