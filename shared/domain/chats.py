"""What chats are made of, as far as the front and the workers must agree on it."""

from typing import Final, Literal, TypeAlias, TypedDict
from uuid import UUID

from shared.domain.commands import AudioPart, ImagePart, Part, StoredImage, StoredMedia, VideoPart

MediaKind: TypeAlias = Literal["image", "video", "audio"]


class MediaRef(TypedDict):
    """What a message shows: the id of a stored image (`/v2/images`) or media file (`/v2/media`)."""

    type: MediaKind
    id: str


IMAGE_URL: Final = "/v2/images/{image_id}/content"
"""How an answer's text refers to an image in it that was stored: `![…](…)` around this."""
MAX_MEDIA: Final = 32
"""Images, videos and audios of one message."""


def media_ref(kind: MediaKind, media_id: UUID) -> dict[str, str]:
    """Return a reference as messages keep it."""
    return {"type": kind, "id": str(media_id)}


def part_of(reference: dict[str, str]) -> Part | None:
    """Return what a reference means as a part of a message; None for one that is for display only (an imported URL)."""
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
