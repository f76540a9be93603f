"""From the video or recording a message names to bytes a provider may see."""

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from shared.database.statements import media as statements
from shared.domain.commands import InlineAudio, RemoteMedia, StoredMedia
from shared.domain.errors import NotFound, PayloadTooLarge, UnsupportedMediaType
from shared.domain.media import SNIFFED_BYTES, MediaKind, kind_of, sniff_media
from workers.providers.base import MESSAGES_FIELD, PromptAudio, PromptVideo
from workers.services.attempt import Attempt
from workers.services.media.containers import check_container
from workers.services.media.fetch_media import fetch_media

MAX_MEDIA_BYTES: Final = 64 * 1024 * 1024
"""Videos and recordings of one prompt: a request holds them three times over while it is made."""


@dataclass(frozen=True)
class _Loaded:
    media_type: str
    content: bytes = field(repr=False)


async def load_video(attempt: Attempt, source: StoredMedia | RemoteMedia) -> PromptVideo:
    """Return a video; raises what `load_audio` does."""
    match source:
        case StoredMedia():
            loaded = await _stored(attempt, source.id, "video")
        case RemoteMedia():
            loaded = await _remote(attempt, source.url, "video")
    return PromptVideo(loaded.content, loaded.media_type)


async def load_audio(attempt: Attempt, source: StoredMedia | InlineAudio | RemoteMedia) -> PromptAudio:
    """Return a recording that is whole.

    Raises:
        MediaRefused: if it is not, or empty; or elsewhere, and cannot be had.
        UnsupportedMediaType: if it is something else.
        PayloadTooLarge: if it is too much with what this attempt loaded before.
        NotFound: if the owner has no such file, or its object is gone.
        Unavailable: if the object store is away.
    """
    match source:
        case StoredMedia():
            loaded = await _stored(attempt, source.id, "audio")
        case InlineAudio():
            loaded = await _checked(attempt, base64.b64decode(source.data), "audio")
        case RemoteMedia():
            loaded = await _remote(attempt, source.url, "audio")
    return PromptAudio(loaded.content, loaded.media_type)


async def _stored(attempt: Attempt, media_id: UUID, kind: MediaKind) -> _Loaded:
    """Load a file; one whose upload was not looked at yet is looked at here, so that nobody waits for that."""
    rows = await attempt.tools.queries.rows(statements.media_with_id(attempt.owner_id, media_id))
    if not rows:
        raise NotFound("A file of this job does not exist any more.", field=MESSAGES_FIELD)
    row = rows[0]
    _must_be(kind, row.media_type)
    _count(attempt, row.size_bytes)
    content = await attempt.tools.objects.get(row.object_key)
    if row.ready_at is None:
        await asyncio.to_thread(check_container, content, row.media_type, field=MESSAGES_FIELD)
    return _Loaded(row.media_type, content)


async def _remote(attempt: Attempt, url: str, kind: MediaKind) -> _Loaded:
    content = await fetch_media(attempt, url, max_bytes=MAX_MEDIA_BYTES - attempt.media_bytes)
    return await _checked(attempt, content, kind)


async def _checked(attempt: Attempt, content: bytes, kind: MediaKind) -> _Loaded:
    """Count and look at what came from a stranger."""
    media_type = sniff_media(content[:SNIFFED_BYTES], field=MESSAGES_FIELD).media_type
    _must_be(kind, media_type)
    _count(attempt, len(content))
    await asyncio.to_thread(check_container, content, media_type, field=MESSAGES_FIELD)
    return _Loaded(media_type, content)


def _must_be(kind: MediaKind, media_type: str) -> None:
    if kind_of(media_type) != kind:
        raise UnsupportedMediaType(f"This is {media_type}, not {kind}.", field=MESSAGES_FIELD)


def _count(attempt: Attempt, size_bytes: int) -> None:
    """Count before anything is loaded."""
    if attempt.media_bytes + size_bytes > MAX_MEDIA_BYTES:
        raise PayloadTooLarge(
            f"The videos and recordings of a conversation may have {MAX_MEDIA_BYTES:,} bytes together.",
            field=MESSAGES_FIELD,
        )
    attempt.media_bytes += size_bytes
