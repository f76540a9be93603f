"""Functions that a model may call: offered, called, answered, over the wire of each provider."""

import json
from typing import Any

import pytest

from shared.domain.commands import CalledTool, Parameters
from shared.domain.events import Finish, Text, ToolCall, Usage
from tests.contract.providers.rows import OLLAMA, OPENAI_LIKE, Row, collect
from tests.scripted_provider import DONE, ScriptedProvider, answer, ndjson, ollama_line, openai_chunk, sse
from tests.scripted_replies import Reply
from workers.providers.base import Prompt, PromptMessage, PromptText, Provider

POUR: dict[str, Any] = {  # JSON
    "type": "function",
    "function": {"name": "pour", "parameters": {"type": "object", "properties": {"ml": {"type": "integer"}}}},
}
QUESTION = PromptMessage("user", (PromptText("Pour me 200 ml."),))


def call_of(row: Row) -> Reply:
    """A model's answer that calls the function, in two pieces where the provider cuts it."""
    if row.is_ollama:
        call: dict[str, Any] = {"id": "call_1", "function": {"name": "pour", "arguments": {"ml": 200}}}  # JSON
        return ndjson(ollama_line({"tool_calls": [call]}), ollama_line({}, done=True, done_reason="tool_calls"))
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "pour", "arguments": '{"ml":'}}
    rest = {"index": 0, "function": {"arguments": " 200}"}}
    pieces = [openai_chunk({"tool_calls": [piece]}) for piece in (first, rest)]
    return sse(*pieces, openai_chunk(finish="tool_calls"), DONE)


@pytest.mark.parametrize("row", [OPENAI_LIKE[0], OLLAMA], ids=str)
async def test_a_function_is_offered_called_and_answered(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(call_of(row), row.stream(["Enjoy."]))
    parameters = Parameters(tools=[POUR])
    deltas, error = await collect(provider, Prompt("m", (QUESTION,), parameters))
    assert (error, deltas[-1]) == (None, Finish("tool_calls"))
    pieces = [delta for delta in deltas if isinstance(delta, ToolCall)]
    assert [(piece.id, piece.name) for piece in pieces if piece.id or piece.name] == [("call_1", "pour")]
    called = CalledTool(id="call_1", name="pour", arguments="".join(piece.arguments for piece in pieces))
    follow_up = (
        QUESTION,
        PromptMessage("assistant", (PromptText(""),), tool_calls=(called,)),
        PromptMessage("tool", (PromptText("poured"),), tool_call_id="call_1"),
    )
    expected = [Text("Enjoy."), Usage(input_tokens=7, output_tokens=5), Finish("stop")]
    assert await collect(provider, Prompt("m", follow_up, parameters)) == (expected, None)
    offered, answered = (exchange.json for exchange in server.exchanges)
    assert offered["tools"] == answered["tools"] == [POUR]
    call = answered["messages"][1]["tool_calls"][0]["function"]
    arguments = call["arguments"] if row.is_ollama else json.loads(call["arguments"])
    assert (call["name"], arguments) == ("pour", {"ml": 200})
    assert answered["messages"][2] == {"role": "tool", "content": "poured"} | (
        {"tool_name": "pour"} if row.is_ollama else {"tool_call_id": "call_1"}
    )


@pytest.mark.parametrize("row", [OLLAMA], ids=str)
@pytest.mark.parametrize(
    "refused",
    ['"llama3.2" does not support thinking', "json: cannot unmarshal string into Go struct field ChatRequest.think"],
)
async def test_a_model_that_cannot_think_that_much_is_asked_without_that_word(
    row: Row, provider: Provider, server: ScriptedProvider, refused: str
) -> None:
    server.play(answer({"error": refused}, status=400), row.stream(["Hi"]))
    _, error = await collect(provider, Prompt("m", (QUESTION,), Parameters(reasoning_effort="high")))
    assert error is None
    assert [exchange.json.get("think") for exchange in server.exchanges] == ["high", None]
