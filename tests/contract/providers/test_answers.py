"""Whole answers: every provider tells the same story in the same words, however its bytes arrive."""

import pytest

from shared.domain.commands import Parameters
from shared.domain.errors import ContentBlocked, ProviderError, ProviderOverloaded
from shared.domain.events import Finish, Noted, Reasoning, Text, ToolCall, Usage
from tests.contract.providers.rows import OLLAMA, OPENAI_LIKE, PROMPT, Row, collect, connected
from tests.scripted_provider import (
    DONE,
    ScriptedProvider,
    answer,
    ndjson,
    ollama_line,
    ollama_stream,
    openai_chunk,
    sse,
)
from workers.providers.base import Prompt, Provider

openai_like = pytest.mark.parametrize("row", OPENAI_LIKE, ids=str)


async def test_an_answer_is_reasoning_text_usage_and_finish(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(row.stream(["Paris", " is", " it."], reasoning=["Recall", " maps."], usage=(26, 30)))
    assert await collect(provider) == (
        [
            Reasoning("Recall"),
            Reasoning(" maps."),
            Text("Paris"),
            Text(" is"),
            Text(" it."),
            Usage(input_tokens=26, output_tokens=30),
            Finish("stop"),
        ],
        None,
    )


async def test_an_answer_cut_by_its_limit_says_so(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(row.stream(["Par"], finish="length", usage=None))
    assert await collect(provider) == ([Text("Par"), Finish("length")], None)


async def test_bytes_one_by_one_give_the_same_answer(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    whole = row.stream(["Grüße", " 你好", " 🥤", "\u2028"], reasoning=["Hm\r\n"])
    server.play(whole, whole.byte_by_byte())
    first = await collect(provider)
    assert first[1] is None
    assert await collect(provider) == first


async def test_a_connection_is_used_again_after_a_whole_answer(provider: Provider, server: ScriptedProvider) -> None:
    for _ in range(3):
        assert (await collect(provider))[1] is None
    assert server.open_connections == 1


async def test_the_finish_does_not_wait_for_a_connection_that_stays_open(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    reply = row.stream(["Paris"])
    server.play(reply.stalled_after(len(reply.body)))
    assert await collect(provider) == ([Text("Paris"), Usage(input_tokens=7, output_tokens=5), Finish("stop")], None)
    await server.wait_closed()


@openai_like
async def test_an_answer_without_its_end_mark_is_whole_if_it_was_finished(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(sse(openai_chunk({"content": "Paris"}), openai_chunk(finish="stop")))
    assert await collect(provider) == ([Text("Paris"), Finish("stop")], None)


@openai_like
async def test_what_breaks_after_the_finish_costs_only_the_usage(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    reply = sse(openai_chunk({"content": "Paris"}), openai_chunk(finish="stop"))
    server.play(reply.cut_after(len(reply.body)))
    assert await collect(provider) == ([Text("Paris"), Finish("stop")], None)


@openai_like
async def test_usage_counts_once_however_often_it_is_sent(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    usage = {"prompt_tokens": 19, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 1}}
    last = {
        "prompt_tokens": 19,
        "completion_tokens": 141,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 128},
    }
    server.play(
        sse(
            openai_chunk({"content": "a"}, usage=usage),
            openai_chunk(finish="stop"),
            openai_chunk(choices=[], usage=last),
            DONE,
        )
    )
    expected = Usage(input_tokens=19, output_tokens=141, reasoning_tokens=128, cached_tokens=8)
    assert await collect(provider) == ([Text("a"), expected, Finish("stop")], None)


@openai_like
async def test_odd_chunks_are_tolerated(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(
        sse(
            b"\xef\xbb\xbf: a comment\r\n\r\n",
            openai_chunk(choices=None),
            openai_chunk(choices=[]),
            openai_chunk(choices=[{"index": 0, "delta": None, "finish_reason": None}]),
            openai_chunk({"role": "assistant", "content": "", "refusal": None}, obfuscation="aZ3", error=None),
            openai_chunk({"reasoning": "Hm"}),
            openai_chunk({"reasoning_content": "Hm", "reasoning": "Hm"}),
            openai_chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "So"}]}]}),
            openai_chunk({"content": [{"type": "text", "text": "Paris"}, {"type": "reference", "reference_ids": [1]}]}),
            openai_chunk({"content": "!"}, finish="stop"),
            openai_chunk(finish="stop"),
            DONE,
        )
    )
    assert await collect(provider) == (
        [Reasoning("Hm"), Reasoning("Hm"), Reasoning("So"), Text("Paris"), Text("!"), Finish("stop")],
        None,
    )


