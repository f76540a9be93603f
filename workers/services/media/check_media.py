"""The kind `upload`, for videos and audio files: whether a stored file is whole, before anybody is shown it.

A file is looked at where it lies, on disk, so that many at once need little memory.
"""

import asyncio
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, cast

import structlog

from shared.database.statements import media as statements
from shared.domain.commands import MediaTask
from shared.domain.errors import MediaRefused, NotFound, Unavailable
from shared.domain.events import Result
from workers.services.attempt import Attempt, Tools
from workers.services.media.containers import check_container
from workers.services.media.stored_media import MediaRow, find_media, media_row_of

FIELD: Final = "input.media_id"
PART_BYTES: Final = 4 * 1024 * 1024
"""What is fetched at a time."""

_log = structlog.get_logger(__name__)


async def check_media(attempt: Attempt, task: MediaTask) -> str:
    """Make a file fit to be shown and report its facts; return why the work ended.

    A file that is ready already is a success. One that is not whole is forgotten, row and object.

    Raises:
        MediaRefused: if it is not whole.
        NotFound: if its owner has it no more, or its content is gone.
    """
    row = await find_media(attempt.tools, attempt.owner_id, task.media_id, field=FIELD)
    attempt.emit(Result(_facts(row if row.is_ready else await settle_media(attempt.tools, row))))
    return "stop"


async def settle_media(tools: Tools, row: MediaRow, *, field: str = FIELD) -> MediaRow:
    """Check a file and let it be shown; return its row as it is then. Doing it twice at once is harmless.

    Raises:
        MediaRefused: if it is not whole; nothing of it is stored any more.
        NotFound: if it was deleted, or its content is gone; then neither is its row stored any more.
        Unavailable: if the object store or PostgreSQL is away; doing it again is safe.
    """
    try:
        with cast("BinaryIO", TemporaryFile()) as file:  # typed as a wrapper, which it is on Windows only
            await _fetch(tools, row, file)
            await asyncio.to_thread(_check, file, row.media_type, field)
    except (MediaRefused, NotFound):
        await _forget(tools, row)
        raise
    settled = await tools.queries.rows(statements.make_media_ready(row.owner_id, row.id))
    if not settled:
        raise NotFound("The media file was deleted.", field=field)
    return media_row_of(settled[0])


async def _fetch(tools: Tools, row: MediaRow, file: BinaryIO) -> None:
    for first in range(0, row.size_bytes, PART_BYTES):
        part = await tools.objects.get_part(row.object_key, first=first, size_bytes=PART_BYTES)
        await asyncio.to_thread(file.write, part)


def _check(file: BinaryIO, media_type: str, field: str) -> None:
    file.flush()
    with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        check_container(content, media_type, field=field)


async def _forget(tools: Tools, row: MediaRow) -> None:
    """Remove a file, unless it is ready: then another worker could read it."""
    if not await tools.queries.rows(statements.forget_refused_media(row.owner_id, row.id)):
        return
    try:
        await tools.objects.delete(row.object_key)
    except Unavailable:
        _log.warning("refused_object_not_deleted", object_key=row.object_key)


def _facts(row: MediaRow) -> dict[str, Any]:  # JSON, as events.Result carries it
    return {
        "media_id": str(row.id),
        "state": "ready",
        "kind": row.kind,
        "media_type": row.media_type,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256.hex(),
    }
