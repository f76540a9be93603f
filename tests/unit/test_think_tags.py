"""Thoughts in tags before an answer, told apart from it however it is cut."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import Reasoning, Text
from workers.providers.think_tags import MAX_BLANKS, ThinkTags

PIECES = [
    *("<think>", "</think>", "<thought>", "</thought>", "<think", "</think", "<thi", "nk>", "<", "</", ">", "/", " "),
    *("\n", "a", "é💧", "</t", " " * MAX_BLANKS),
]
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
    """The same by another way: patterns over the whole text."""
    events: list[Text | Reasoning] = []
    rest, is_first = text, True
    while tag := re.match(rf"[ \t\r\n]{{0,{MAX_BLANKS if is_first else ''}}}<(/?)(?:think|thought)>", rest):
        rest, is_first = rest[tag.end() :], False
        if not tag[1]:
            thought = re.match(r"(.*?)(?:</(?:think|thought)>|\Z)", rest, re.DOTALL)
            assert thought is not None
            rest = rest[thought.end() :]
            if thought[1].lstrip():
                events.append(Reasoning(thought[1].lstrip()))
    rest = rest if is_first else rest.lstrip()
    return joined([*events, *([Text(rest)] if rest else [])])


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
def test_no_more_is_kept_back_than_may_become_a_tag_and_blanks_before_it(text: str) -> None:
    tags = ThinkTags()
    at_once = [*tags.feed(text)]
    later = [*tags.end()]
    assert sum(len(event.text.lstrip()) for event in later) < len("</thought>")
    assert joined([*at_once, *later]) == told([text])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nhm\n</think>\n\nHello", [Reasoning("hm\n"), Text("Hello")]),
        ("<think>\n\n</think>\n\nHello", [Text("Hello")]),
        ("\n<think>a</think>\n<think>b</think> Hello", [Reasoning("ab"), Text("Hello")]),
        ("<thought>hm</thought>Hello", [Reasoning("hm"), Text("Hello")]),
        ("Hello <think>hm</think> world", [Text("Hello <think>hm</think> world")]),
        ("<think>a</think>Hello <think>b</think>", [Reasoning("a"), Text("Hello <think>b</think>")]),
        ("<think>never closed, <think>", [Reasoning("never closed, <think>")]),
        ("</think>\n\nHello", [Text("Hello")]),
        ("\n</think>\n\nHello", [Text("Hello")]),
        ("Hello </think> world", [Text("Hello </think> world")]),
        ("\n\n Hello", [Text("\n\n Hello")]),
        (" \n", [Text(" \n")]),
        (" " * (MAX_BLANKS + 1) + "<think>a", [Text(" " * (MAX_BLANKS + 1) + "<think>a")]),
        ("<thin", [Text("<thin")]),
        ("<table>", [Text("<table>")]),
        ("<think>a</thin", [Reasoning("a</thin")]),
        ("<Think>a</Think>", [Text("<Think>a</Think>")]),
        ("", []),
    ],
)
def test_what_tags_mean(text: str, expected: list[Text | Reasoning]) -> None:
    assert told([text]) == expected
    assert told(text) == expected


def test_words_wait_for_nothing() -> None:
    tags = ThinkTags()
    assert [list(tags.feed(word)) for word in ("Hel", "lo", " 2", "<1", " <think>")] == [
        [Text("Hel")],
        [Text("lo")],
        [Text(" 2")],
        [Text("<1")],
        [Text(" <think>")],
    ]
    assert tags.is_text


@pytest.mark.parametrize("text", ["", " \n", "<think>", "<think>a</think>\n", "<t", "<think>a</think><think>b</t"])
def test_an_answer_is_not_mere_text_before_its_first_word(text: str) -> None:
    tags = ThinkTags()
    list(tags.feed(text))
    assert not tags.is_text


def test_an_answer_of_nothing_but_tags_takes_time_in_proportion() -> None:
    assert told(["<think>a</think>" * 20_000]) == [Reasoning("a" * 20_000)]
