"""Calls to studios, against a scripted server: what was certainly not taken is told from what may have been."""

import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing

import pytest

from shared.domain.errors import (
    ContentBlocked,
    InvalidRequest,
    OutcomeUnknown,
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderQuota,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
    RequestTooLarge,
)
from shared.domain.events import Noted, Usage
from tests.scripted_provider import Reply, ScriptedProvider, answer
from workers.providers.base import GeneratedImage, PromptImage
from workers.providers.studio.ark_media import ArkMedia
from workers.providers.studio.base import ImagesAsked, Made, StudioClocks, VideoAsked

KEY = "ark-key-of-the-tests"
CLOCKS = StudioClocks(connect_s=5, images_s=5, call_s=5)
IMPATIENT = StudioClocks(connect_s=5, images_s=0.1, call_s=0.1)
WISH = ImagesAsked(model="doubao-seedream-4-5-251128", prompt="A cup")
FILM = VideoAsked(model="doubao-seedance-1-5-pro-251215", prompt="Tea")
WHOLE = answer({"data": [{"b64_json": "Y3Vw"}], "usage": {"output_tokens": 5}})


@pytest.fixture
def provider() -> Generator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


def studio_at(url: str) -> ArkMedia:
    return ArkMedia("doubao", base_url=url, api_key=KEY)


async def all_of(made: AsyncGenerator[Made, None]) -> list[Made]:
    async with aclosing(made) as pieces:
        return [piece async for piece in pieces]


def refused(status: int, code: str = "Some") -> Reply:
    return answer({"error": {"code": code, "message": f"no, {KEY}", "param": "", "type": "x"}}, status=status)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (refused(400), ProviderRejected),
        (refused(400, "InputTextSensitiveContentDetected"), ContentBlocked),
        (refused(401), ProviderAuth),
        (refused(403, "AccountOverdueError"), ProviderQuota),
        (refused(413), RequestTooLarge),
        (refused(429), ProviderRateLimited),
        (refused(503), ProviderOverloaded),
        (answer("", status=302, headers={"location": "http://127.0.0.1:9/"}), ProviderError),
        (refused(408), OutcomeUnknown),
        (refused(500), OutcomeUnknown),
        (refused(502), OutcomeUnknown),
        (answer("<html>Bad gateway</html>", status=504), OutcomeUnknown),
        (answer("<html>Welcome</html>", media_type="text/html"), OutcomeUnknown),
        (answer(""), OutcomeUnknown),
        (WHOLE.cut_after(10), OutcomeUnknown),
        (WHOLE.reset_after(10), OutcomeUnknown),
    ],
)
async def test_only_a_clear_refusal_is_one(provider: ScriptedProvider, said: Reply, error: type[ProviderError]) -> None:
    provider.play(said)
    with pytest.raises(ProviderError) as pictures:
        await all_of(studio_at(provider.url).make_images(WISH, CLOCKS))
    with pytest.raises(ProviderError) as film:
        await studio_at(provider.url).order_video(FILM, CLOCKS)
    assert (type(pictures.value), type(film.value), len(provider.exchanges)) == (error, error, 2)
    assert KEY not in f"{pictures.value} {film.value}"


async def test_an_answer_that_does_not_come_in_time_may_have_been_taken(provider: ScriptedProvider) -> None:
    for said in (WHOLE.stalled_after(10), WHOLE.delayed(5)):
        provider.play(said)
        with pytest.raises(OutcomeUnknown, match=r"did not answer within 0\.1 s"):
            await all_of(studio_at(provider.url).make_images(WISH, IMPATIENT))
    with pytest.raises(ProviderTimeout):
        await studio_at(provider.url).look_at("cgt-1", IMPATIENT)


async def test_a_provider_that_cannot_be_reached_was_not_asked() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = studio_at(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ProviderUnreachable, match="cannot be reached"):
            await nowhere.order_video(FILM, CLOCKS)


async def test_what_came_is_given_what_failed_is_told_and_what_it_cost_comes_last(provider: ScriptedProvider) -> None:
    partial = [{"error": {"code": "x", "message": "no"}}, {"b64_json": "Y3Vw"}, {"url": "https://a/x.png"}]
    provider.play(answer({"data": partial, "usage": {"output_tokens": 5}}))
    made = await all_of(studio_at(provider.url).make_images(WISH, CLOCKS))
    assert made == [
        GeneratedImage(content=b"cup"),
        GeneratedImage(url="https://a/x.png"),
        Noted("image_failed", "doubao answered with an error: no"),
        Usage(0, 5),
    ]


async def test_an_answer_that_only_failed_is_not_to_be_asked_for_again(provider: ScriptedProvider) -> None:
    nothing: tuple[dict[str, object], ...] = (
        {"error": {"code": "server_error", "message": "overloaded"}},
        {"data": []},
        {"data": None, "images": []},
    )
    for said in nothing:
        provider.play(answer(said))
        with pytest.raises(ProviderError) as caught:
            await all_of(studio_at(provider.url).make_images(WISH, CLOCKS))
        assert not caught.value.retryable


async def test_large_images_are_sent_whole(provider: ScriptedProvider) -> None:
    provider.play(WHOLE)
    cup = PromptImage(bytes(1_000_003), "image/png")
    asked = ImagesAsked(model=WISH.model, prompt="A cup", images=(cup, cup))
    assert len(await all_of(studio_at(provider.url).make_images(asked, CLOCKS))) == 2
    assert [len(url) for url in provider.exchanges[0].json["image"]] == [22 + 1_333_340] * 2


async def test_a_look_that_fails_says_whether_another_may_not(provider: ScriptedProvider) -> None:
    for said, error in (
        (refused(503), ProviderOverloaded),
        (refused(404), ProviderError),
        (answer("<html>"), ProviderError),
    ):
        provider.play(said)
        with pytest.raises(ProviderError) as caught:
            await studio_at(provider.url).look_at("cgt/../1", CLOCKS)
        assert type(caught.value) is error
    assert provider.exchanges[0].path == "/contents/generations/tasks/cgt%2F..%2F1"


async def test_another_key_is_sent_instead_and_none_is_in_a_repr(provider: ScriptedProvider) -> None:
    provider.play(answer({"id": "cgt-1"}))
    other = studio_at(provider.url).with_key("sk-of-a-caller")
    assert await other.order_video(FILM, CLOCKS) == "cgt-1"
    assert provider.exchanges[0].headers["authorization"] == "Bearer sk-of-a-caller"
    assert "sk-of-a-caller" not in repr(other)
    for wrong in ("", "a b", "a\nb", "schlüssel"):
        with pytest.raises(InvalidRequest):
            other.with_key(wrong)
