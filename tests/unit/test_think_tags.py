"""Thoughts in tags, told apart from the answer however it is cut."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import Reasoning, Text
from workers.services.think_tags import CLOSING, OPENING, ThinkTags

PIECES = ["<think>", "</think>", "<think", "</think", "<thi", "nk>", "<", "</", ">", "/", " ", "\n", "a", "é💧", "</t"]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def told(fragments: Iterable[str]) -> list[Text | Reasoning]:
    """What is told of an answer that comes in these fragments, neighbours of one kind joined."""
    tags = ThinkTags()
    events = [event for fragment in fragments for event in tags.feed(fragment)]
    return joined([*events, *tags.end()])


def joined(events: Sequence[Text | Reasoning]) -> list[Text | Reasoning]:
    assert all(event.text for event in events)
    return [kind("".join(event.text for event in group)) for kind, group in groupby(events, key=type)]


def cut(text: str, places: Iterable[int]) -> list[str]:
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def told_of_the_whole(text: str) -> list[Text | Reasoning]:
    """The same by another way: the whole text is cut at everything that looks like a tag."""
    events: list[Text | Reasoning] = []
    is_thought, drops_blanks, said = False, False, ""
    for token in re.split("(</?think>)", text):
        if token == (CLOSING if is_thought else OPENING) or (token == CLOSING and not said.strip()):
            is_thought = token == OPENING
            drops_blanks = is_thought or not said.strip()
            continue
        content = token.lstrip() if drops_blanks else token
        if not content:
            continue
        drops_blanks = False
        said += "" if is_thought else content
        events.append(Reasoning(content) if is_thought else Text(content))
    return joined(events)


@given(texts, st.lists(st.integers(0, 60), max_size=20))
def test_an_answer_is_told_alike_however_it_is_cut(text: str, places: list[int]) -> None:
    assert told(cut(text, places)) == told_of_the_whole(text)


@given(texts)
def test_an_answer_is_told_alike_letter_by_letter(text: str) -> None:
    assert told(text) == told_of_the_whole(text)


@given(st.text(st.characters(exclude_characters="<")), st.lists(st.integers(0, 60)))
def test_an_answer_without_tags_is_text_to_the_letter(text: str, places: list[int]) -> None:
    assert told(cut(text, places)) == ([Text(text)] if text else [])


@given(texts)
def test_no_more_is_kept_back_than_may_become_a_tag(text: str) -> None:
    tags = ThinkTags()
    at_once = [*tags.feed(text)]
    later = [*tags.end()]
    assert sum(len(event.text) for event in later) < len(CLOSING)
    assert all((OPENING + CLOSING).find(event.text) >= 0 for event in later)
    assert joined([*at_once, *later]) == told([text])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nhm\n</think>\n\nHello", [Reasoning("hm\n"), Text("Hello")]),
        ("<think>\n\n</think>\n\nHello", [Text("Hello")]),
        ("\n<think>a</think>\n<think>b</think> Hello", [Text("\n"), Reasoning("ab"), Text("Hello")]),
        ("Hello <think>hm</think> world", [Text("Hello "), Reasoning("hm"), Text(" world")]),
        ("<think>never closed, <think>", [Reasoning("never closed, <think>")]),
        ("</think>\n\nHello", [Text("Hello")]),
        ("Hello </think> world", [Text("Hello </think> world")]),
        ("<think>a</think>Hello</think>", [Reasoning("a"), Text("Hello</think>")]),
        ("1 < 2, <thin", [Text("1 < 2, <thin")]),
        ("<think>a</thin", [Reasoning("a</thin")]),
        ("<Think>a</Think>", [Text("<Think>a</Think>")]),
        ("", []),
    ],
)
def test_what_tags_mean(text: str, expected: list[Text | Reasoning]) -> None:
    assert told([text]) == expected
    assert told(text) == expected


def test_words_without_a_tag_wait_for_nothing() -> None:
    tags = ThinkTags()
    assert [list(tags.feed(word)) for word in ("Hel", "lo", " 2", ">1")] == [
        [Text("Hel")],
        [Text("lo")],
        [Text(" 2")],
        [Text(">1")],
    ]
    assert tags.is_plain


@pytest.mark.parametrize("text", ["", " \n", "<think>", "<think>a</think>\n", "a<", "a</think><think>b</t"])
def test_an_answer_is_not_plain_before_its_first_word_in_a_thought_or_at_a_tags_beginning(text: str) -> None:
    tags = ThinkTags()
    list(tags.feed(text))
    assert not tags.is_plain


def test_an_answer_of_nothing_but_tags_takes_time_in_proportion() -> None:
    assert told(["<think>a</think>b" * 20_000])[:2] == [Reasoning("a"), Text("b")]
