"""What a job says in its chat, as a row to be written with its end."""

from uuid import UUID

from shared.database.claims import Answer
from shared.domain.chats import media_ref
from shared.domain.events import Completed, Reply, TerminalEvent


def answer_of(reply: Reply, end: TerminalEvent) -> Answer | None:
    """Return the row: a whole answer, or what there was of one that was stopped; None for one that failed."""
    if reply.error is not None or reply.provider is None or reply.model is None:
        return None
    if not isinstance(end, Completed) and not (reply.text or reply.tool_calls or reply.images or reply.videos):
        return None
    images = [media_ref("image", UUID(image.image_id)) for image in reply.images]
    videos = [media_ref("video", UUID(video.video_id)) for video in reply.videos]
    return Answer(
        content=reply.text,
        media=images + videos,
        reasoning=reply.reasoning or None,
        search_results=reply.search_results or None,
        signatures=reply.signatures or None,
        tool_calls=reply.tool_calls or None,
        provider=reply.provider,
        model=reply.model,
        usage=reply.usage,
        finish_reason=reply.finish_reason or "cancelled",
    )
