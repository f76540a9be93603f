"""Which range of a file is asked for (RFC 9110 section 14)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from api.parts import Span, wanted_span
from shared.domain.errors import RangeNotSatisfiable

TAG = '"abc"'


def wanted(asked: str | None, *, if_range: str = TAG) -> Span | None:
    headers = {"if-range": if_range} if asked is None else {"if-range": if_range, "range": asked}
    return wanted_span(Headers(headers), size_bytes=1000, tag=TAG)


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-", Span(0, 1000)),
        ("bytes=10-19", Span(10, 10)),
        ("bytes=990-2000", Span(990, 10)),
        ("bytes=999-", Span(999, 1)),
        ("bytes=-1", Span(999, 1)),
        ("bytes=-5000", Span(0, 1000)),
    ],
)
def test_one_range_is_served(asked: str, span: Span):
    assert wanted(asked) == span


@pytest.mark.parametrize(
    "asked",
    [
        *(None, "", "bytes=", "bytes=-", "bytes=5-3", "bytes=0-1,5-9", "bytes=a-b", "bytes= 0-1", "items=0-1"),
        *("bytes=0-1\n", "bytes=²-³", "bytes=-1-2", "bytes=99999999999999999999-"),
    ],
)
def test_everything_else_is_answered_with_the_whole(asked: str | None):
    assert wanted(asked) is None


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(asked: str):
    with pytest.raises(RangeNotSatisfiable) as refusal:
        wanted(asked)
    assert refusal.value.field == "Range"


def test_a_range_of_another_version_is_answered_with_the_whole():
    for other in ('"abcd"', f"W/{TAG}", "Sat, 21 Nov 2026 00:00:00 GMT"):
        assert wanted("bytes=0-9", if_range=other) is None


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**9) | st.none())
def test_a_span_from_a_byte_on_is_what_was_asked_for(size: int, first: int, last: int | None):
    span = _wanted_or_refused(f"bytes={first}-{'' if last is None else last}", size)
    asked = range(size)[first : None if last is None else last + 1]
    assert span == (Span(first, len(asked)) if asked else None)


@given(st.integers(1, 10**9), st.integers(0, 10**9))
def test_a_span_at_the_end_is_what_was_asked_for(size: int, last: int):
    asked = range(size)[max(0, size - last) :]
    span = _wanted_or_refused(f"bytes=-{last}", size)
    assert span == (Span(asked.start, len(asked)) if asked else None)
    assert span is None or span.content_range(size) == f"bytes {asked[0]}-{asked[-1]}/{size}"


def _wanted_or_refused(asked: str, size_bytes: int) -> Span | None:
    try:
        return wanted_span(Headers({"range": asked}), size_bytes=size_bytes, tag=TAG)
    except RangeNotSatisfiable:
        return None