@openai_like
async def test_tool_calls_come_in_fragments(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "pour", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": '{"ml":1}'}}
    server.play(
        sse(
            openai_chunk({"tool_calls": [first]}),
            openai_chunk({"tool_calls": [rest]}),
            openai_chunk(finish="tool_calls"),
            DONE,
        )
    )
    assert await collect(provider) == (
        [ToolCall(0, "call_1", "pour"), ToolCall(0, arguments='{"ml":1}'), Finish("tool_calls")],
        None,
    )


@pytest.mark.parametrize("row", OPENAI_LIKE[:1], ids=str)
@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("content_filter", ContentBlocked),
        ("error", ProviderError),
        ("insufficient_system_resource", ProviderOverloaded),
    ],
)
async def test_some_finishes_are_failures(
    row: Row, provider: Provider, server: ScriptedProvider, reason: str, expected: type[ProviderError]
) -> None:
    server.play(sse(openai_chunk({"content": "Par"}), openai_chunk(finish=reason), DONE))
    deltas, error = await collect(provider)
    assert (deltas, type(error)) == ([Text("Par")], expected)


@openai_like
async def test_a_refusal_is_blocked_content(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(
        sse(
            openai_chunk({"refusal": "I can't"}), openai_chunk({"refusal": " help."}), openai_chunk(finish="stop"), DONE
        )
    )
    deltas, error = await collect(provider)
    assert (deltas, type(error), str(error)) == ([], ContentBlocked, "The model refused: I can't help.")


async def test_ollama_calls_tools_whole(server: ScriptedProvider) -> None:
    call = {"function": {"name": "pour", "arguments": {"ml": 1}}}
    server.play(ndjson(ollama_line({"tool_calls": [call]}), ollama_line({}, done=True)))
    async with connected(OLLAMA, server) as provider:
        (called, finish), error = await collect(provider)
    assert isinstance(called, ToolCall)
    assert (called.name, called.arguments, finish, error) == ("pour", '{"ml":1}', Finish("stop"), None)
    assert (called.id or "").startswith("call_")  # Ollama gave it none, and the caller needs one to answer it


async def test_ollama_tells_before_its_words_what_it_was_not_sent(server: ScriptedProvider) -> None:
    parameters = Parameters(reasoning_effort="high", options={"verbosity": "low"})
    prompt = Prompt("m", PROMPT.messages, parameters)
    server.play(answer({"error": '"m" does not support thinking'}, status=400), ollama_stream(["Tea"], usage=None))
    async with connected(OLLAMA, server) as provider:
        assert await collect(provider, prompt) == (
            [
                Noted("parameter_dropped", "verbosity: ollama does not take it"),
                Noted("parameter_dropped", "reasoning_effort: ollama says that m cannot be told so"),
                Text("Tea"),
                Finish("stop"),
            ],
            None,
        )


async def test_a_last_line_without_an_end_counts(server: ScriptedProvider) -> None:
    server.play(ndjson(ollama_line({"content": "a"}), ollama_line({}, done=True).rstrip()))
    async with connected(OLLAMA, server) as provider:
        assert await collect(provider) == ([Text("a"), Finish("stop")], None)


@openai_like
async def test_a_last_event_without_the_line_that_ends_it_counts(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(sse(openai_chunk({"content": "a"}), openai_chunk(finish="stop").rstrip()))
    assert await collect(provider) == ([Text("a"), Finish("stop")], None)


@openai_like
async def test_a_stream_with_other_line_ends_is_read(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    whole = row.stream(["Paris"])
    server.play(sse(whole.body.replace(b"\n", b"\r\n")), sse(whole.body.replace(b"\n", b"\r")))
    expected = ([Text("Paris"), Usage(input_tokens=7, output_tokens=5), Finish("stop")], None)
    assert [await collect(provider), await collect(provider)] == [expected, expected]
