"""Videos and recordings on their way to a model: loaded for their owner only, and never unseen."""

import base64
import hashlib
from uuid import UUID

import pytest

from shared.domain.commands import (
    AudioPart,
    CalledTool,
    ChatInput,
    InlineAudio,
    JobSpec,
    Message,
    Parameters,
    Part,
    StoredMedia,
    TextPart,
    VideoPart,
)
from shared.domain.events import Reply
from shared.domain.ids import LOCAL_OWNER, OwnerId, uuid7
from shared.domain.jobs import Kind, State
from shared.domain.media import media_key
from shared.settings import ProviderEndpoint, Settings
from tests.integration.workers.bench import Bench
from tests.media import mp4, wav
from tests.scripted_provider import ScriptedProvider
from workers.runtime import Runtime
from workers.services.media.load_media import MAX_MEDIA_BYTES

VIDEO, RECORDING = mp4(), wav()


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    """With a server of our own besides: one that is sent whatever there is."""
    own = {"own": ProviderEndpoint(base_url=provider.openai_url)}
    return settings.model_copy(update={"providers": settings.providers | own})


async def store(
    bench: Bench,
    content: bytes,
    media_type: str = "video/mp4",
    *,
    ready: bool = True,
    size_bytes: int | None = None,
    owner_id: OwnerId = LOCAL_OWNER,
) -> StoredMedia:
    """Store a file as an upload does."""
    sha256, media_id = hashlib.sha256(content).digest(), uuid7()
    key = media_key(owner_id, sha256, "bin")
    await bench.objects.put(key, content, media_type=media_type)
    await bench.rows(
        "insert into media (id, owner_id, kind, sha256, media_type, size_bytes, object_key, ready_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, case when %s then now() end)",
        *(media_id, owner_id, media_type.partition("/")[0], sha256, media_type),
        *(len(content) if size_bytes is None else size_bytes, key, ready),
    )
    return StoredMedia(id=media_id)


async def replied(bench: Bench, runtime: Runtime, *parts: Part, model: str = "own/m") -> tuple[State, Reply]:
    """Say this to a model."""
    asked = ChatInput(messages=[Message(role="user", content=list(parts))])
    job_id = await bench.accept(JobSpec(kind=Kind.CHAT, model=model, input=asked))
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    return ending.state, ending.reply


async def refusal(bench: Bench, runtime: Runtime, *parts: Part, model: str = "own/m") -> tuple[str, str | None]:
    """Say this to a model; return how that failed."""
    state, reply = await replied(bench, runtime, *parts, model=model)
    assert (state, reply.error is not None) == (State.FAILED, True)
    assert reply.error is not None
    return reply.error.code, reply.error.field


def video(stored: StoredMedia) -> VideoPart:
    return VideoPart(type="video", video=stored)


def audio(stored: StoredMedia | InlineAudio) -> AudioPart:
    return AudioPart(type="audio", audio=stored)


def inline(content: bytes) -> AudioPart:
    return audio(InlineAudio(data=base64.b64encode(content).decode(), format="wav"))


async def test_a_video_and_recordings_reach_the_model(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    shown, stored = await store(bench, VIDEO), await store(bench, RECORDING, "audio/wav", ready=False)
    parts = (TextPart(type="text", text="What?"), video(shown), audio(stored), inline(RECORDING))
    assert (await replied(bench, runtime, *parts))[0] is State.SUCCEEDED
    sound = {"type": "input_audio", "input_audio": {"data": base64.b64encode(RECORDING).decode(), "format": "wav"}}
    assert provider.exchanges[0].json["messages"][0]["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64," + base64.b64encode(VIDEO).decode()}},
        sound,
        sound,
    ]


async def test_what_cannot_be_shown_fails_by_its_reason_before_the_call(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    field = "input.messages"
    others = await store(bench, VIDEO, owner_id=await another_owner(bench))
    unknown = StoredMedia(id=UUID(int=7))
    ready, sound = await store(bench, VIDEO), await store(bench, wav(seconds=1), "audio/wav")
    broken = await store(bench, RECORDING[:-100], "audio/wav", ready=False)
    large = await store(bench, b"large", size_bytes=MAX_MEDIA_BYTES)
    assert [
        await refusal(bench, runtime, video(others)),
        await refusal(bench, runtime, video(unknown)),
        await refusal(bench, runtime, audio(ready)),
        await refusal(bench, runtime, video(sound)),
        await refusal(bench, runtime, audio(broken)),
        await refusal(bench, runtime, inline(RECORDING[:-100])),
        await refusal(bench, runtime, inline(b"<html>")),
        await refusal(bench, runtime, video(large), video(ready)),
        await refusal(bench, runtime, video(ready), model="openai/m"),
        await refusal(bench, runtime, video(ready), model="ollama/m"),
    ] == [
        ("not_found", field),
        ("not_found", field),
        ("unsupported_media_type", field),
        ("unsupported_media_type", field),
        ("media_refused", field),
        ("media_refused", field),
        ("unsupported_media_type", field),
        ("payload_too_large", field),
        ("unsupported_media_type", field),
        ("unsupported_media_type", field),
    ]
    assert provider.exchanges == []


async def test_a_conversation_with_tools_reaches_the_model(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    call = CalledTool(id="call_1", name="pour", arguments="{}")
    asked = ChatInput(
        messages=[
            Message(role="user", content="Pour."),
            Message(role="assistant", content="", tool_calls=[call]),
            Message(role="tool", content="done", tool_call_id="call_1"),
        ]
    )
    tool = {"type": "function", "function": {"name": "pour"}}
    spec = JobSpec(kind=Kind.CHAT, model="own/m", input=asked, parameters=Parameters(tools=[tool]))
    job_id = await bench.accept(spec)
    await runtime.runner.run(job_id)
    assert (await bench.ended(job_id)).state is State.SUCCEEDED
    sent = provider.exchanges[0].json
    assert sent["tools"] == [tool]
    assert sent["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "pour", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "done", "tool_call_id": "call_1"},
    ]


async def another_owner(bench: Bench) -> OwnerId:
    rows = await bench.rows("insert into owner (name) values ('somebody else') returning id")
    return OwnerId(rows[0][0])
