"""What a video or audio file is, read from its first bytes alone; whether it is whole, a worker finds out.

What a caller calls it never counts. Nothing that a browser could take for a page, a drawing or a script begins like
any of these.
"""

import re
from typing import Final, Literal, TypeAlias
from uuid import UUID

import msgspec

from shared.domain import ebml
from shared.domain.errors import MediaRefused, UnsupportedMediaType
from shared.domain.images import EXTENSION_OF as IMAGE_EXTENSION_OF
from shared.domain.images import appearance, looks_like_image
from shared.domain.mpeg_audio import ADTS_HEAD_BYTES, MP3_HEAD_BYTES, adts_frame_size, id3_size, mp3_frame_size

MediaKind: TypeAlias = Literal["video", "audio"]

SNIFFED_BYTES: Final = 64 * 1024
"""How much of a file's beginning says what it is: Matroska names its tracks only after a table of contents."""
EXTENSION_OF: Final = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
    "video/x-msvideo": "avi",
    "video/ogg": "ogv",
    "audio/mpeg": "mp3",
    "audio/aac": "aac",
    "audio/mp4": "m4a",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/webm": "weba",
    "audio/x-matroska": "mka",
}
TAKEN: Final = (
    "videos are taken as MP4, QuickTime, WebM, Matroska, AVI or Ogg, "
    "audio files as MP3, AAC, M4A, WAV, Ogg, FLAC, WebM or Matroska"
)
_MAX_FTYP_BYTES: Final = 4096
_AUDIO_BRANDS: Final = frozenset({b"M4A ", b"M4B ", b"M4P "})
_PICTURE_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"crx "}
)
_VIDEO_BRAND: Final = re.compile(rb"iso[2-9a-m]|mp4[12]|M4V[ HP]|avc1|dash|MSNV|3g[p2].|f4v ", re.DOTALL)
_OGG_CODECS: Final = (
    (b"OpusHead", "audio/ogg"),
    (b"\x01vorbis", "audio/ogg"),
    (b"\x7fFLAC", "audio/ogg"),
    (b"Speex   ", "audio/ogg"),
    (b"\x80theora", "video/ogg"),
    (b"fishead\0", "video/ogg"),
)
_EXTENSIONS: Final = "|".join([*IMAGE_EXTENSION_OF.values(), *EXTENSION_OF.values()])
_UPLOAD_PATH: Final = re.compile(rf"/uploads/([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})\.(?:{_EXTENSIONS})")


class MediaFacts(msgspec.Struct, frozen=True):
    """What a file says it is; `extension` has no dot."""

    kind: MediaKind
    media_type: str
    extension: str


def sniff_media(start: bytes, *, field: str = "file") -> MediaFacts:
    """Return what a file is whose first bytes these are (`SNIFFED_BYTES`, or all of it).

    `field` is where the caller put it.

    Raises:
        MediaRefused: if it is empty.
        UnsupportedMediaType: if it is no video or audio file that is taken; the text says what it looks like.
    """
    if not start:
        raise MediaRefused("The file is empty: 0 bytes arrived.", field=field)
    for known in (_iso_type, _matroska_type, _riff_type, _ogg_type, _flac_type, _mpeg_type):
        media_type = known(start)
        if media_type is not None:
            return MediaFacts(kind_of(media_type), media_type, EXTENSION_OF[media_type])
    raise UnsupportedMediaType(f"This is {_appearance(start)}; {TAKEN}.", field=field)


def kind_of(media_type: str) -> MediaKind:
    """Return what sort of file has this type."""
    return "video" if media_type.startswith("video/") else "audio"


def media_key(owner_id: int, sha256: bytes, extension: str) -> str:
    """Return the key of a file's object; an upload that failed half-way ends at the same one when it is repeated."""
    return f"media/{owner_id}/{sha256.hex()}.{extension}"


def upload_path(upload_id: UUID, extension: str) -> str:
    """Return what older systems call an upload."""
    return f"/uploads/{upload_id}.{extension}"


def upload_id_of(path: str) -> UUID | None:
    """Return the id in what `upload_path` returned; None for anything else, were it only a letter.

    The extension need only be one that is known: an image may have another after it was cleaned.
    """
    match = _UPLOAD_PATH.fullmatch(path)
    return None if match is None else UUID(match[1])


