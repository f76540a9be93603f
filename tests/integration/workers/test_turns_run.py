"""Turns of chats through the whole core: what the model is told, in which order they run, and what is kept."""

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any

import pytest
import structlog

from api.auth import ADMINISTRATOR
from api.front import Front, open_front
from api.services.chats import ChatView, MessageView, NewChat, Origin
from api.services.quotas import OWNER
from api.services.submit import accept
from api.services.turns import Said, TurnRequest, prepare_turn
from shared.domain.chats import media_ref
from shared.domain.errors import TokensSpent
from shared.domain.events import Text
from shared.domain.ids import LOCAL_OWNER, JobId
from shared.domain.jobs import State
from shared.settings import Settings
from shared.settings_dialects import Price
from tests.images import photo
from tests.integration.workers.bench import MODEL, Bench
from tests.scripted_provider import ScriptedProvider, answer, ollama_stream, openai_stream
from workers.runtime import Runtime
from workers.services.turn_history import GONE

SYSTEM = {"role": "system", "content": "Be brief."}
OWN_KEY = "sk-of-this-chat-only"
HISTORY_TOKENS = 2_000
PRICE = Price(input=Decimal(2), output=Decimal(10), cached_input=Decimal("0.5"))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a price for the scripted model, and a history so short that it is trimmed."""
    limits = settings.limits.model_copy(update={"history_tokens": HISTORY_TOKENS})
    return settings.model_copy(update={"limits": limits, "prices": {MODEL: PRICE}})


@pytest.fixture
async def front(settings: Settings) -> AsyncGenerator[Front]:
    """Accepts turns; nothing sweeps."""
    async with open_front(settings) as front:
        yield front


@pytest.fixture
async def chat(front: Front) -> ChatView:
    return await new_chat(front)


async def new_chat(front: Front, **changes: Any) -> ChatView:
    facts: dict[str, Any] = {"title": "Tea", "model": MODEL, "system_prompt": "Be brief."}
    return (await front.chats.create(LOCAL_OWNER, NewChat(origin=Origin.CHATS, **(facts | changes))))[0]


async def say(front: Front, chat: ChatView, text: str, *media: dict[str, str]) -> JobId:
    """Accept a turn; a runner has to be told of it."""
    chat = await front.chats.find(LOCAL_OWNER, chat_id=chat.id)
    request = TurnRequest(said=[Said(content=text, media=media)])
    return (await accept(front, await prepare_turn(front, ADMINISTRATOR, chat, request))).id


def told(message: MessageView) -> tuple[str, str]:
    return message.role, message.content


async def said_in(front: Front, chat: ChatView) -> list[tuple[str, str]]:
    return [told(message) for message in await front.chats.messages(LOCAL_OWNER, chat.id)]


def asked(provider: ScriptedProvider, number: int = -1) -> list[Any]:
    """The messages that the provider got with a request, by default the last one."""
    return provider.exchanges[number].json["messages"]


async def charges(bench: Bench) -> list[tuple[Any, ...]]:
    """What the ledger has: tokens of each kind, whether they are estimated, the cost."""
    return await bench.rows(
        "select input_tokens, output_tokens, reasoning_tokens, cached_tokens, lost_tokens, is_estimated, cost"
        " from charge order by job_id"
    )


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


async def test_a_failed_turn_is_shown_and_the_next_one_is_not_told_of_it(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider, bench: Bench
) -> None:
    whole = openai_stream(["Half", " an", " answer"])
    provider.play(
        openai_stream(["Green"]),
        answer({"error": {"message": "no"}}, status=400),
        whole.cut_after(len(b"".join(whole.pieces[:3]))),
        openai_stream(["At 80"]),
    )
    for text in ("Which tea?", "refused", "broken off", "How hot?"):
        await runtime.runner.run(await say(front, chat, text))
    assert asked(provider) == [
        SYSTEM,
        {"role": "user", "content": "Which tea?"},
        {"role": "assistant", "content": "Green"},
        {"role": "user", "content": "How hot?"},
    ]
    assert await said_in(front, chat) == [
        *(("user", "Which tea?"), ("assistant", "Green"), ("user", "refused"), ("user", "broken off")),
        *(("user", "How hot?"), ("assistant", "At 80")),
    ]
    first, refused, broken, last = await charges(bench)
    assert (first[:2], last[:2]) == ((7, 5), (7, 5))
    assert refused == (0, 0, 0, 0, 0, True, 0)
    assert broken[:2] == (-(-len("Be brief.Which tea?Greenbroken off") // 4), -(-len("Half an") // 4))
    assert broken[5] is True


async def test_the_oldest_turns_are_left_out_when_they_are_too_much_and_the_last_message_never(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["ok"]))
    texts = [letter * 3_000 for letter in "abc"]  # 750 tokens each, with the answer and what messages cost 759
    for text in [*texts, "d" * 40_000]:
        await runtime.runner.run(await say(front, chat, text))
    kept = [(message["role"], message["content"]) for message in asked(provider)]
    assert kept == [
        ("system", "Be brief."),
        *(("user", texts[1]), ("assistant", "ok"), ("user", texts[2]), ("assistant", "ok")),
        ("user", "d" * 40_000),
    ]
    await runtime.runner.run(await say(front, chat, "e"))
    assert [message["content"] for message in asked(provider)] == ["Be brief.", "e"]


async def test_an_image_that_was_deleted_since_is_named_and_one_of_this_turn_is_missed(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider, bench: Bench
) -> None:
    provider.play(openai_stream(["A cup"]))
    image_id = await bench.store(photo())
    await runtime.runner.run(await say(front, chat, "What is it?", media_ref("image", image_id)))
    assert asked(provider)[1]["content"][1]["type"] == "image_url"
    await bench.rows("delete from image where id = %s", image_id)
    await runtime.runner.run(await say(front, chat, "Sure?"))
    assert asked(provider) == [
        SYSTEM,
        {"role": "user", "content": f"What is it?\n{GONE}"},
        {"role": "assistant", "content": "A cup"},
        {"role": "user", "content": "Sure?"},
    ]
    job_id = await say(front, chat, "And now?", media_ref("image", image_id))
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    assert (ending.state, ending.reply.error and ending.reply.error.code) == (State.FAILED, "not_found")
    assert len(provider.exchanges) == 2


async def test_a_chats_own_key_is_used_for_it_alone_and_told_nobody(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider, bench: Bench
) -> None:
    refusal = answer({"error": {"message": f"Incorrect API key provided: {OWN_KEY}"}}, status=400)
    provider.play(openai_stream(["mine"]), openai_stream(["ours"]), refusal)
    own = await new_chat(front, provider_key=OWN_KEY)
    assert OWN_KEY not in repr(own)
    with structlog.testing.capture_logs() as logs:
        for where in (own, chat, own):
            last = await say(front, where, "Hi")
            await runtime.runner.run(last)
    bearers = [exchange.headers["authorization"] for exchange in provider.exchanges]
    assert bearers == [f"Bearer {key}" for key in (OWN_KEY, "sk-scripted", OWN_KEY)]
    error = (await bench.ended(last)).reply.error
    assert error is not None
    assert "Incorrect API key" in str(error.detail)
    assert OWN_KEY not in str([logs, error, await bench.log(last)])
    tables = ("job", "job_body", "job_done", "chat", "message", "charge", "job_setback")
    kept = [await bench.rows(f"select {table}::text from {table}") for table in tables]
    assert all(OWN_KEY.encode().hex() not in str(rows) and OWN_KEY not in str(rows) for rows in kept)


async def test_a_turn_that_was_stopped_keeps_its_words_and_the_next_one_is_told_them(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider, bench: Bench
) -> None:
    provider.play(openai_stream(["Green tea "] + ["and so on "] * 500).paced(20), openai_stream(["ok"]))
    job_id = await say(front, chat, "Tell me")
    running = asyncio.create_task(runtime.runner.run(job_id))
    await bench.said(job_id, Text)
    await bench.cancel(job_id)
    await running
    message = (await front.chats.messages(LOCAL_OWNER, chat.id))[-1]
    assert (message.role, message.finish_reason, message.job_id) == ("assistant", "cancelled", job_id)
    assert message.content.startswith("Green tea ")
    ((sent, written, *_, is_estimated, cost),) = await charges(bench)
    assert (sent, written) == (-(-len("Be brief.Tell me") // 4), -(-len(message.content) // 4))
    assert (is_estimated, cost) == (True, Decimal(2 * sent + 10 * written) / 1_000_000)
    await runtime.runner.run(await say(front, chat, "Go on"))
    assert asked(provider)[2] == {"role": "assistant", "content": message.content}


async def test_a_turn_that_was_stopped_before_its_first_word_is_left_out(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider, bench: Bench
) -> None:
    provider.play(openai_stream(["late"]).delayed(5), openai_stream(["ok"]))
    job_id = await say(front, chat, "Tell me")
    running = asyncio.create_task(runtime.runner.run(job_id))
    await provider.wait_requests()
    await bench.cancel(job_id)
    await running
    await runtime.runner.run(await say(front, chat, "Now"))
    assert asked(provider) == [SYSTEM, {"role": "user", "content": "Now"}]
    assert (await charges(bench))[0][:2] == (-(-len("Be brief.Tell me") // 4), 0)


async def test_the_ledger_has_what_was_counted_and_what_it_costs(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider, bench: Bench
) -> None:
    provider.play(openai_stream(["ok"], usage=(1_000, 50)))
    provider.play(ollama_stream(["ok"]), model="llava")
    counted, lost = await say(front, chat, "Hi"), await say(front, chat, "Again")
    await runtime.runner.run(counted)
    await bench.rows("update job set losses = 2 where id = %s", lost)  # as if two processes had died with it
    await runtime.runner.run(lost, solo=True)
    await runtime.runner.run(await bench.chat(model="ollama/llava"))
    assert await charges(bench) == [
        (1_000, 50, 0, 0, 0, False, Decimal("0.0025")),
        (1_000, 50, 0, 0, 2_000, True, Decimal("0.0065")),
        (7, 5, 0, 0, 0, False, None),
    ]


async def test_a_provider_that_counts_beyond_belief_breaks_nothing(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider, bench: Bench
) -> None:
    provider.play(openai_stream(["ok"], usage=(2**62, -5)))
    job_id = await say(front, chat, "Hi")
    await runtime.runner.run(job_id)
    assert (await bench.ended(job_id)).state is State.SUCCEEDED
    assert await charges(bench) == [(10**9, 0, 0, 0, 0, False, Decimal(2_000))]


async def test_a_quota_limits_the_answer_is_settled_at_its_end_and_then_refuses(
    front: Front, chat: ChatView, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["ok"], usage=(40, 10)))
    await front.quotas.put(LOCAL_OWNER, OWNER, 100)
    first = await say(front, chat, "Hi")
    (reserved,) = await front.quotas.page(LOCAL_OWNER, after=None, limit=10)
    assert (reserved.reserved_tokens, reserved.used_tokens) == (100, 0)
    with pytest.raises(TokensSpent):
        await say(front, chat, "Me too")
    await runtime.runner.run(first)
    sent = len("Hi") // 4 + 1 + 4 + -(-len("Be brief.") // 4)
    assert provider.exchanges[0].json["max_completion_tokens"] == 100 - sent
    await runtime.runner.run(await say(front, chat, "Again"))  # of a short chat, only what there is goes along
    (settled,) = await front.quotas.page(LOCAL_OWNER, after=None, limit=10)
    assert (settled.reserved_tokens, settled.used_tokens) == (0, 100)
    with pytest.raises(TokensSpent):
        await say(front, chat, "And again")
    assert await said_in(front, chat) == [
        *(("user", "Hi"), ("assistant", "ok"), ("user", "Again"), ("assistant", "ok")),
    ]
