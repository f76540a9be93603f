"""What chats are made of, as far as the front and the workers must agree on it."""

from typing import Final, Literal, TypeAlias, TypedDict
from uuid import UUID

from shared.domain.commands import AudioPart, ImagePart, Part, StoredImage, StoredMedia, VideoPart

MediaKind: TypeAlias = Literal["image", "video", "audio"]


class MediaRef(TypedDict):
    """What a message shows: the id of a stored image (`/v2/images`) or media file (`/v2/media`).

    What is elsewhere has a `url` and `"fetch": "once"` in place of the `id`, until the turn that shows it has fetched
    and stored it. With a `url` alone, it is for display only (a chat that was imported).
    """

    type: MediaKind
    id: str


IMAGE_URL: Final = "/v2/images/{image_id}/content"
"""How an answer's text refers to an image in it that was stored: `![…](…)` around this."""
MEDIA_URL: Final = "/v2/media/{media_id}/content"
"""The same for a film."""
MAX_MEDIA: Final = 32
"""Images, videos and audios of one message."""


def media_ref(kind: MediaKind, media_id: UUID) -> dict[str, str]:
    """Return a reference as messages keep it."""
    return {"type": kind, "id": str(media_id)}


def remote_ref(kind: MediaKind, url: str) -> dict[str, str]:
    """Return a reference to what is elsewhere, to be fetched once."""
    return {"type": kind, "url": url, "fetch": "once"}


def is_to_be_fetched(reference: dict[str, str]) -> bool:
    """Return whether a reference is to what is elsewhere and was not fetched yet."""
    return "id" not in reference and "fetch" in reference


def part_of(reference: dict[str, str]) -> Part | None:
    """Return what a reference means as a part of a message; None for one that has no id (yet)."""
    if "id" not in reference:
        return None
    media_id = UUID(reference["id"])
    match reference["type"]:
        case "video":
            return VideoPart(type="video", video=StoredMedia(id=media_id))
        case "audio":
            return AudioPart(type="audio", audio=StoredMedia(id=media_id))
        case _:
            return ImagePart(type="image", image=StoredImage(id=media_id))


def key_purpose(chat_id: UUID) -> str:
    """Return what a chat's own provider key is sealed for (`shared.encryption`)."""
    return f"chat:{chat_id}"
