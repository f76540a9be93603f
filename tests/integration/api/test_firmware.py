"""The fielded firmware's two requests, byte by byte over raw sockets, on this machine and without a device."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.domain.dispense import SAFE
from shared.domain.errors import ProviderAuth
from shared.settings import Settings
from tests.firmware import Answer, Device
from tests.images import bomb, cut_off, html_page, photo
from tests.integration.api.devices import new_device
from tests.integration.api.fielded import ANSWER, NAME, NOTHING, fielded, firmware_settings
from tests.integration.api.photo_runner import CUP, PhotoRunner, payload_of
from tests.served import Served, served


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(firmware_settings(settings)) as running:
        yield running


@pytest.fixture
async def runner(api: Served) -> AsyncIterator[PhotoRunner]:
    async with PhotoRunner(api.front) as running:
        yield running


@pytest.fixture
def device(api: Served) -> Device:
    return Device(api.url)


@pytest.mark.covers("F000-02", "F000-07", "F000-12", "F000-21", "F000-24")
async def test_a_touch_becomes_the_command_of_the_document(device: Device, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next())
    answer = await device.touch(NAME, photo())
    await answering
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, ANSWER, str(len(ANSWER)))
    assert "transfer-encoding" not in answer.headers
    assert "content-encoding" not in answer.headers
    assert "date" in answer.headers
    assert [frame.hex() for frame in answer.frames] == ["69995e130a"]


async def test_the_job_asks_about_the_stored_photo(device: Device, runner: PhotoRunner, api: Served):
    answering = asyncio.create_task(runner.answer_next())
    await device.touch(NAME, photo(), llm_type="demo", model="demo")
    job = payload_of(await answering)
    image = (await api.client.get(f"/v2/images/{job['input']['image']['id']}")).json()
    assert (job["kind"], job["model"], image["size_bytes"]) == ("vision", "demo/demo", len(photo()))


async def test_a_photo_without_a_cup_moves_nothing(device: Device, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next(SAFE))
    answer = await device.touch(NAME, photo())
    await answering
    assert (answer.status, answer.body, answer.frames) == (200, NOTHING, [])


async def test_an_early_failure_keeps_its_status_and_tells_no_secret(device: Device, runner: PhotoRunner):
    failing = asyncio.create_task(runner.fail_next(ProviderAuth("key sk-1234567890 was refused").info()))
    answer = await device.touch(NAME, photo())
    await failing
    assert (answer.status, answer.body) == (502, b"error msg: The provider refused the configured credential")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.frames == []


async def test_a_device_that_asks_again_does_not_buy_again(device: Device, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next())
    first = await device.touch(NAME, photo())
    await answering
    again = await device.ask(f"/{NAME}")
    assert (first.body, again.body) == (ANSWER, ANSWER)
    assert len(await runner.jobs()) == 1


async def test_two_requests_at_once_are_one_job(device: Device, runner: PhotoRunner):
    await device.put(NAME, photo())
    answering = asyncio.create_task(runner.answer_next())
    answers = await asyncio.gather(device.ask(f"/{NAME}"), device.ask(f"/{NAME}"))
    await answering
    assert [answer.body for answer in answers] == [ANSWER, ANSWER]
    assert len(await runner.jobs()) == 1


async def test_a_new_photo_under_the_same_name_is_a_new_touch(device: Device, runner: PhotoRunner):
    images: list[str] = []
    for seed in (1, 2):
        answering = asyncio.create_task(runner.answer_next())
        assert (await device.touch("image_000001.jpg", photo(seed=seed))).body == ANSWER
        images.append(payload_of(await answering)["input"]["image"]["id"])
    assert len(set(images)) == len(await runner.jobs()) == 2


async def test_another_model_is_a_new_touch_and_another_name_of_the_same_photo_is_not(
    device: Device, runner: PhotoRunner
):
    jobs: list[int] = []
    for name, model in (("a.jpg", "demo"), ("b.jpg", "demo"), ("b.jpg", "demo:large")):
        answering = asyncio.create_task(runner.answer_next())
        assert (await device.touch(name, photo(), llm_type="demo", model=model)).body == ANSWER
        jobs.append(len(await runner.jobs()))
        answering.cancel()
    assert jobs == [1, 1, 2]


async def test_where_the_devices_provider_is_not_configured_the_default_model_answers(
    device: Device, runner: PhotoRunner
):
    answering = asyncio.create_task(runner.answer_next())
    await device.touch(NAME, photo(), llm_type="ollama", model="llama3.2-vision:90b")
    assert payload_of(await answering)["model"] == "demo/demo"


@pytest.mark.covers("F000-08", "F000-09", "F000-10")
@pytest.mark.parametrize(
    ("query", "status", "line"),
    [
        ("", 400, "empty image name"),
        ("?llm_type=&image_name=&model=", 400, "empty image name"),
        ("?llm_type=bad&image_name=x.jpg", 400, "invalid llm type"),
        ("?image_name=../secret.jpg", 400, "invalid image name"),
        ("?image_name=%2e%2e%2fsecret.jpg", 400, "invalid image name"),
        ("?image_name=unknown.jpg", 404, "no such image"),
        ("?image_name=x.jpg&model=%00", 400, "invalid model"),
    ],
)
async def test_a_query_that_cannot_be_answered_is_refused_in_the_old_words(
    api: Served, runner: PhotoRunner, query: str, status: int, line: str
):
    answer = await api.stranger.post(f"/smartsip/upload{query}", headers={"Host": "localhost"})
    assert (answer.status_code, answer.text) == (status, f"error msg: {line}")
    assert await runner.jobs() == []


async def test_the_same_photo_again_gives_two_hundred_and_one_image(device: Device, api: Served):
    first, second = await device.put("a.jpg", photo()), await device.put("b.jpg", photo())
    assert (first.status, second.status, first.body) == (200, 200, b"")
    assert first.headers["etag"] == second.headers["etag"]


PUT_HEAD = "PUT /test/a.jpg HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        pytest.param(PUT_HEAD + "Transfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", 411, id="no length"),
        pytest.param(PUT_HEAD + "Content-Length: 1048577\r\n\r\n", b"", 413, id="over a megabyte"),
        pytest.param(PUT_HEAD + "Content-Length: 900000000\r\n\r\n", b"", 413, id="900 megabytes"),
        pytest.param(PUT_HEAD + "Content-Length: 0\r\n\r\n", b"", 422, id="nothing"),
        pytest.param(PUT_HEAD.replace("a.jpg", "../a.jpg") + "Content-Length: 3\r\n\r\n", b"abc", 400, id="dots"),
        pytest.param(PUT_HEAD.replace("a.jpg", "b/a.jpg") + "Content-Length: 3\r\n\r\n", b"abc", 400, id="a slash"),
        pytest.param(
            PUT_HEAD.replace("a.jpg", "%2e%2e%2fa.jpg") + "Content-Length: 3\r\n\r\n", b"abc", 400, id="coded"
        ),
    ],
)
async def test_a_put_that_cannot_be_taken_is_refused_in_plain_text(
    device: Device, runner: PhotoRunner, head: str, body: bytes, status: int
):
    answer = await device.send(head.encode() + body)
    assert (answer.status, answer.body[:11], answer.frames) == (status, b"error msg: ", [])
    assert (await device.ask("/a.jpg")).status == 404


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(html_page(), 415, id="HTML named .jpg"),
        pytest.param(cut_off(photo()), 422, id="a truncated JPEG"),
        pytest.param(bomb(), 413, id="a 50-megapixel bomb"),
    ],
)
async def test_a_hostile_photo_is_refused_and_nothing_is_stored(device: Device, content: bytes, status: int):
    refused = await device.put(NAME, content)
    assert (refused.status, refused.body[:11]) == (status, b"error msg: ")
    assert (await device.ask(f"/{NAME}")).status == 404


async def test_half_a_put_stores_nothing(device: Device, api: Served):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    writer.write(PUT_HEAD.encode() + f"Content-Length: {len(photo())}\r\n\r\n".encode() + photo()[:1000])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    assert (await device.ask("/a.jpg")).status == 404


async def test_another_method_is_refused_in_plain_text(api: Served):
    answer = await api.stranger.get("/smartsip/upload?image_name=a.jpg")
    assert (answer.status_code, answer.text, answer.headers["allow"]) == (405, "error msg: method not allowed", "POST")
    other = await api.stranger.post("/smartsip/other")
    assert (other.status_code, other.text) == (404, "error msg: not found")


async def test_another_bucket_and_other_paths_are_none_of_the_firmwares(api: Served):
    other_bucket = await api.client.put("/other/a.jpg", content=photo())
    keys = await api.client.put("/v2/keys", json={})
    assert (other_bucket.status_code, keys.status_code) == (404, 405)
    assert keys.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "smartsip.example.org"},
        {"Host": "127.0.0.1.nip.io"},
        {"Host": "localhost", "X-Forwarded-For": "127.0.0.1"},
        {"Host": "localhost", "Forwarded": "for=127.0.0.1"},
        {"Host": "localhost", "Via": "1.1 proxy"},
        {"Host": "localhost", "Origin": "http://evil.example.org"},
        {"Host": "localhost", "Origin": "null"},
    ],
    ids=str,
)
async def test_open_lets_in_nothing_that_came_from_elsewhere(api: Served, headers: dict[str, str]):
    put = await api.stranger.put("/test/a.jpg", content=photo(), headers=headers)
    ask = await api.stranger.post("/smartsip/upload?image_name=a.jpg", headers=headers)
    assert (put.status_code, ask.status_code) == (401, 401)
    assert ask.text.startswith("error msg: ")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8888", "127.0.0.1:8888", "[::1]:8888"])
async def test_open_lets_in_this_machine_by_its_names(api: Served, host: str):
    assert (await api.stranger.put("/test/a.jpg", content=photo(), headers={"Host": host})).status_code == 200


async def test_open_lets_in_a_listed_origin(settings: Settings):
    origin = "http://localhost:5173"
    async with served(firmware_settings(settings, allowed_origins=(origin,))) as api:
        put = await api.stranger.put("/test/a.jpg", content=photo(), headers={"Origin": origin})
        assert put.status_code == 200


async def test_token_wants_a_devices_token(settings: Settings):
    async with served(firmware_settings(settings, firmware_access="token")) as api:
        made = await api.client.post("/v2/keys", json={"name": "an app", "scopes": ["jobs", "images"]})
        key = made.json()["secret"]
        answers: dict[str, Answer] = {
            "none": await Device(api.url).put(NAME, photo()),
            "an app's key": await Device(f"{api.url}/d/{key}").put(NAME, photo()),
            "mistyped": await Device(f"{api.url}/d/{key[:-1]}").put(NAME, photo()),
            "the administrator's": await Device(f"{api.url}/d/{settings.admin_token.get_secret_value()}").put(
                NAME, photo()
            ),
        }
        assert {name: answer.status for name, answer in answers.items()} == {
            "none": 401,
            "an app's key": 403,
            "mistyped": 401,
            "the administrator's": 401,
        }
        assert all(answer.body.startswith(b"error msg: ") for answer in answers.values())


async def test_off_is_not_found(settings: Settings):
    async with served(firmware_settings(settings, firmware_access="off")) as api:
        device = fielded(api, await new_device(api))
        assert (await device.put(NAME, photo())).status == 404
        assert (await Device(api.url).ask(f"/{NAME}")).status == 404


def test_the_command_used_here_is_the_documents():
    assert (CUP.volume, CUP.degree, CUP.type) == (200, 80, "cup")
