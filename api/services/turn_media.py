"""What a message shows: ids of what its owner has stored before, and URLs of what is to be fetched."""

from collections.abc import Sequence
from typing import TypeAlias
from uuid import UUID

from api.front import Front
from api.services.images import image_of
from api.services.media import media_of
from shared.domain.chats import MAX_MEDIA, MediaKind, media_ref, remote_ref
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.ids import OwnerId
from shared.domain.remote import NOT_FETCHED, RemoteUrl

Named: TypeAlias = UUID | RemoteUrl
"""An id, or where something is."""


async def media_references(
    front: Front, owner_id: OwnerId, *, images: Sequence[Named], videos: Sequence[Named], audios: Sequence[Named]
) -> tuple[dict[str, str], ...]:
    """Return references to images, videos and audios as messages keep them.

    Raises:
        InvalidRequest: if there is one that the owner does not have, or that is of another kind, or there are too many,
            or one is elsewhere and nothing is fetched here; `field` says which, as in `images.0`.
    """
    named: tuple[tuple[MediaKind, Sequence[Named]], ...] = (("image", images), ("video", videos), ("audio", audios))
    references: list[dict[str, str]] = []
    for kind, shown in named:
        for position, one in enumerate(shown):
            field = f"{kind}s.{position}"
            if len(references) == MAX_MEDIA:
                raise InvalidRequest(f"a message shows at most {MAX_MEDIA} things", field=field)
            references.append(await _reference(front, owner_id, kind, one, field=field))
    return tuple(references)


async def _reference(front: Front, owner_id: OwnerId, kind: MediaKind, one: Named, *, field: str) -> dict[str, str]:
    if isinstance(one, UUID):
        await _check(front, owner_id, kind, one, field=field)
        return media_ref(kind, one)
    if not front.settings.fetch_remote_media:
        raise InvalidRequest(NOT_FETCHED, field=field)
    return remote_ref(kind, one)


async def _check(front: Front, owner_id: OwnerId, kind: MediaKind, media_id: UUID, *, field: str) -> None:
    try:
        if kind == "image":
            await image_of(front, owner_id, media_id)
            return
        media = await media_of(front, owner_id, media_id)
    except NotFound as error:
        raise InvalidRequest(f"there is no {kind} with this id", field=field) from error
    if media.kind != kind:
        raise InvalidRequest(f"what has this id is a file of kind {media.kind}", field=field)
