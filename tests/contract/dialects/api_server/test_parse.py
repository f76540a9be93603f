"""Questions become commands, or are refused with a sentence."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.api_server.parse import MISSING, newest, parse, system_prompt, to_command
from api.dialects.api_server.wire import Question, Said
from shared.domain.commands import Message, Parameters, SubmitChat
from shared.domain.errors import MalformedRequest

TODAY = date(2026, 3, 1)
ASK: dict[str, Any] = {"question": "What is the weather like today?", "client_id": "1", "user_id": "2", "stream": False}
turns = st.builds(
    Said,
    role=st.sampled_from(["user", "assistant"]),
    content=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
)


def asked(**changes: Any) -> Question:
    return parse(json.dumps(ASK | changes).encode())


def command(model: str = "openai/gpt-3.5-turbo", **changes: Any) -> SubmitChat:
    return to_command(asked(**changes), model=model, today=TODAY)


def refusal(body: bytes) -> str:
    with pytest.raises(MalformedRequest) as caught:
        parse(body)
    assert caught.value.__cause__ is None  # it would show what was sent
    return str(caught.value)


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@pytest.mark.covers("F001-05", "F001-06", "F001-12")
def test_a_question_becomes_what_the_old_system_asked_its_provider():
    history = [said("user", "hello."), said("assistant", "Hi."), said("assistant", "")]
    made = command(history=history)
    assert made == SubmitChat.model_validate(
        {
            "kind": "chat",
            "model": "openai/gpt-3.5-turbo",
            "input": {
                "messages": [
                    Message(role="system", content=system_prompt("gpt-3.5-turbo", TODAY)),
                    Message(role="user", content="hello."),
                    Message(role="assistant", content="Hi."),
                    Message(role="user", content="What is the weather like today?"),
                ]
            },
            "parameters": Parameters(temperature=0.9, top_p=1, frequency_penalty=0, presence_penalty=0.4, user="1_2"),
            "labels": {"client_id": "1", "user_id": "2"},
        }
    )


@pytest.mark.covers("F001-12")
def test_the_model_is_told_who_it_is_and_what_day_it_is():
    old = system_prompt("gpt-3.5-turbo", TODAY)
    assert old == (
        'You are an AI assistant called "GPTDock" that based on the language model gpt-3.5-turbo, you are helpful, '
        "creative, clever, friendly and honest. Every code block must rendered as markdown with the program language "
        "name, inline code will be wrapped by backtick mark. All the formatting must be done by markdown. Render "
        "references as normal list with link instead of footnote.\nKnowledge cutoff: 2021-09\nCurrent date: 2026-03-01"
    )
    new = system_prompt("gpt-5", TODAY)
    assert new == old.replace("gpt-3.5-turbo", "gpt-5").replace("Knowledge cutoff: 2021-09\n", "")


@pytest.mark.covers("F001-07")
def test_numbers_and_strings_are_the_same_ids():
    for same in (1, "1"):
        found = asked(client_id=same, user_id=same)
        assert (found.client_id, found.user_id) == ("1", "1")


def test_what_is_unknown_is_ignored_and_no_history_is_none():
    assert asked(product_id="p", model="x", history=None) == asked(history=[]).model_copy(update={"history": None})


@pytest.mark.covers("F001-08")
@pytest.mark.parametrize("name", ["question", "client_id", "user_id", "stream"])
def test_what_is_required_and_missing_or_null_is_told_in_the_old_words(name: str):
    assert refusal(json.dumps({key: value for key, value in ASK.items() if key != name}).encode()) == MISSING
    assert refusal(json.dumps(ASK | {name: None, "history": 7}).encode()) == MISSING


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"question": ""}, "question: String should have at least 1 character"),
        ({"question": 7}, "question: Input should be a valid string"),
        ({"question": "a\0"}, "question: holds the character NUL, which no text has"),
        ({"question": "a" * 1_000_001}, "question: String should have at most 1000000 characters"),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
        ({"client_id": True}, "client_id: must be a string or a whole number"),
        ({"client_id": 1.5}, "client_id: must be a string or a whole number"),
        ({"client_id": ["1"]}, "client_id: must be a string or a whole number"),
        ({"client_id": ""}, "client_id: must have 1 to 200 printable characters"),
        ({"client_id": "a\nb"}, "client_id: must have 1 to 200 printable characters"),
        ({"user_id": "a\0"}, "user_id: must have 1 to 200 printable characters"),
        ({"user_id": "u" * 201}, "user_id: must have 1 to 200 printable characters"),
        ({"user_id": 10**250}, "user_id: must have 1 to 200 printable characters"),
        ({"history": "hello"}, "history: Input should be a valid array"),
        ({"history": ["hello"]}, "history.0: Input should be an object"),
        (
            {"history": [said("user", "a"), said("system", "b")]},
            "history.1.role: Input should be 'user' or 'assistant'",
        ),
        (
            {"history": [{"content": "a"}, {"role": "user", "content": None}]},
            "history.0.role: Field required; history.1.content: Input should be a valid string",
        ),
        (
            {"history": [said("user", "a")] * 10_000},
            "history: List should have at most 1000 items ",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], expected: str):
    told = refusal(json.dumps(ASK | changes).encode())
    assert told.startswith(expected)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe{}", b"null", b"[]", b'"a"', b"7", b"[" * 100_000, b'{"question": "\\ud800"}']
)
def test_what_is_no_question_is_refused(body: bytes):
    assert refusal(body)


@given(body=st.binary() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: (
    st.lists(inner) | st.dictionaries(st.sampled_from([*ASK, "history", "role", "content"]), inner)
)).map(lambda document: json.dumps(document).encode()))  # fmt: skip
def test_reading_never_fails_otherwise(body: bytes):
    try:
        to_command(parse(body), model="demo/demo", today=TODAY)
    except MalformedRequest:
        return


@given(history=st.lists(turns), within_chars=st.integers(-100, 200))
@pytest.mark.covers("F001-11")
def test_as_much_of_the_history_is_kept_as_fits_the_newest_first(history: list[Said], within_chars: int):
    spoken = [turn for turn in history if turn.content]
    kept = list(newest(history, within_chars=within_chars))
    assert kept == spoken[len(spoken) - len(kept) :]
    assert not kept or chars_of(kept) <= within_chars
    if len(kept) < len(spoken):
        assert chars_of(spoken[len(spoken) - len(kept) - 1 :]) > within_chars


@pytest.mark.covers("F001-11")
@pytest.mark.parametrize(("model", "chars"), [("openai/gpt-3.5-turbo", 3000), ("openrouter/openai/gpt-4o", 6000)])
def test_the_question_counts_and_is_asked_however_long_it_is(model: str, chars: int):
    history = [said("user", "a" * 92)] * 100  # 100 characters each, as lines
    question = "q" * 92
    assert len(command(model, question=question, history=history).input.messages) == 1 + chars // 100
    long = "q" * 20_000
    only = command(model, question=long, history=history).input.messages
    assert [message.content for message in only[1:]] == [long]


def chars_of(history: list[Said]) -> int:
    return len("".join(f"{turn.role} : {turn.content}\n" for turn in history))
