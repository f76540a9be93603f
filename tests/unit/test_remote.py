"""What a URL of something elsewhere must look like before anybody is told to fetch it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.domain.commands import ChatInput, VisionInput
from shared.domain.remote import MAX_REMOTE, MAX_URL_CHARS, check_url

URL = "https://example.com/photo.jpg"


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "HTTP://example.com",
        "http://example.com:8080?a=@b#c@d",
        "https://[2001:db8::1]/a",
        "https://münchen.example/ä?ö=ü",
        "http://127.0.0.1/",  # where it leads is looked at when it is fetched
        URL.ljust(MAX_URL_CHARS, "x"),
    ],
)
def test_a_url_of_the_web_is_taken_as_it_is(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "begins with https:// or http://"),
        ("ftp://example.com/a", "begins with https:// or http://"),
        ("file:///etc/passwd", "begins with https:// or http://"),
        ("//example.com/a", "begins with https:// or http://"),
        (" https://example.com/a", "begins with https:// or http://"),
        (URL.ljust(MAX_URL_CHARS + 1, "x"), "has at most 2000 characters"),
        ("https://example.com/a b", "has no blanks and no control characters"),
        ("https://example.com/a\n", "has no blanks and no control characters"),
        ("https://example.com/\x00", "has no blanks and no control characters"),
        ("https://example.com/\ud800", "has no blanks and no control characters"),
        ("https://", "names a host, as in https://example.com/photo.jpg"),
        ("https:///a", "names a host, as in https://example.com/photo.jpg"),
        ("https://example.com\\@127.0.0.1/", "names a host, as in https://example.com/photo.jpg"),
        ("https://me:secret@example.com/a", "has no user and no password"),
        ("https://example.com@127.0.0.1/a", "has no user and no password"),
    ],
)
def test_what_is_none_is_refused_without_being_repeated(url: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_url(url)
    assert str(caught.value) == words


@given(st.text())
def test_any_text_is_a_url_that_can_be_kept_or_refused(text: str) -> None:
    try:
        url = check_url(f"https://{text}")
    except ValueError:
        return
    assert "\0" not in url.encode().decode()


def part(kind: str, url: str = URL) -> dict[str, Any]:
    return {"type": kind, kind: {"url": url}}


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Look"}, {"role": "user", "content": list(parts)}]}


def test_a_message_shows_what_is_elsewhere_and_says_where_it_does() -> None:
    text = {"type": "text", "text": "What is it?"}
    asked = ChatInput.model_validate(said(text, part("image"), part("video"), part("audio")))
    assert list(asked.remote()) == [
        "messages.1.content.1.image.url",
        "messages.1.content.2.video.url",
        "messages.1.content.3.audio.url",
    ]
    assert ChatInput.model_validate_json(asked.model_dump_json(exclude_defaults=True)) == asked


def test_so_many_things_are_fetched_for_a_job_and_no_more() -> None:
    assert ChatInput.model_validate(said(*[part("image")] * MAX_REMOTE))
    with pytest.raises(ValidationError, match="at most 32 images, videos and recordings are fetched"):
        ChatInput.model_validate(said(*[part("image")] * (MAX_REMOTE + 1)))


def test_a_dispensers_photo_is_nowhere_else() -> None:
    with pytest.raises(ValidationError):
        VisionInput.model_validate({"image": {"url": URL}})
