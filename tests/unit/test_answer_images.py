"""Images inside an answer, found however it is cut; and what their URLs hold."""

import base64
import re
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ImageRefused, InvalidRequest, PayloadTooLarge
from tests import images
from workers.services.answers.answer_images import (
    MAX_ALT_CHARS,
    MAX_DATA_CHARS,
    MAX_IMAGE_BYTES,
    AnswerImages,
    FoundImage,
    content_of,
)

URL = "data:image/png;base64,"
PIECES = [
    "![cup](data:image/png;base64,AAAA)",
    "![](data:",
    "![",
    "](",
    "data:",
    "da",
    "!",
    "[",
    "]",
    "(",
    ")",
    "AAAA",
    "\n",
    "a",
    " ",
    "💧",
    "![a](https://a.example/a.png)",
    "DATA:",
]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
cuts = st.lists(st.integers(0, 120), max_size=20)


def found_in(fragments: Iterable[str]) -> list[str | FoundImage]:
    """What is found in an answer that comes in these fragments, neighbouring text joined."""
    images = AnswerImages()
    pieces = [piece for fragment in fragments for piece in images.feed(fragment)]
    return joined([*pieces, images.end()])


def joined(pieces: Iterable[str | FoundImage]) -> list[str | FoundImage]:
    found: list[str | FoundImage] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        elif piece:
            found.append(piece)
    return found


def cut(text: str, places: Iterable[int]) -> list[str]:
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def found_in_the_whole(text: str) -> list[str | FoundImage]:
    """The same by another way: one pattern over the whole text."""
    pieces: list[str | FoundImage] = []
    position = 0
    for match in re.finditer(r"!\[([^\[\]\n]*)\]\((?i:data):([^)\n]*)(\)|(?=\n)|\Z)", text):
        pieces.append(text[position : match.start()])
        if match[3]:
            pieces.append(FoundImage(match[1], match[2]))
        elif match.end() < len(text):
            pieces.append(FoundImage(match[1], None))
        position = match.end()
    return joined([*pieces, text[position:]])


@given(texts, cuts)
def test_images_are_found_alike_however_an_answer_is_cut(text: str, places: list[int]) -> None:
    assert found_in(cut(text, places)) == found_in_the_whole(text)


@given(texts)
def test_images_are_found_alike_letter_by_letter(text: str) -> None:
    assert found_in(text) == found_in_the_whole(text)


@given(st.text(st.characters(exclude_characters="!")), cuts)
def test_an_answer_without_images_is_text_to_the_letter(text: str, places: list[int]) -> None:
    assert found_in(cut(text, places)) == ([text] if text else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"See: ![a cup]({URL}AAAA).", ["See: ", FoundImage("a cup", "image/png;base64,AAAA"), "."]),
        ("![a](https://a.example/a.png)", ["![a](https://a.example/a.png)"]),
        (f"[a]({URL}AAAA)", [f"[a]({URL}AAAA)"]),
        (f"![a]({URL}AA\nBB)", [FoundImage("a", None), "\nBB)"]),
        (f"![a]({URL}AAAA", []),
        ("Hello!", ["Hello!"]),
        ("![a](dat", ["![a](dat"]),
        (f"![{'a' * (MAX_ALT_CHARS + 1)}](da", [f"![{'a' * (MAX_ALT_CHARS + 1)}](da"]),
        (f"![{'a' * MAX_ALT_CHARS}](data:)", [FoundImage("a" * MAX_ALT_CHARS, "")]),
    ],
)
def test_what_is_an_image_of_the_answer_and_what_is_text(text: str, expected: list[str | FoundImage]) -> None:
    assert found_in([text]) == expected
    assert found_in(text) == expected


def test_words_wait_for_nothing() -> None:
    images = AnswerImages()
    assert [list(images.feed(word)) for word in ("Hel", "lo! ", "[a](", "data:")] == [
        ["Hel"],
        ["lo! "],
        ["[a]("],
        ["data:"],
    ]
    assert images.is_plain


@pytest.mark.parametrize("text", ["Hello!", "![", "![a](da", f"![a]({URL}"])
def test_an_answer_is_not_plain_while_something_is_kept_back(text: str) -> None:
    images = AnswerImages()
    list(images.feed(text))
    assert not images.is_plain


def test_what_is_longer_than_any_image_is_not_held() -> None:
    images = AnswerImages()
    list(images.feed(f"![a]({URL}"))
    tracemalloc.start()
    for number in range(60):
        assert list(images.feed(f"{number % 10}" * 1024 * 1024)) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MAX_DATA_CHARS + 4 * 1024 * 1024
    assert joined(images.feed(") and on")) == [FoundImage("a", None), " and on"]


@given(st.binary(max_size=4096), st.booleans())
def test_an_images_bytes_are_what_its_url_says_with_or_without_padding(content: bytes, is_padded: bool) -> None:
    data = base64.b64encode(content).decode()
    found = FoundImage("a", f"image/png;base64,{data if is_padded else data.rstrip('=')}")
    assert content_of(found) == content


def test_an_image_of_many_steps_is_whole() -> None:
    content = images.noise(600, 600, "PNG")
    assert content_of(FoundImage("", f"image/png;base64,{base64.b64encode(content).decode()}")) == content


@pytest.mark.parametrize("head", ["image/png;base64,", "IMAGE/JPEG;Base64,", "image/svg+xml;charset=utf-8;base64,"])
def test_a_title_and_parameters_are_not_part_of_an_image(head: str) -> None:
    assert content_of(FoundImage("a", f'{head}aGVsbG8= "a title"')) == b"hello"


@pytest.mark.parametrize(
    ("url", "refusal"),
    [
        (None, PayloadTooLarge),
        ("", ImageRefused),
        ("image/png,abc", ImageRefused),
        ("text/html;base64,AAAA", ImageRefused),
        ("image/png;base64,AA*A", ImageRefused),
        ("image/png;base64,AA-_", ImageRefused),
        ("image/png;base64,Ä", ImageRefused),
        ("image/png;base64,A", ImageRefused),
        ("image/png;base64," + base64.b64encode(bytes(MAX_IMAGE_BYTES + 1)).decode(), PayloadTooLarge),
    ],
    ids=["no end", "empty", "not base64", "not an image", "other", "url-safe", "not ascii", "one digit", "too large"],
)
def test_a_url_that_holds_no_image_that_is_taken_is_refused(url: str | None, refusal: type[InvalidRequest]) -> None:
    with pytest.raises(refusal):
        content_of(FoundImage("a", url))


def test_an_images_content_is_not_shown_by_its_name() -> None:
    assert "AAAA" not in repr(FoundImage("a", "image/png;base64,AAAA"))


def test_an_image_as_large_as_an_upload_may_be_is_taken() -> None:
    content = bytes(MAX_IMAGE_BYTES)
    images = AnswerImages()
    text = f"![a]({URL}{base64.b64encode(content).decode()})"
    (found,) = images.feed(text)
    assert isinstance(found, FoundImage)
    assert content_of(found) == content
