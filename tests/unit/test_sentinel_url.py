"""URLs that name several sentinels, on every Python: newer ones refuse to split them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.sentinel_url import SentinelUrl


def test_a_whole_url_is_read() -> None:
    assert SentinelUrl.parse(
        "rediss+sentinel://me:s%2Fecret@a:1,b,[::1]:5,[::2]/main/4?sentinel_password=q"
    ) == SentinelUrl(
        addresses=(("a", 1), ("b", 26379), ("[::1]", 5), ("[::2]", 26379)),
        credentials="me:s%2Fecret",
        master="main",
        database=4,
        sentinel_password="q",
        is_tls=True,
    )


@given(rest=st.text())
def test_no_text_is_read_without_a_master_or_crashes_the_parser(rest: str) -> None:
    try:
        parsed = SentinelUrl.parse(f"redis+sentinel://{rest}")
    except ValueError:
        return
    assert parsed.master
    assert parsed.addresses


def test_a_refusal_does_not_show_the_password() -> None:
    with pytest.raises(ValueError, match=r"^a sentinel URL is redis\+sentinel://host:port,host:port/master/0$"):
        SentinelUrl.parse("redis+sentinel://:secret@a")


@pytest.mark.parametrize(
    "url",
    ["redis://a/0", "redis+sentinel://", "redis+sentinel://a", "redis+sentinel://a:b/m/0", "redis+sentinel://a/m/x"],
)
def test_what_is_no_sentinel_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a sentinel URL is"):
        SentinelUrl.parse(url)
