"""Hostile images, opened in subprocesses: what comes back, and what never does."""

import asyncio
import io
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.domain.errors import ImageRefused, InvalidRequest, PayloadTooLarge, Unavailable, UnsupportedMediaType
from shared.domain.images import sniff
from tests import images
from tests.stack import eventually
from workers.services.pictures.decode_image import ImageDecoder, PreparedImage

CHECKOUT = Path(__file__).parents[2]
TIMEOUT_S = 20.0  # far above what any image here takes, for a machine that is busy


@pytest.fixture
async def decoder() -> AsyncIterator[ImageDecoder]:
    async with ImageDecoder(processes=1) as decoder:
        yield decoder


async def _prepare(decoder: ImageDecoder, content: bytes) -> PreparedImage:
    return await decoder.prepare(content, sniff(content).media_type, timeout_s=TIMEOUT_S)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def _until_gone(pids: set[int]) -> None:
    async def are_gone() -> bool:
        return not any(map(_alive, pids))

    await eventually(are_gone, expecting="the end of the decoders")


@pytest.mark.parametrize("content", [images.photo(), images.photo() + bytes(300), images.progressive_photo()])
async def test_a_small_clean_photo_comes_back_as_it_is(decoder: ImageDecoder, content: bytes) -> None:
    assert await _prepare(decoder, content) == PreparedImage(content, "image/jpeg", 240, 240)


async def test_a_photo_is_turned_upright_and_forgets_where_it_was_taken(decoder: ImageDecoder) -> None:
    content = images.photo_with_exif()
    assert images.SECRET_PLACE.encode() in content
    prepared = await _prepare(decoder, content)
    assert (prepared.media_type, prepared.width, prepared.height) == ("image/jpeg", 160, 240)
    assert images.SECRET_PLACE.encode() not in prepared.content
    with Image.open(io.BytesIO(prepared.content)) as picture:
        assert (picture.size, dict(picture.getexif())) == ((160, 240), {})


@pytest.mark.parametrize("content", [images.photo_with_comment(), images.photo() + images.SECRET_PLACE.encode()])
async def test_nothing_but_pixels_is_passed_on(decoder: ImageDecoder, content: bytes) -> None:
    prepared = await _prepare(decoder, content)
    assert images.SECRET_PLACE.encode() not in prepared.content


@pytest.mark.parametrize(
    "content",
    [
        images.png(),
        images.png(mode="RGBA"),
        images.png(mode="P"),
        images.png(mode="L"),
        images.png(mode="1"),
        images.png(mode="I;16"),
        images.webp(),
        images.webp(lossless=True),
        images.webp_with_alpha(),
    ],
)
async def test_other_formats_are_made_anew_as_jpeg(decoder: ImageDecoder, content: bytes) -> None:
    prepared = await _prepare(decoder, content)
    assert (prepared.media_type, prepared.width, prepared.height) == ("image/jpeg", 64, 48)
    assert sniff(prepared.content).media_type == "image/jpeg"


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (images.photo(4000, 1000), (2048, 512)),
        (images.flat_photo(4096), (2048, 2048)),
        (images.bomb(3000, 3), (2048, 2)),
    ],
)
async def test_a_large_image_is_made_smaller(decoder: ImageDecoder, content: bytes, size: tuple[int, int]) -> None:
    prepared = await _prepare(decoder, content)
    assert (prepared.width, prepared.height) == size


@pytest.mark.parametrize(
    ("content", "media_type", "error", "detail"),
    [
        (
            images.with_broken_pixels(images.png()),
            "image/png",
            ImageRefused,
            "The image is broken: its pixels cannot be decoded.",
        ),
        (
            images.cut_off(images.photo()),
            "image/jpeg",
            ImageRefused,
            "The image is broken: its pixels cannot be decoded.",
        ),
        (images.photo(), "image/png", ImageRefused, "The image is broken: its pixels cannot be decoded."),
        (images.bomb(), "image/png", PayloadTooLarge, "The image has more pixels than are taken."),
        (
            images.photo(),
            "image/gif",
            UnsupportedMediaType,
            "Images are taken as JPEG, PNG or WebP, not as image/gif.",
        ),
    ],
)
async def test_what_cannot_be_decoded_is_refused_and_the_next_image_is_not(
    decoder: ImageDecoder, content: bytes, media_type: str, error: type[InvalidRequest], detail: str
) -> None:
    before = decoder.process_ids
    with pytest.raises(error) as refusal:
        await decoder.prepare(content, media_type, timeout_s=TIMEOUT_S)
    assert (refusal.value.detail, refusal.value.field) == (detail, "input.image")
    await _prepare(decoder, images.photo())
    assert decoder.process_ids == before


async def test_an_image_that_takes_too_long_is_given_up() -> None:
    async with ImageDecoder(processes=1, max_pixels=100_000_000) as decoder:
        before = decoder.process_ids
        with pytest.raises(ImageRefused) as refusal:
            await decoder.prepare(images.bomb(9000, 9000), "image/png", timeout_s=0.01)
        assert refusal.value.detail == "The image could not be decoded within 0.01 s."
        await _until_gone(before)
        assert await _prepare(decoder, images.photo())


