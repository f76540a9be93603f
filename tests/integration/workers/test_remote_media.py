"""Media elsewhere on their way to a model: fetched before it is called, or the job fails; a chat keeps them.

The scripted server plays the provider and the web; 127.0.0.1 is public here, 127.0.0.2 is not.
"""

import base64
from collections.abc import AsyncGenerator
from typing import Any, Final

import pytest

from api.auth import ADMINISTRATOR
from api.front import Front, open_front
from api.services.chats import ChatView, NewChat, Origin
from api.services.submit import accept
from api.services.turns import Said, TurnRequest, prepare_turn
from shared.domain.chats import media_ref, remote_ref
from shared.domain.commands import AudioPart, ChatInput, ImagePart, JobSpec, Message, Part, RemoteMedia, VideoPart
from shared.domain.events import Reply
from shared.domain.ids import LOCAL_OWNER, JobId
from shared.domain.jobs import Kind, State
from shared.settings import Settings
from tests.images import photo, png
from tests.integration.workers.bench import MODEL, Bench
from tests.media import mp4, wav
from tests.scripted_provider import ScriptedProvider, openai_stream
from tests.scripted_replies import Reply as Answer
from workers.runtime import Runtime
from workers.services.media.fetch_url import Web

OUTSIDE: Final = "127.0.0.1"
FIELD: Final = "input.messages"
PHOTO, FILM, SOUND = photo(), mp4(), wav()


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With media fetched, from a web that is on this machine; one endpoint takes all sorts of them."""
    web = Web(may_call=lambda address: address == OUTSIDE, ports=None)
    monkeypatch.setattr("workers.runtime.THE_WEB", web)
    own = {"own": settings.providers["openai"]}
    return settings.model_copy(update={"providers": settings.providers | own, "fetch_remote_media": True})


def put(provider: ScriptedProvider, path: str, content: bytes, **more: Any) -> str:
    """Let something be on the web; return where."""
    provider.play(Answer((content,) if content else (), media_type="text/html", **more), path=path)
    return provider.url + path


def image(url: str) -> ImagePart:
    return ImagePart(type="image", image=RemoteMedia(url=url))


def video(url: str) -> VideoPart:
    return VideoPart(type="video", video=RemoteMedia(url=url))


def audio(url: str) -> AudioPart:
    return AudioPart(type="audio", audio=RemoteMedia(url=url))


async def replied(bench: Bench, runtime: Runtime, *parts: Part) -> tuple[State, Reply]:
    asked = ChatInput(messages=[Message(role="user", content=list(parts))])
    job_id = await bench.accept(JobSpec(kind=Kind.CHAT, model="own/m", input=asked))
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    return ending.state, ending.reply


def paths(provider: ScriptedProvider) -> list[str]:
    return [exchange.path for exchange in provider.exchanges]


def data_url(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


async def test_what_is_elsewhere_reaches_the_model_as_bytes(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    shown = [
        image(put(provider, "/photo", PHOTO)),
        video(put(provider, "/film", FILM)),
        audio(put(provider, "/sound", SOUND)),
    ]
    assert (await replied(bench, runtime, *shown))[0] is State.SUCCEEDED
    assert sorted(paths(provider)[:3]) == ["/film", "/photo", "/sound"]
    sent = provider.exchanges[3].json["messages"][0]["content"]
    assert sent == [
        {"type": "image_url", "image_url": {"url": data_url(PHOTO, "image/jpeg")}},
        {"type": "video_url", "video_url": {"url": data_url(FILM, "video/mp4")}},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(SOUND).decode(), "format": "wav"}},
    ]
    assert [await bench.rows("select id from image"), await bench.rows("select id from media")] == [[], []]


async def test_what_cannot_be_had_fails_by_its_reason_before_the_call(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    film, page = put(provider, "/film", FILM), put(provider, "/page", b"<html>")
    inside = f"http://127.0.0.2:{provider.port}/photo"
    reasons = [
        (image(put(provider, "/none", b"", status=404)), "media_refused", f"{OUTSIDE} answered with status 404."),
        (image(inside), "media_refused", "127.0.0.2 has no address that may be called: only public ones are."),
        (image(put(provider, "/in", b"", status=302, headers={"Location": inside})), "media_refused", "redirects"),
        (image(page), "unsupported_media_type", "an HTML page"),
        (image(put(provider, "/half", PHOTO[:100])), "image_refused", "JPEG"),
        (video(put(provider, "/sound", SOUND)), "unsupported_media_type", "This is audio/wav, not video."),
        (audio(film), "unsupported_media_type", "This is video/mp4, not audio."),
        (video(put(provider, "/broken", FILM[:-3])), "media_refused", "broken"),
    ]
    for part, code, words in reasons:
        state, reply = await replied(bench, runtime, part)
        assert reply.error is not None
        assert (state, reply.error.code, reply.error.field) == (State.FAILED, code, FIELD), reply.error
        assert words in (reply.error.detail or "")
    assert not any(path.startswith("/v1") for path in paths(provider))


@pytest.fixture
async def front(settings: Settings) -> AsyncGenerator[Front]:
    async with open_front(settings) as front:
        yield front


async def say(front: Front, chat: ChatView, text: str, *media: dict[str, str]) -> JobId:
    request = TurnRequest(said=[Said(content=text, media=media)])
    return (await accept(front, await prepare_turn(front, ADMINISTRATOR, chat, request))).id


async def test_a_chat_fetches_once_and_keeps_what_it_got(
    front: Front, bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    chat, _ = await front.chats.create(LOCAL_OWNER, NewChat(origin=Origin.CHATS, title="Tea", model="own/m"))
    provider.play(openai_stream(["A cup."]), model="m")
    shown = [
        remote_ref("image", put(provider, "/photo", png())),
        remote_ref("video", put(provider, "/film", FILM)),
        remote_ref("audio", put(provider, "/sound", SOUND)),
    ]
    for text, media in (("What is it?", shown), ("Sure?", [])):
        await runtime.runner.run(await say(front, chat, text, *media))
    assert sorted(paths(provider)) == ["/film", "/photo", "/sound", "/v1/chat/completions", "/v1/chat/completions"]
    first, second = (exchange.json["messages"] for exchange in provider.exchanges if exchange.path.startswith("/v1"))
    assert (second[0], [part["type"] for part in first[0]["content"]]) == (
        first[0],
        ["text", "image_url", "video_url", "input_audio"],
    )
    kept = (await front.chats.messages(LOCAL_OWNER, chat.id))[0].media
    stored = dict(await bench.rows("select 'image', id from image union select kind, id from media"))
    assert kept == [
        media_ref("image", stored["image"]) | {"url": f"{provider.url}/photo"},
        media_ref("video", stored["video"]) | {"url": f"{provider.url}/film"},
        media_ref("audio", stored["audio"]) | {"url": f"{provider.url}/sound"},
    ]
    assert await bench.rows("select count(*) from image where ready_at is null") == [(0,)]
    assert await bench.rows("select count(*) from media where ready_at is null") == [(0,)]


async def test_a_turn_that_could_not_fetch_fails_and_the_next_one_is_not_told_of_it(
    front: Front, bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    chat, _ = await front.chats.create(LOCAL_OWNER, NewChat(origin=Origin.CHATS, title="Tea", model=MODEL))
    url = put(provider, "/photo", b"", status=503)
    job_id = await say(front, chat, "What is it?", remote_ref("image", url))
    await runtime.runner.run(job_id)
    error = (await bench.ended(job_id)).reply.error
    assert error is not None
    assert (error.code, error.detail) == ("media_refused", f"{OUTSIDE} answered with status 503.")
    await runtime.runner.run(await say(front, chat, "And without?"))
    assert provider.exchanges[-1].json["messages"] == [{"role": "user", "content": "And without?"}]
    assert [message.media for message in await front.chats.messages(LOCAL_OWNER, chat.id)] == [
        [remote_ref("image", url)],
        [],
        [],
    ]
