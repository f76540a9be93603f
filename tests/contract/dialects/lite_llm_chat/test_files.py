"""Files in messages and answers: the caller's own, by their paths; nothing else is opened, fetched or shown."""

import base64

import pytest

from shared.settings import Settings
from tests.contract.dialects.lite_llm_chat.rig import API, Rig, owners_of, said, settings_with, system_with, text_of
from tests.images import photo
from tests.media import mp4, wav
from tests.scripted_provider import ScriptedProvider, openai_stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALIEN = "01a1ff66-c25e-7c1e-8876-a9da210a2ad5"


def data_url(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@pytest.mark.covers("F003-29", "F003-33")
async def test_an_uploaded_image_is_shown_to_the_model_and_back_to_its_owner(rig: Rig) -> None:
    url = await rig.uploaded(photo(), name="../../cat.html")
    assert url.startswith("/uploads/")
    assert url.endswith(".jpg")
    served = await rig.client.get(url)
    assert (served.status_code, served.headers["content-type"]) == (200, "image/jpeg")
    assert served.headers["x-content-type-options"] == "nosniff"
    events = await rig.chat(messages=[{"role": "user", "content": "What is it?", "images": [url]}])
    text, image = rig.sent()["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")
    session_id = events[0]["session_id"]
    message = (await rig.session(session_id))["messages"][0]
    assert (message["images"], message["videos"], message["audios"]) == ([url], None, None)
    await rig.chat("And now?", session_id=session_id)
    assert rig.sent()["messages"][0]["content"] == [text, image]


@pytest.mark.covers("F003-30", "F003-31")
async def test_videos_and_recordings_are_kept_and_shown_with_the_message(rig: Rig) -> None:
    video, sound = await rig.uploaded(mp4(), name="a.mp4"), await rig.uploaded(wav(), name="a.wav")
    asked = {"provider": "demo", "model": "demo"}
    shows = {"role": "user", "content": "What is it?", "videos": [video], "audios": [sound], "images": []}
    events = await rig.chat(messages=[shows], **asked)
    assert "and sent 1 video, 1 recording" in text_of(events)
    message = (await rig.session(events[0]["session_id"]))["messages"][0]
    assert (message["images"], message["videos"], message["audios"]) == (None, [video], [sound])
    for url, media_type in ((video, "video/mp4"), (sound, "audio/wav")):
        served = await rig.client.get(url, headers={"Range": "bytes=0-3"})
        assert (served.status_code, served.headers["content-type"]) == (206, media_type)
    swapped = {"role": "user", "content": "Again", "images": [video]}
    events = await rig.chat(messages=[swapped], **asked)
    message = (await rig.session(events[0]["session_id"]))["messages"][0]
    assert (message["images"], message["videos"]) == (None, [video])


async def test_a_data_url_is_stored_first_and_shown_as_an_upload(rig: Rig) -> None:
    events = await rig.chat(messages=[{"role": "user", "content": "", "images": [data_url(photo(), "image/gif")]}])
    assert events[-1] == {"done": True}
    (image,) = rig.sent()["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")
    (url,) = (await rig.session(events[0]["session_id"]))["messages"][0]["images"]
    assert (await rig.client.get(url)).status_code == 200


@pytest.mark.covers("F003-34")
async def test_what_is_no_upload_of_the_callers_is_refused_where_it_stands(rig: Rig) -> None:
    theirs = await rig.uploaded(photo(), client=rig.other)
    wrong = [
        theirs,
        f"/uploads/{ALIEN}.png",
        "/uploads/../.env",
        "/uploads/%2e%2e/.env",
        f"/uploads/{ALIEN}.png/../../.env",
        f"/uploads/{ALIEN}.html",
        f"http://127.0.0.1/uploads/{ALIEN}.png",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "data:text/html,<script>",
        "",
    ]
    refused = await rig.client.post(f"{API}/chat", json=said(images=wrong))
    assert refused.status_code == 422
    assert [fault["loc"] for fault in refused.json()["detail"]] == [
        ["body", "messages", 0, "images", position] for position in range(len(wrong))
    ]
    for position, is_fetchable in ((6, True), (7, True), (8, False)):
        assert (
            "its setting SMARTSIP_FETCH_REMOTE_MEDIA is off" in refused.json()["detail"][position]["msg"]
        ) is is_fetchable
    mine = await rig.uploaded(photo())
    mixed = said(images=[mine], videos=[theirs], audios=["x"])
    refused = await rig.client.post(f"{API}/chat", json=mixed)
    assert [fault["loc"] for fault in refused.json()["detail"]] == [
        ["body", "messages", 0, "videos", 0],
        ["body", "messages", 0, "audios", 0],
    ]
    broken = {"data:image/png;base64,$$$$": 422, data_url(b"<html>", "image/png"): 415, data_url(b"", "image/png"): 422}
    for url, status in broken.items():
        refused = await rig.client.post(f"{API}/chat", json=said(images=[mine, url]))
        assert refused.status_code == status
        assert "messages.0.images.1" in refused.text or '["body","messages",0,"images",1]' in refused.text
    for path in (theirs, f"/uploads/{ALIEN}.png", "/uploads/x.png", "/uploads/", "/uploads/..%2f.env", "/uploads/a/b"):
        answer = await rig.client.get(path)
        assert (answer.status_code, set(answer.json())) == (404, {"detail"}), path
    assert (await rig.other.get(theirs)).status_code == 200
    assert await rig.sessions() == []
    assert rig.provider.exchanges == []


async def test_a_url_is_left_to_a_worker_where_the_setting_says_so(settings: Settings) -> None:
    with ScriptedProvider() as provider:
        changed = settings_with(settings, provider).model_copy(update={"fetch_remote_media": True})
        async with system_with(changed, provider) as system, owners_of(system) as rig:
            wrong = said(images=["https://me:key@example.com/"], videos=["http://"], audios=["file:///a"])
            refused = await rig.client.post(f"{API}/chat", json=wrong)
            assert [(fault["loc"][3], fault["msg"].partition(",")[0]) for fault in refused.json()["detail"]] == [
                ("images", "A URL has no user and no password"),
                ("videos", "A URL names a host"),
                ("audios", "Input should be the path of an upload"),
            ]
            shown = {"images": ["http://localhost/a.png"], "videos": ["http://localhost/b.mp4"]}
            opened, failed = await rig.chat(messages=[{"role": "user", "content": "Look"} | shown])
            assert failed == {"error": "Error: localhost has no address that may be called: only public ones are."}
            message = (await rig.session(opened["session_id"]))["messages"][0]
            assert {name: message[name] for name in shown} == shown
            assert [exchange.method for exchange in provider.exchanges if exchange.method == "POST"] == []


@pytest.mark.covers("F003-34")
async def test_an_upload_is_what_its_content_is_and_no_page(rig: Rig) -> None:
    for content in (b"<!doctype html><script>1</script>", b"<svg onload='x'/>", b"%PDF-1.7"):
        refused = await rig.client.post(f"{API}/upload", files={"file": ("cat.png", content, "image/png")})
        assert refused.status_code == 415
        assert refused.json()["detail"].startswith("file: This is ")
    empty = await rig.client.post(f"{API}/upload", files={"file": ("cat.png", b"", "image/png")})
    missing = await rig.client.post(f"{API}/upload", files={"picture": ("cat.png", photo(), "image/png")})
    for answer in (empty, missing):
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "file"])
    broken = await rig.client.post(
        f"{API}/upload", content=b"--x\r\nnonsense", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert (broken.status_code, set(broken.json())) == (422, {"detail"})


@pytest.mark.covers("F003-35")
async def test_images_of_an_answer_are_uploads_wherever_it_is_read(rig: Rig) -> None:
    reference = f"![cat]({data_url(photo(), 'image/jpeg')})"
    cut = len(reference) // 2
    rig.provider.play(openai_stream(["Here: ", reference[:cut], reference[cut:], " and http://elsewhere/a.png"]))
    events = await rig.chat()
    text = text_of(events)
    before, _, rest = text.partition("![cat](")
    url, _, after = rest.partition(")")
    assert (before, after) == ("Here: ", " and http://elsewhere/a.png")
    served = await rig.client.get(url)
    assert (served.status_code, served.headers["content-type"]) == (200, "image/jpeg")
    assert url.endswith(".jpg")
    message = (await rig.session(events[0]["session_id"]))["messages"][1]
    assert (message["content"], message["images"]) == (text, None)
    assert (await rig.whole()).json()["message"]["content"] == text
