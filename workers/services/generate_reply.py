"""The kind `chat`: one answer to a conversation, which came with the job or is kept in a chat."""

from dataclasses import replace

from shared.database.statements.chat_turns import PROVIDER_KEY
from shared.domain.chats import key_purpose
from shared.domain.commands import ChatInput, TurnTask
from shared.domain.errors import InvalidRequest, NotFound
from workers.providers.base import MESSAGES_FIELD, Prompt, PromptMessage
from workers.services.answers.structured_answer import structured_answer
from workers.services.attempt import Attempt, Turn
from workers.services.generation.make_images import images_for_chat
from workers.services.generation.make_video import video_for_chat
from workers.services.generation.studio_calls import studio_of, what_it_makes
from workers.services.prompt_messages import prompt_message
from workers.services.turn_history import turn_messages


async def generate_reply(attempt: Attempt) -> str:
    """Stream the model's answer, or have made what it makes instead; return why it ended."""
    if isinstance(attempt.spec.input, TurnTask) and attempt.spec.input.has_own_key and attempt.turn is not None:
        await _use_own_key(attempt, attempt.turn)
    studio = studio_of(attempt)
    if studio is not None:
        match what_it_makes(attempt):
            case "images":
                return await images_for_chat(attempt, studio, await _last_said(attempt))
            case "video":
                return await video_for_chat(attempt, studio, lambda: _last_said(attempt))
            case "answer":
                pass
    prompt = Prompt(
        model=attempt.spec.model_name, messages=await _conversation(attempt), parameters=attempt.spec.parameters
    )
    return await structured_answer(attempt, prompt)


async def _conversation(attempt: Attempt) -> tuple[PromptMessage, ...]:
    match attempt.spec.input:
        case ChatInput() as asked:
            return tuple([await prompt_message(attempt, message) for message in asked.messages])
        case TurnTask() as task if attempt.turn is not None:
            return await turn_messages(attempt, attempt.turn, task)
        case _:
            raise TypeError("a chat job carries a conversation, or is a turn of a chat")


async def _last_said(attempt: Attempt) -> PromptMessage:
    """Return the user's last message; nothing else of the conversation is loaded."""
    match attempt.spec.input:
        case ChatInput() as asked:
            said = [message for message in asked.messages if message.role == "user"][-1:]
            messages = tuple([await prompt_message(attempt, message) for message in said])
        case TurnTask() as task if attempt.turn is not None:
            alone = task.model_copy(update={"history_tokens": 0, "system_prompt": None})
            messages = await turn_messages(attempt, attempt.turn, alone)
        case _:
            raise TypeError("a chat job carries a conversation, or is a turn of a chat")
    users = [message for message in messages if message.role == "user"]
    if not users:
        raise InvalidRequest("There is no message of the user's to make anything of.", field=MESSAGES_FIELD)
    return users[-1]


async def _use_own_key(attempt: Attempt, turn: Turn) -> None:
    """Let this attempt's provider be asked with the key that the chat brought.

    Raises:
        NotFound: if the chat is gone.
    """
    values = {"chat_id": turn.chat_id, "owner_id": attempt.owner_id}
    rows = await attempt.tools.queries.rows(PROVIDER_KEY, values)
    if not rows or rows[0].provider_key is None:
        raise NotFound("The chat was deleted.")
    api_key = attempt.tools.sealer.open(rows[0].provider_key, purpose=key_purpose(turn.chat_id))
    name = attempt.spec.provider_name
    provider = attempt.tools.providers.get(name)
    if provider is not None:
        with_key = provider.with_key(api_key)
        attempt.own_key = None if with_key is provider else api_key
        attempt.tools = replace(attempt.tools, providers={**attempt.tools.providers, name: with_key})
