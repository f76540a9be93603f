"""Media that callers name by URL: taken by form where the setting allows them, refused by field where it does not."""

from typing import Any, Final

import pytest

from shared.settings import Settings
from tests.integration.api.chats import chatting_with
from tests.integration.api.jobs import CHAT
from tests.scripted_provider import ScriptedProvider
from tests.served import served

URL: Final = "https://example.com/photo.jpg"
INSIDE: Final = "http://localhost/photo.jpg"
OFF: Final = "this server fetches nothing from elsewhere: its setting SMARTSIP_FETCH_REMOTE_MEDIA is off"


def job(kind: str, url: str) -> dict[str, Any]:  # JSON
    parts = [{"type": "text", "text": "Look"}, {"type": kind, kind: {"url": url}}]
    return CHAT | {"model": "openai/scripted", "input": {"messages": [{"role": "user", "content": parts}]}}


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
async def test_nothing_is_taken_from_elsewhere_unless_the_setting_says_so(settings: Settings, kind: str):
    async with served(settings) as api:
        submitted = await api.client.post("/v2/jobs", json=job(kind, URL) | {"model": "demo/demo"})
        chat = (await api.client.post("/v2/chats", json={})).headers["location"]
        said = await api.client.post(f"{chat}/messages", json={"text": "Look", f"{kind}s": [URL]})
        place = f"input.messages.0.content.1.{kind}.url"
        for answer, field in ((submitted, place), (said, f"{kind}s.0")):
            problem = answer.json()
            assert (answer.status_code, problem["field"], problem["detail"]) == (422, field, OFF)


async def test_where_it_does_the_form_is_checked_here_and_the_address_by_the_worker(settings: Settings):
    settings = settings.model_copy(update={"fetch_remote_media": True})
    with ScriptedProvider() as provider:
        async with chatting_with(settings, provider) as chatting:
            client = chatting.api.client
            for url, words in (
                ("https://me:secret@example.com/a", "has no user and no password"),
                ("ftp://example.com/a", "begins with https:// or http://"),
                ("https://example.com/\0", "has no blanks and no control characters"),
                ("https://example.com/" + "a" * 2000, "2000 characters"),
            ):
                answer = await client.post("/v2/jobs", json=job("video", url))
                problem = answer.json()
                assert (answer.status_code, problem["field"]) == (422, "input.messages.0.content.1.video.url")
                assert words in problem["detail"]
                assert "secret" not in answer.text
            submitted = await client.post("/v2/jobs", json=job("image", INSIDE))
            assert submitted.status_code == 202
            await chatting.run(submitted.json()["id"])
            failed = (await client.get(f"/v2/jobs/{submitted.json()['id']}")).json()
            assert (failed["state"], failed["error"]["code"], failed["error"]["detail"]) == (
                "failed",
                "media_refused",
                "localhost has no address that may be called: only public ones are.",
            )
            chat = await chatting.new()
            turn = await chatting.answered(chat, "Look", images=[INSIDE], videos=[URL])
            assert (turn["state"], turn["error"]["code"]) == ("failed", "media_refused")
            (message,) = await chatting.messages(chat)
            assert (message["images"], message["videos"]) == ([{"id": None, "url": INSIDE}], [{"id": None, "url": URL}])
            wrong = await client.post(f"{chat}/messages", json={"audios": [URL, "https://a b"]})
            assert (wrong.status_code, wrong.json()["field"]) == (422, "audios.1")
        assert provider.exchanges == []
