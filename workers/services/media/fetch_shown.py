"""What a chat's message shows from elsewhere: fetched when its turn is first answered, and stored like an upload.

So later turns show the model the same thing, and nobody is asked for it twice.
"""

from uuid import UUID

from shared.database.statements.chat_turns import keep_media
from shared.domain.chats import is_to_be_fetched, media_ref
from shared.domain.media import MediaKind
from workers.providers.base import MESSAGES_FIELD
from workers.services.answers.store_answer_image import store_answer_image
from workers.services.attempt import Attempt
from workers.services.media.fetch_media import fetch_media
from workers.services.media.load_image import MAX_IMAGE_BYTES
from workers.services.media.load_media import MAX_MEDIA_BYTES
from workers.services.media.store_media import store_media
from workers.services.media.together import together


async def fetch_shown(attempt: Attempt, message_id: int, media: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return what a message shows, all of it stored; the message refers to it from then on.

    Raises:
        MediaRefused: if something cannot be had.
        UnsupportedMediaType: if something is of another kind than it should be.
        SmartSipError: as `store_answer_image` and `store_media`.
    """
    if not any(map(is_to_be_fetched, media)):
        return media
    stored = await together(_stored(attempt, reference) for reference in media)
    await attempt.tools.queries.rows(keep_media(attempt.owner_id, message_id, stored))
    return stored


async def _stored(attempt: Attempt, reference: dict[str, str]) -> dict[str, str]:
    if not is_to_be_fetched(reference):
        return reference
    url = reference["url"]
    match reference["type"]:
        case "image":
            stored = media_ref("image", await _image(attempt, url))
        case "video":
            stored = media_ref("video", await _file(attempt, url, "video"))
        case _:
            stored = media_ref("audio", await _file(attempt, url, "audio"))
    return stored | {"url": url}


async def _image(attempt: Attempt, url: str) -> UUID:
    content = await fetch_media(attempt, url, max_bytes=MAX_IMAGE_BYTES)
    return (await store_answer_image(attempt, content)).id


async def _file(attempt: Attempt, url: str, kind: MediaKind) -> UUID:
    content = await fetch_media(attempt, url, max_bytes=MAX_MEDIA_BYTES)
    return (await store_media(attempt, content, kind, field=MESSAGES_FIELD)).id
