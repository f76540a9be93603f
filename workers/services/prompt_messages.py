"""Messages as a provider is shown them: whatever they name is loaded."""

from typing import assert_never

from shared.domain.commands import AudioPart, ImagePart, Message, Part, TextPart, VideoPart
from workers.providers.base import PromptMessage, PromptPart, PromptText
from workers.services.attempt import Attempt
from workers.services.media.load_image import load_image
from workers.services.media.load_media import load_audio, load_video
from workers.services.media.together import together


async def prompt_message(attempt: Attempt, message: Message) -> PromptMessage:
    """Return a message with its media, loaded or fetched; raises what `load_image` and `load_audio` do."""
    if isinstance(message.content, str):
        parts: list[PromptPart] = [PromptText(message.content)]
    else:
        parts = await together(_part(attempt, part) for part in message.content)
    return PromptMessage(
        message.role,
        tuple(parts),
        tool_calls=tuple(message.tool_calls or ()),
        tool_call_id=message.tool_call_id,
    )


async def _part(attempt: Attempt, part: Part) -> PromptPart:
    match part:
        case TextPart():
            return PromptText(part.text)
        case ImagePart():
            return await load_image(attempt, part.image)
        case VideoPart():
            return await load_video(attempt, part.video)
        case AudioPart():
            return await load_audio(attempt, part.audio)
        case _:
            assert_never(part)
