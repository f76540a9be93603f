"""Whole sessions of the old system's two clients, played by doubles of them."""

import pytest

from tests.contract.dialects.lite_llm_chat.clients import TerminalClient, WebPage
from tests.contract.dialects.lite_llm_chat.rig import API, PAGE, Rig
from tests.images import photo
from tests.media import mp4
from tests.scripted_provider import answer, openai_stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = "Hello from the script."


@pytest.mark.covers("F003-59")
async def test_the_terminal_client_has_a_whole_session(rig: Rig) -> None:
    terminal = TerminalClient(str(rig.client.base_url))
    await terminal.start()
    assert (terminal.model.provider, terminal.model.id) == ("deepseek", "deepseek-chat")
    assert await terminal.say("Hello there") == HELLO
    (session,) = await terminal.sessions()
    assert (session.title, session.message_count) == (HELLO, 2)
    terminal.is_streaming = False
    assert await terminal.say("again") == HELLO
    assert rig.sent_words() == [("user", "Hello there"), ("assistant", HELLO), ("user", "again")]
    assert [model.id for model in await terminal.models_of("deepseek")] == ["deepseek-chat", "deepseek-reasoner"]
    await terminal.switch("demo", "demo")
    assert "not a model" in await terminal.say("who are you?")
    await terminal.rename("Greetings")
    loaded = await terminal.load(session.id)
    assert (loaded.title, loaded.provider, loaded.message_count) == ("Greetings", "demo", 6)
    assert [role for role, _, _ in loaded.messages] == ["user", "assistant"] * 3
    await terminal.switch("deepseek", "deepseek-chat")
    terminal.is_streaming = True
    rig.provider.play(answer("busy", status=400))
    assert await terminal.say("fail") == "Error: deepseek answered 400: busy"
    await terminal.new()
    assert len(await terminal.sessions()) == 2
    await terminal.delete(session.id)
    assert len(await terminal.sessions()) == 1
    await terminal.delete()
    assert await terminal.sessions() == []
    await terminal.close()


@pytest.mark.covers("F003-54", "F003-60")
async def test_the_web_page_sends_refetches_edits_and_uploads(rig: Rig) -> None:
    page = WebPage(str(rig.client.base_url).rstrip("/"), origin=PAGE)
    for method, path in (("DELETE", f"{API}/sessions/1"), ("PATCH", f"{API}/sessions/1"), ("POST", f"{API}/chat")):
        allowed = await page.preflight(method, path)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, PAGE)
        assert method in allowed.headers["access-control-allow-methods"]
    await page.load()
    assert (page.provider, page.model) == ("deepseek", "deepseek-chat")
    url = await page.attach("cat.png", photo(), "image/png")
    rig.provider.play(openai_stream(["It ", "is ", "a cat."], reasoning=["hm"]))
    await page.send("What is this animal, and what does it want from me, please?", images=[url])
    assert page.displayed == "It is a cat."
    assert [(message["role"], message["content"]) for message in page.messages][1:] == [("assistant", "It is a cat.")]
    assert page.messages[0]["images"] == [url]
    assert page.messages[1]["thought_process"] == "hm"
    assert [session["title"] for session in page.sessions] == ["What is this animal, and what does it want from me"]
    assert (await page.media(url)).status_code == 200
    await page.send("And?")
    assert len(page.messages) == 4
    await page.edit(page.messages[0], "What is this?")
    assert [message["content"] for message in page.messages] == ["What is this?", "It is a cat."]
    assert page.messages[0]["images"] == [url]
    film = await page.attach("film.mp4", mp4(), "video/mp4")
    page.provider, page.model = "demo", "demo"
    await page.send("", videos=[film])  # attachments alone
    assert page.messages[2]["videos"] == [film]
    page.provider, page.model = "deepseek", "deepseek-chat"
    rig.provider.play(answer("busy", status=400))
    await page.send("Fail")
    assert [message["role"] for message in page.messages[-1:]] == ["user"]
    assert (await page.rename("Cats"))["title"] == "Cats"
    await page.remove()
    assert (await rig.sessions()) == []
    await page.close()
