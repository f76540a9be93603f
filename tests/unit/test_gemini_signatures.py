"""Thought signatures: what was signed in an answer is signed in its retelling; what is not Gemini's breaks nothing."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.commands import CalledTool
from shared.domain.events import Reasoning, Signature, Text, ToolCall
from tests.gemini_replies import SIGNATURE, gemini_event
from workers.providers.base import Prompt, PromptMessage, PromptText
from workers.providers.gemini.chunks import GeminiReader
from workers.providers.gemini.models import gemini_model
from workers.providers.gemini.wire import Without, to_wire

NEW, OLD = "gemini-3.8-flash", "gemini-2.0-flash"
ASK = PromptMessage("user", (PromptText("Tea?"),))
SUBSTITUTE = {"thoughtSignature": "skip_thought_signature_validator"}
SIGNED = {"thoughtSignature": SIGNATURE}
POUR = CalledTool(id="call_1", name="pour", arguments='{"ml": 200}')
STIR = CalledTool(id="call_2", name="stir", arguments="{}")


def retold(answer: PromptMessage, model: str = NEW, *, without: frozenset[Without] = frozenset()) -> list[Any]:
    """The parts in which an earlier answer is shown to a model."""
    body = to_wire(Prompt(model, (ASK, answer, ASK)), gemini_model(model), without).body
    turns: list[Any] = msgspec.json.decode(msgspec.json.encode(body["contents"]))
    return turns[1]["parts"] if len(turns) > 2 else []


def heard(*events: bytes) -> PromptMessage:
    """An answer as a chat keeps it: all text and all thoughts together, signatures as they came."""
    reader = GeminiReader("gemini")
    deltas = [delta for event in events for delta in reader.feed(event)]
    calls = [delta for delta in deltas if isinstance(delta, ToolCall)]
    return PromptMessage(
        "assistant",
        (PromptText("".join(delta.text for delta in deltas if isinstance(delta, Text))),),
        tool_calls=tuple(CalledTool(id=it.id or "", name=it.name or "", arguments=it.arguments) for it in calls),
        signatures=tuple(delta.signature for delta in deltas if isinstance(delta, Signature)),
        reasoning="".join(delta.text for delta in deltas if isinstance(delta, Reasoning)),
    )


def test_a_signature_after_the_last_word_is_on_the_text() -> None:
    answer = heard(
        gemini_event({"text": "Hm.", "thought": True}),
        gemini_event({"text": "Green"}),
        gemini_event({"text": " tea."}),
        gemini_event({"text": "", **SIGNED}, finish="STOP"),
    )
    assert retold(answer) == [{"text": "Green tea.", **SIGNED}]


def test_each_text_has_its_own_signature_and_the_rest_none() -> None:
    answer = heard(
        gemini_event({"text": "Gre"}),
        gemini_event({"text": "en", "thoughtSignature": "Zmlyc3Q="}),
        gemini_event({"text": " tea", **SIGNED}),
        gemini_event({"text": ", hot"}, finish="STOP"),
    )
    assert retold(answer) == [
        {"text": "Green", "thoughtSignature": "Zmlyc3Q="},
        {"text": " tea", **SIGNED},
        {"text": ", hot"},
    ]


def test_a_signature_before_the_first_word_is_on_the_first_text() -> None:
    answer = heard(gemini_event({"text": "", **SIGNED}), gemini_event({"text": "Tea"}))
    assert retold(answer) == [{"text": "Tea", **SIGNED}]


def test_a_call_has_its_signature_and_its_neighbour_none() -> None:
    answer = heard(
        gemini_event({"text": "I pour."}),
        gemini_event({"functionCall": {"name": "pour", "args": {"ml": 1}, "id": "c1"}}),
        gemini_event({"functionCall": {"name": "stir", "args": {}, "id": "c2"}, **SIGNED}),
    )
    assert retold(answer, OLD) == [
        {"text": "I pour."},
        {"functionCall": {"id": "c1", "name": "pour", "args": {"ml": 1}}},
        {"functionCall": {"id": "c2", "name": "stir", "args": {}}, **SIGNED},
    ]


def test_thoughts_are_told_only_if_they_were_signed() -> None:
    signed = heard(gemini_event({"text": "Hm.", "thought": True, **SIGNED}), gemini_event({"text": "Tea"}))
    assert retold(signed) == [{"text": "Hm.", "thought": True, **SIGNED}, {"text": "Tea"}]
    assert retold(heard(gemini_event({"text": "Hm.", "thought": True}, {"text": "Tea"}))) == [{"text": "Tea"}]


def test_a_text_that_was_shortened_keeps_what_fits() -> None:
    answer = PromptMessage(
        "assistant",
        (PromptText("Green"),),
        signatures=(
            "gemini:text:3:Zmlyc3Q=",
            f"gemini:text:90:{SIGNATURE}",
            "gemini:text:95:bGF0ZQ==",
            "gemini:image:0:cA==",
        ),
    )
    assert retold(answer) == [{"text": "Gre", "thoughtSignature": "Zmlyc3Q="}, {"text": "en", **SIGNED}]


@pytest.mark.parametrize(
    "foreign",
    [
        *("", "c2lnbmVk", '{"type":"reasoning.encrypted"}', "gemini:text:x:c2ln", "gemini:text:1:not base64"),
        *("gemini:other:0:c2ln", "gemini:call:99999999999:c2ln", "gemini:text:0:", "gemini:text:0:c2ln\n"),
    ],
)
def test_what_is_not_geminis_is_left_out(foreign: str) -> None:
    answer = PromptMessage("assistant", (PromptText("Tea"),), signatures=(foreign,))
    assert retold(answer) == [{"text": "Tea"}]


def test_calls_without_their_signature_are_shown_to_those_who_want_one_with_a_substitute() -> None:
    answer = PromptMessage("assistant", (PromptText("So."),), tool_calls=(POUR, STIR))
    text = {"text": "So."}
    pour: dict[str, Any] = {"functionCall": {"id": "call_1", "name": "pour", "args": {"ml": 200}}}
    stir: dict[str, Any] = {"functionCall": {"id": "call_2", "name": "stir", "args": {}}}
    assert retold(answer, OLD) == [text, pour, stir]
    assert retold(answer, NEW) == [text, pour | SUBSTITUTE, stir]
    signed = msgspec.structs.replace(answer, signatures=(f"gemini:call:0:{SIGNATURE}",))
    assert retold(signed, NEW) == [text, pour | SIGNED, stir]
    assert retold(signed, OLD, without=frozenset({"signatures"})) == [text, pour | SUBSTITUTE, stir]


@given(said=st.lists(st.tuples(st.text(alphabet="ab \n🍵", max_size=4), st.sampled_from([None, "AAAA", "BBBB"]))))
@settings(max_examples=60)
def test_every_text_is_retold_whole_and_in_order(said: list[tuple[str, str | None]]) -> None:
    events = [
        gemini_event({"text": text} | ({"thoughtSignature": signature} if signature else {}))
        for text, signature in said
    ]
    parts = retold(heard(*events))
    assert "".join(part["text"] for part in parts) == "".join(text for text, _ in said)
    assert all(part["text"] for part in parts)
    assert len(parts) <= 1 + sum(signature is not None for _, signature in said)


FORM = st.from_regex(r"gemini:(text|call|thought|image):[0-9]{1,9}:[A-Z=]{1,4}", fullmatch=True)


@given(signatures=st.lists(st.text() | FORM))
@settings(max_examples=60)
def test_no_signature_breaks_a_request(signatures: list[str]) -> None:
    answer = PromptMessage(
        "assistant", (PromptText("Tea"),), tool_calls=(POUR,), signatures=tuple(signatures), reasoning="Hm."
    )
    said = [part["text"] for part in retold(answer) if "text" in part and not part.get("thought")]
    assert "".join(said) == "Tea"