def _appearance(start: bytes) -> str:
    if looks_like_image(start):
        return "a picture"
    if start[4:8] == b"ftyp":
        return "an HEIC or AVIF picture, or an MP4 of an unknown kind"
    return appearance(start, otherwise="no file of a known kind")


def _iso_type(start: bytes) -> str | None:
    """MP4 and QuickTime (ISO 14496-12 section 4.3): a short box of brands comes first."""
    size = int.from_bytes(start[:4])
    if start[4:8] != b"ftyp" or not 16 <= size <= _MAX_FTYP_BYTES:
        return None
    brands = [start[8:12], *(start[position : position + 4] for position in range(16, min(size, len(start)), 4))]
    if brands[0] == b"qt  ":
        return "video/quicktime"
    if brands[0] in _AUDIO_BRANDS:
        return "audio/mp4"
    if brands[0] in _PICTURE_BRANDS:
        return None
    return "video/mp4" if any(map(_VIDEO_BRAND.fullmatch, brands)) else None


def _matroska_type(start: bytes) -> str | None:
    head = ebml.element_at(start, 0)
    if head is None or head.id != ebml.EBML or head.size is None:
        return None
    after_head = head.begins + head.size
    form = {b"webm": "webm", b"matroska": "x-matroska"}.get(_doc_type(start, head.begins, after_head))
    if form is None:
        return None
    tracks = _track_types(start, after_head)
    return f"audio/{form}" if tracks and tracks <= {2} else f"video/{form}"


def _doc_type(start: bytes, position: int, end: int) -> bytes:
    for element in ebml.elements(start, position, end):
        if element.id == ebml.DOC_TYPE:
            return start[element.begins : element.begins + (element.size or 0)].rstrip(b"\0")
    return b""


def _track_types(start: bytes, position: int) -> set[int]:
    """Return what tracks there are (1 is video, 2 audio), or none if the list of them is not in the first bytes."""
    segment = ebml.element_at(start, position)
    if segment is None or segment.id != ebml.SEGMENT:
        return set()
    types: set[int] = set()
    for part in ebml.elements(start, segment.begins, len(start)):
        if part.id == ebml.TRACKS:
            for track in _within(start, part):
                types |= {start[fact.begins] for fact in _within(start, track) if fact.id == ebml.TRACK_TYPE}
            break
    return types


def _within(start: bytes, element: ebml.Element) -> list[ebml.Element]:
    """Return an element's own elements, each with a byte of content at least."""
    end = min(len(start), element.begins + (element.size or 0))
    return [inner for inner in ebml.elements(start, element.begins, end) if inner.begins < end]


def _riff_type(start: bytes) -> str | None:
    if not start.startswith(b"RIFF"):
        return None
    return {b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(start[8:12])


def _ogg_type(start: bytes) -> str | None:
    """Ogg (RFC 3533 section 6): the first page begins a stream, and its content says of what."""
    if not start.startswith(b"OggS\0") or len(start) < 28 or not start[5] & 2:
        return None
    content = start[27 + start[26] :]
    return next((media_type for magic, media_type in _OGG_CODECS if content.startswith(magic)), None)


def _flac_type(start: bytes) -> str | None:
    return "audio/flac" if start.startswith(b"fLaC\0") else None


def _mpeg_type(start: bytes) -> str | None:
    """MP3, with or without a tag, and AAC: a frame must be where the one before it says, if that is in sight."""
    if tag := id3_size(start[:10]):
        is_one = start[tag : tag + 1] in (b"", b"\0") or mp3_frame_size(start[tag : tag + MP3_HEAD_BYTES])
        return "audio/mpeg" if is_one else None
    if size := mp3_frame_size(start[:MP3_HEAD_BYTES]):
        following = start[size : size + MP3_HEAD_BYTES]
        return "audio/mpeg" if len(following) < MP3_HEAD_BYTES or mp3_frame_size(following) else None
    if size := adts_frame_size(start[:ADTS_HEAD_BYTES]):
        following = start[size : size + ADTS_HEAD_BYTES]
        return "audio/aac" if len(following) < ADTS_HEAD_BYTES or adts_frame_size(following) else None
    return None
