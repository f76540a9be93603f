"""Files that messages show: an owner's uploads by their paths, data URLs, which are stored like uploads, and URLs.

Those are left to a worker, where the setting lets it fetch them. Nothing else is ever looked at: no path on this
machine's disk, and no address elsewhere from here.
"""

import asyncio
import binascii
import re
from collections.abc import Collection, Iterable
from io import BytesIO
from typing import Final
from uuid import UUID

from api.auth import Caller
from api.dialects.lite_llm_chat.frame import extension_of
from api.dialects.lite_llm_chat.parse import AskedMessage, Fault, Refused, Shown, fault
from api.front import Front
from api.media_body import ReceivedFile
from api.services.uploads import upload_any
from shared.database.statements.uploads import uploads_with_ids
from shared.domain.chats import MediaKind, media_ref, remote_ref
from shared.domain.ids import OwnerId
from shared.domain.media import upload_id_of
from shared.domain.remote import NOT_FETCHED, check_url, is_url

_DATA_URL: Final = re.compile(r"data:[\w.+/;=-]*;base64,", re.ASCII | re.IGNORECASE)
_NEITHER: Final = "Input should be the path of an upload, as in /uploads/<id>.png, or a data URL in base64"
_NOR_FETCHED: Final = f"{_NEITHER}; {NOT_FETCHED}"
_MISSING: Final = "There is no such upload"


async def extensions_of(front: Front, owner_id: OwnerId, ids: Collection[str]) -> dict[str, str]:
    """Return what the names of an owner's files end with, by id; files that are gone are left out."""
    found = await _uploads(front, owner_id, [UUID(one) for one in ids])
    return {str(upload_id): extension_of(media_type) for upload_id, (_, media_type) in found.items()}


async def references_of(
    front: Front, caller: Caller, messages: Iterable[AskedMessage]
) -> list[tuple[dict[str, str], ...]]:
    """Return what each message shows as references; data URLs are stored once everything else is found to be right.

    A file is what its content is, whichever list it stands in; what is elsewhere must be what its list is for.

    Raises:
        Refused: if something is no upload of the caller's, no data URL and nothing to be fetched; each place is named.
        InvalidRequest: if a data URL is of no file that is taken.
        QuotaExceeded: if too many of the owner's jobs are waiting.
        Unavailable: if the object store or the database is away.
    """
    messages = list(messages)
    shown = {one: upload_id_of(one.url) for message in messages for one in message.media}
    stored = await _uploads(front, caller.owner_id, [upload_id for upload_id in shown.values() if upload_id])
    may_fetch = front.settings.fetch_remote_media
    faults = [found for one, upload_id in shown.items() if (found := _fault(one, upload_id, stored, may_fetch))]
    if faults:
        raise Refused(faults)
    references = {
        one: media_ref(stored[upload_id][0], upload_id) if upload_id else await _reference(front, caller, one)
        for one, upload_id in shown.items()
    }
    return [tuple(references[one] for one in message.media) for message in messages]


def _fault(shown: Shown, upload_id: UUID | None, stored: Collection[UUID], may_fetch: bool) -> Fault | None:
    if upload_id is not None:
        return None if upload_id in stored else fault(*shown.loc, msg=_MISSING)
    if not is_url(shown.url):
        return None if _DATA_URL.match(shown.url) else fault(*shown.loc, msg=_NEITHER)
    if not may_fetch:
        return fault(*shown.loc, msg=_NOR_FETCHED)
    try:
        check_url(shown.url)
    except ValueError as error:
        return fault(*shown.loc, msg=f"A URL {error}")
    return None


async def _reference(front: Front, caller: Caller, shown: Shown) -> dict[str, str]:
    return remote_ref(shown.kind, shown.url) if is_url(shown.url) else await _stored(front, caller, shown)


async def _stored(front: Front, caller: Caller, shown: Shown) -> dict[str, str]:
    content = await asyncio.to_thread(_decoded, shown)
    uploaded = await upload_any(front, caller.owner_id, ReceivedFile(BytesIO(content), len(content), shown.field))
    return media_ref(uploaded.kind, uploaded.id)


def _decoded(shown: Shown) -> bytes:
    data = shown.url.partition(",")[2]
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:  # binascii.Error, or a character beyond ASCII
        raise Refused([fault(*shown.loc, msg="The data URL should be in base64")]) from error


async def _uploads(front: Front, owner_id: OwnerId, ids: Collection[UUID]) -> dict[UUID, tuple[MediaKind, str]]:
    """Return kind and media type of those of the ids that are an owner's files."""
    if not ids:
        return {}
    rows = await front.queries.rows(uploads_with_ids(owner_id, list(ids)))
    return {row.id: (row.kind, row.media_type) for row in rows}
