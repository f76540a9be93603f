"""The kind `chat`: one answer to a conversation."""

import asyncio

from shared.domain.commands import ChatInput, ImagePart, Message, TextPart
from workers.providers.base import Prompt, PromptImage, PromptMessage, PromptText
from workers.services.attempt import Attempt
from workers.services.load_image import load_image
from workers.services.stream_answer import stream_answer


async def generate_reply(attempt: Attempt) -> str:
    """Stream the model's answer; return why it ended."""
    asked = attempt.spec.input
    if not isinstance(asked, ChatInput):
        raise TypeError("a chat job carries a conversation")
    messages = tuple([await _message(attempt, message) for message in asked.messages])
    prompt = Prompt(model=attempt.spec.model_name, messages=messages, parameters=attempt.spec.parameters)
    _, finish_reason = await stream_answer(attempt, prompt)
    return finish_reason


async def _message(attempt: Attempt, message: Message) -> PromptMessage:
    if isinstance(message.content, str):
        return PromptMessage(message.role, (PromptText(message.content),))
    parts = await asyncio.gather(*(_part(attempt, part) for part in message.content))
    return PromptMessage(message.role, tuple(parts))


async def _part(attempt: Attempt, part: TextPart | ImagePart) -> PromptText | PromptImage:
    return PromptText(part.text) if isinstance(part, TextPart) else await load_image(attempt, part.image)
