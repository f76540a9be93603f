"""What a message shows, as ids of what its owner has stored before."""

from collections.abc import Sequence
from uuid import UUID

from api.front import Front
from api.services.images import image_of
from api.services.media import media_of
from shared.domain.chats import MAX_MEDIA, MediaKind, media_ref
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.ids import OwnerId


async def stored_media(
    front: Front, owner_id: OwnerId, *, images: Sequence[UUID], videos: Sequence[UUID], audios: Sequence[UUID]
) -> tuple[dict[str, str], ...]:
    """Return references to images, videos and audios as messages keep them.

    Raises:
        InvalidRequest: if there is one that the owner does not have, or that is of another kind, or there are too many;
            `field` says which, as in `images.0`.
    """
    named: tuple[tuple[MediaKind, Sequence[UUID]], ...] = (("image", images), ("video", videos), ("audio", audios))
    references: list[dict[str, str]] = []
    for kind, ids in named:
        for position, media_id in enumerate(ids):
            field = f"{kind}s.{position}"
            if len(references) == MAX_MEDIA:
                raise InvalidRequest(f"a message shows at most {MAX_MEDIA} things", field=field)
            await _check(front, owner_id, kind, media_id, field=field)
            references.append(media_ref(kind, media_id))
    return tuple(references)


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
