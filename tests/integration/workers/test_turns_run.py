"""Turns of chats through the whole core: what the model is told, in which order they run, and what is kept."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from api.auth import ADMINISTRATOR
from api.front import Front, open_front
from api.services.chats import ChatView, MessageView, NewChat, Origin
from api.services.submit import accept
from api.services.turns import Said, TurnRequest, prepare_turn
from shared.domain.ids import LOCAL_OWNER, JobId
from shared.settings import Settings
from tests.scripted_provider import ScriptedProvider, openai_stream
from workers.runtime import Runtime

SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture
async def front(settings: Settings) -> AsyncGenerator[Front]:
    async with open_front(settings) as front:
        yield front


@pytest.fixture
async def chat(front: Front) -> ChatView:
    new = NewChat(origin=Origin.CHATS, title="Tea", model="openai/scripted", system_prompt="Be brief.")
    return (await front.chats.create(LOCAL_OWNER, new))[0]


async def say(front: Front, chat: ChatView, text: str, **request: Any) -> JobId:
    """Accept a turn; a runner has to be told of it."""
    new = await prepare_turn(front, ADMINISTRATOR, chat, TurnRequest(said=[Said(content=text)], **request))
    return (await accept(front, new)).id


def told(message: MessageView) -> tuple[str, str]:
    return message.role, message.content


async def test_a_second_turn_is_told_with_the_first_and_its_answer(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["Green", " tea"], usage=(7, 5)), openai_stream(["At 80"]))
    await runtime.runner.run(await say(front, chat, "Which tea?"))
    await runtime.runner.run(await say(front, chat, "How hot?"))
    assert provider.exchanges[1].json["messages"] == [
        SYSTEM,
        {"role": "user", "content": "Which tea?"},
        {"role": "assistant", "content": "Green tea"},
        {"role": "user", "content": "How hot?"},
    ]
    messages = await front.chats.messages(LOCAL_OWNER, chat.id)
    assert [told(message) for message in messages] == [
        ("user", "Which tea?"),
        ("assistant", "Green tea"),
        ("user", "How hot?"),
        ("assistant", "At 80"),
    ]
    answer = messages[1]
    assert (answer.provider, answer.model, answer.finish_reason) == ("openai", "scripted", "stop")
    assert answer.usage == {"input_tokens": 7, "output_tokens": 5}


async def test_a_turn_waits_for_the_one_before_it_and_is_then_told_its_answer(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["Green tea"]), openai_stream(["At 80"]))
    first, second = await say(front, chat, "Which tea?"), await say(front, chat, "How hot?")
    await runtime.runner.run(second)
    assert provider.exchanges == []
    await runtime.runner.run(first)
    await runtime.runner.run(second)
    assert [message["content"] for message in provider.exchanges[1].json["messages"]] == [
        *("Be brief.", "Which tea?", "Green tea", "How hot?")
    ]