async def test_an_image_that_takes_too_much_memory_is_given_up() -> None:
    async with ImageDecoder(processes=1, max_pixels=100_000_000, memory_bytes=256 * 1024 * 1024) as decoder:
        with pytest.raises(ImageRefused) as refusal:
            await decoder.prepare(images.huge_webp(), "image/webp", timeout_s=TIMEOUT_S)
        assert refusal.value.detail in {
            "The image needs more memory than one image may take.",
            "The image is broken: its pixels cannot be decoded.",  # libwebp does not tell why it gave up
        }
        assert await _prepare(decoder, images.photo())


async def test_many_images_at_once_come_back_each_to_its_caller() -> None:
    contents = [images.photo(seed=seed) for seed in range(50)] * 4
    async with ImageDecoder(processes=2, images_per_process=40) as decoder:
        prepared = await asyncio.gather(*(_prepare(decoder, content) for content in contents))
    assert [image.content for image in prepared] == contents


async def test_a_subprocess_is_replaced_after_its_share_of_images() -> None:
    async with ImageDecoder(processes=1, images_per_process=2) as decoder:
        seen: set[int] = set()
        for _ in range(6):
            await _prepare(decoder, images.photo())
            seen |= decoder.process_ids
    assert len(seen) in {3, 4}
    assert not any(map(_alive, seen))


async def test_a_subprocess_that_was_killed_is_replaced_without_anyone_noticing(decoder: ImageDecoder) -> None:
    (pid,) = decoder.process_ids
    os.kill(pid, signal.SIGKILL)
    assert await _prepare(decoder, images.photo())
    assert pid not in decoder.process_ids


async def test_an_image_that_kills_two_subprocesses_is_refused() -> None:
    async with ImageDecoder(processes=1, max_pixels=100_000_000) as decoder:
        deciding = asyncio.create_task(decoder.prepare(images.bomb(9000, 9000), "image/png", timeout_s=TIMEOUT_S))
        killed: set[int] = set()
        async with asyncio.timeout(10):
            while not deciding.done():
                for pid in decoder.process_ids - killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
                await asyncio.sleep(0)
        error = deciding.exception()
        assert isinstance(error, ImageRefused | Unavailable)  # the second may die before it says that it is ready
        assert await _prepare(decoder, images.photo())


async def test_a_cancelled_image_leaves_a_working_decoder(decoder: ImageDecoder) -> None:
    before = decoder.process_ids
    for turns in range(12):  # of the event loop: from waiting for a subprocess to waiting for its answer
        deciding = asyncio.create_task(_prepare(decoder, images.bomb(6000, 6000)))
        for _ in range(turns):
            await asyncio.sleep(0)
        deciding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deciding
    prepared = await asyncio.gather(*(_prepare(decoder, images.photo(seed=seed)) for seed in range(5)))
    assert [image.content for image in prepared] == [images.photo(seed=seed) for seed in range(5)]
    await _until_gone(before - decoder.process_ids)


async def test_a_closed_decoder_refuses_and_leaves_no_process() -> None:
    decoder = ImageDecoder(processes=2)
    await decoder.start()
    before = decoder.process_ids
    waiting = [asyncio.create_task(_prepare(decoder, images.photo())) for _ in range(20)]
    await asyncio.sleep(0)
    await decoder.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {PreparedImage, Unavailable}
    with pytest.raises(Unavailable):
        await _prepare(decoder, images.photo())
    assert not any(map(_alive, before | decoder.process_ids))


async def test_a_subprocess_has_no_environment_and_so_no_secret(decoder: ImageDecoder) -> None:
    (pid,) = decoder.process_ids
    assert await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_bytes) == b""


WORKER = """
import asyncio
from workers.services.pictures.decode_image import ImageDecoder

async def main():
    async with ImageDecoder(processes=2) as decoder:
        print(*decoder.process_ids, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_no_subprocess_outlives_a_killed_worker() -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    pids = {int(pid) for pid in (await worker.stdout.readline()).split()}
    assert len(pids) == 2
    worker.kill()
    await worker.wait()
    await _until_gone(pids)


SOURCES = (
    images.photo(),
    images.photo_with_exif(),
    images.progressive_photo(),
    images.png(),
    images.webp(),
    images.webp_with_alpha(),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SOURCES), st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=6))))
async def test_a_damaged_image_is_prepared_or_refused(
    decoder: ImageDecoder, content: bytes, patches: list[tuple[int, bytes]]
) -> None:
    for position, patch in patches:
        position %= len(content)
        content = content[:position] + patch + content[position + len(patch) :]
    try:
        prepared = await _prepare(decoder, content)
    except InvalidRequest:
        return
    assert max(prepared.width, prepared.height) <= 2048


async def test_two_processors_decode_far_more_than_two_hundred_photos_a_second() -> None:
    contents = [images.photo(seed=seed) for seed in range(50)] * 10
    async with ImageDecoder(processes=2) as decoder:
        started = time.perf_counter()
        await asyncio.gather(*(_prepare(decoder, content) for content in contents))
        rate = len(contents) / (time.perf_counter() - started)
    assert rate > 200, f"{rate:.0f} photos a second"
