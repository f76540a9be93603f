"""The kind `chat`: one answer to a conversation, which came with the job or is kept in a chat."""

from dataclasses import replace

from shared.database.statements.chat_turns import PROVIDER_KEY
from shared.domain.chats import key_purpose
from shared.domain.commands import ChatInput, TurnTask
from shared.domain.errors import NotFound
from workers.providers.base import Prompt, PromptMessage
from workers.services.attempt import Attempt, Turn
from workers.services.prompt_messages import prompt_message
from workers.services.stream_answer import stream_answer
from workers.services.turn_history import turn_messages


async def generate_reply(attempt: Attempt) -> str:
    """Stream the model's answer; return why it ended."""
    messages = await _conversation(attempt)
    prompt = Prompt(model=attempt.spec.model_name, messages=messages, parameters=attempt.spec.parameters)
    _, finish_reason = await stream_answer(attempt, prompt)
    return finish_reason


async def _conversation(attempt: Attempt) -> tuple[PromptMessage, ...]:
    match attempt.spec.input:
        case ChatInput() as asked:
            return tuple([await prompt_message(attempt, message) for message in asked.messages])
        case TurnTask() as task if attempt.turn is not None:
            if task.has_own_key:
                await _use_own_key(attempt, attempt.turn)
            return await turn_messages(attempt, attempt.turn, task)
        case _:
            raise TypeError("a chat job carries a conversation, or is a turn of a chat")


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
        attempt.tools = replace(attempt.tools, providers={**attempt.tools.providers, name: provider.with_key(api_key)})
