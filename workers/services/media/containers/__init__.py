"""Whether a video or audio file is whole: each part of its container where the one before says, and none missing.

Nothing is decoded, and nothing of the size a file claims is allocated. For a thread: the longest files take a second.
"""

from collections.abc import Callable
from typing import Final

from shared.domain.ebml import Content
from shared.domain.errors import MediaRefused
from workers.services.media.containers.broken import Broken
from workers.services.media.containers.flac import check_flac
from workers.services.media.containers.iso import check_iso
from workers.services.media.containers.matroska import check_matroska
from workers.services.media.containers.mpeg import check_aac, check_mp3
from workers.services.media.containers.ogg import check_ogg
from workers.services.media.containers.riff import check_avi, check_wav

_CHECKS: Final[dict[str, Callable[[Content], None]]] = {
    "video/mp4": check_iso,
    "video/quicktime": check_iso,
    "audio/mp4": check_iso,
    "video/webm": check_matroska,
    "video/x-matroska": check_matroska,
    "audio/webm": check_matroska,
    "audio/x-matroska": check_matroska,
    "video/x-msvideo": check_avi,
    "audio/wav": check_wav,
    "video/ogg": check_ogg,
    "audio/ogg": check_ogg,
    "audio/flac": check_flac,
    "audio/mpeg": check_mp3,
    "audio/aac": check_aac,
}


def check_container(content: Content, media_type: str, *, field: str) -> None:
    """Refuse a file that is not whole, or not of this type; `field` is where it was named.

    Raises:
        MediaRefused: with what is wrong with it.
    """
    try:
        _CHECKS[media_type](content)
    except Broken as broken:
        raise MediaRefused(f"The file is broken: {broken}.", field=field) from broken
