"""What Ark is sent for pictures and films, and how its answers are read; whatever it sends, reading does not crash."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import OrderCancelled, OrderExpired
from shared.domain.events import Usage
from workers.providers.base import GeneratedImage, PromptImage
from workers.providers.studio.ark_wire import (
    calls_for,
    image_remarks,
    images_to_wire,
    makes,
    order_id_of,
    read_order,
    video_remarks,
    video_to_wire,
)
from workers.providers.studio.base import ImagesAsked, Ordered, OrderState, VideoAsked
from workers.providers.studio.wire import Failed, Pictures, read_pictures

SEEDREAM = "doubao-seedream-4-5-251128"
SEEDANCE = "doubao-seedance-1-5-pro-251215"
CUP, JUG, POT = (PromptImage(name, "image/png") for name in (b"cup", b"jug", b"pot"))

names = st.sampled_from(
    (
        *("data", "images", "url", "b64_json", "error", "usage", "status", "id", "content", "video_url"),
        *("code", "message", "output_tokens", "completion_tokens"),
    )
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def url_of(image: PromptImage) -> str:
    return f"data:{image.media_type};base64,{base64.b64encode(image.content).decode()}"


def sent(wire: dict[str, Any]) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(wire))


def pictures(model: str = SEEDREAM, **asked: Any) -> ImagesAsked:
    return ImagesAsked(model=model, prompt="A cup", **asked)


def film(*images: PromptImage, model: str = SEEDANCE, **asked: Any) -> VideoAsked:
    return VideoAsked(model=model, prompt="Tea is poured", images=images, **asked)


def lost(asked: ImagesAsked | VideoAsked) -> list[str]:
    notes = image_remarks(asked) if isinstance(asked, ImagesAsked) else video_remarks(asked)
    assert {note.code for note in notes} <= {"parameter_dropped"}
    return [note.text.partition(":")[0] for note in notes]


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (SEEDREAM, "images"),
        (SEEDANCE, "video"),
        ("Doubao-SeeDream-5-0", "images"),
        ("doubao-seed-1-6-251015", "answer"),
        ("ep-20261121-abcde", "answer"),
    ],
)
def test_a_models_name_tells_what_it_makes(model: str, what: str) -> None:
    assert makes(model) == what


def test_the_smallest_wish_for_pictures_sends_nothing_that_was_not_said() -> None:
    assert sent(images_to_wire(pictures())) == {"model": SEEDREAM, "prompt": "A cup", "response_format": "b64_json"}


@pytest.mark.parametrize(
    ("asked", "members"),
    [
        ({"size": "2K"}, {"size": "2K"}),
        ({"options": {"size": "2048x2048"}}, {"size": "2048x2048"}),
        ({"size": "4K", "options": {"size": "2K"}}, {"size": "4K"}),
        ({"options": {"watermark": False}}, {"watermark": False}),
        ({"options": {"guidance_scale": 2.5}}, {"guidance_scale": 2.5}),
        ({"options": {"prompt_optimize_mode": "fast"}}, {"optimize_prompt_options": {"mode": "fast"}}),
        ({"options": {"sequential_image_generation": "disabled"}}, {"sequential_image_generation": "disabled"}),
        (
            {"options": {"sequential_image_generation": "auto", "max_images": 3}},
            {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 3}},
        ),
        (
            {"n": 4, "options": {"sequential_image_generation": "auto"}},
            {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 4}},
        ),
        ({"model": "doubao-seedream-3-0-t2i-250415", "seed": 7}, {"seed": 7}),
        ({"images": (CUP,)}, {"image": url_of(CUP)}),
        ({"images": (CUP, JUG)}, {"image": [url_of(CUP), url_of(JUG)]}),
    ],
)
def test_what_seedream_knows_is_sent_where_it_takes_it(asked: dict[str, Any], members: dict[str, Any]) -> None:
    whole = pictures(**asked)
    assert sent(images_to_wire(whole)) == {
        "model": whole.model,
        "prompt": "A cup",
        "response_format": "b64_json",
        **members,
    }
    assert image_remarks(whole) == []


def test_what_seedream_does_not_know_is_left_out_and_told() -> None:
    options: dict[str, object] = {
        "model": "another",
        "prompt": "another",
        "response_format": "url",
        "watermark": "yes",
        "max_images": 3,
        "stream": True,
        "thinking": True,
    }
    asked = pictures(options=options, seed=7, aspect_ratio="16:9")
    assert images_to_wire(asked) == images_to_wire(pictures())
    assert sorted(lost(asked)) == sorted([*options, "seed", "aspect_ratio"])


def test_each_picture_is_a_call_unless_they_belong_together() -> None:
    together = {"sequential_image_generation": "auto"}
    assert [calls_for(pictures()), calls_for(pictures(n=3)), calls_for(pictures(n=3, options=together))] == [1, 3, 1]


@pytest.mark.parametrize(
    ("images", "roles"),
    [
        ((), []),
        ((CUP,), ["first_frame"]),
        ((CUP, JUG), ["first_frame", "last_frame"]),
        ((CUP, JUG, POT), ["reference_image"] * 3),
    ],
)
def test_images_of_a_film_have_the_roles_that_their_number_gives_them(
    images: tuple[PromptImage, ...], roles: list[str]
) -> None:
    assert sent(video_to_wire(film(*images)))["content"] == [
        {"type": "text", "text": "Tea is poured"},
        *(
            {"type": "image_url", "image_url": {"url": url_of(image)}, "role": role}
            for image, role in zip(images, roles, strict=True)
        ),
    ]


def test_a_film_without_words_is_made_after_its_images_alone() -> None:
    (content,) = sent(video_to_wire(VideoAsked(model=SEEDANCE, prompt="", images=(CUP,))))["content"]
    assert content["type"] == "image_url"


@pytest.mark.parametrize(
    ("asked", "members"),
    [
        (
            {"aspect_ratio": "16:9", "resolution": "720p", "duration_s": 5, "seed": 9},
            {"ratio": "16:9", "resolution": "720p", "duration": 5, "seed": 9},
        ),
        ({"options": {"ratio": "1:1", "duration": 8}, "aspect_ratio": "9:16"}, {"ratio": "9:16", "duration": 8}),
        ({"options": {"watermark": False, "camera_fixed": True}}, {"watermark": False, "camera_fixed": True}),
        ({"options": {"generate_audio": False, "draft": True}}, {"generate_audio": False, "draft": True}),
        ({"seed": -1, "options": {"camera_fixed": False}}, {}),
        ({"model": "doubao-seedance-1-0-lite-i2v-250428", "options": {"draft": False, "generate_audio": False}}, {}),
        ({"model": "ep-20261121-abcde", "options": {"generate_audio": True}}, {"generate_audio": True}),
        ({"model": "doubao-seedance-2-0-260128", "options": {"generate_audio": True}}, {"generate_audio": True}),
    ],
)
def test_what_seedance_knows_is_sent_where_it_takes_it(asked: dict[str, Any], members: dict[str, Any]) -> None:
    whole = film(**asked)
    content = [{"type": "text", "text": "Tea is poured"}]
    assert sent(video_to_wire(whole)) == {"model": whole.model, "content": content, **members}
    assert video_remarks(whole) == []


def test_what_seedance_does_not_know_is_left_out_and_told() -> None:
    options: dict[str, object] = {
        "model": "x",
        "content": [],
        "callback_url": "http://a",
        "duration": "5",
        "size": "2K",
        "draft": True,
    }
    asked = film(model="doubao-seedance-1-0-pro-250528", options=options)
    assert video_to_wire(asked) == video_to_wire(film(model="doubao-seedance-1-0-pro-250528"))
    assert lost(asked) == list(options)


def read(**members: Any) -> Pictures | None:
    return read_pictures(json.dumps(members).encode())


def test_pictures_are_read_inside_and_elsewhere_and_those_that_failed_with_their_reason() -> None:
    error = {"code": "OutputImageSensitiveContentDetected", "message": "no"}
    data = [
        {"b64_json": "Y3Vw", "size": "1x1"},
        {"b64_json": "data:image/png;base64,Y3Vw"},
        {"url": "https://a/x.png", "b64_json": None},
        {"error": error, "url": None},
        {},
        None,
        7,
    ]
    usage = {"generated_images": 3, "output_tokens": 5, "total_tokens": 5, "input_tokens": None}
    found = read(model="m", created=1, data=data, usage=usage, more={"a": None})
    assert found == Pictures(
        [
            GeneratedImage(content=b"cup"),
            GeneratedImage(content=b"cup"),
            GeneratedImage(url="https://a/x.png"),
            Failed(json.dumps({"error": error}, separators=(",", ":")).encode()),
            Failed(b'{"error":{"message":"no picture, and no reason"}}'),
        ],
        Usage(0, 5),
        None,
    )


def test_what_is_no_answer_about_pictures_is_none() -> None:
    assert [read_pictures(body) for body in (b"", b"[]", b"{}", b"<html>", b'{"data":', b"\xff")] == [None] * 6
    assert read(error={"code": "x"}) == Pictures([], None, b'{"error":{"code":"x"}}')
    assert read(data=[]) == Pictures([], None, None)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("queued", OrderState.QUEUED),
        ("running", OrderState.RUNNING),
        ("Running", OrderState.RUNNING),
        ("upscaling", OrderState.RUNNING),
        ("failed", OrderState.FAILED),
        ("succeeded", OrderState.SUCCEEDED),
    ],
)
def test_an_orders_state_is_read_and_a_new_word_is_one_on_the_way(said: str, state: OrderState) -> None:
    found = read_order(json.dumps({"id": "cgt-1", "status": said, "content": None, "error": None}).encode())
    assert found is not None
    assert found[0].state is state


def test_a_film_is_where_the_order_says_and_costs_what_it_says() -> None:
    said = {"status": "succeeded", "content": {"video_url": "https://a/v.mp4"}, "usage": {"completion_tokens": 9}}
    film = Ordered(state=OrderState.SUCCEEDED, url="https://a/v.mp4", usage=Usage(0, 9))
    assert read_order(json.dumps(said).encode()) == (film, None)
    others: list[object] = [[{"video_url": {"url": "https://a/v.mp4"}}], {"video_url": {"url": "https://a/v.mp4"}}]
    for content in others:
        assert read_order(json.dumps({**said, "content": content}).encode()) == (film, None)


def test_an_end_without_a_film_is_told_from_one_that_failed() -> None:
    ends = [read_order(json.dumps({"status": status}).encode()) for status in ("expired", "cancelled")]
    assert [type(end[0].error) for end in ends if end is not None] == [OrderExpired, OrderCancelled]
    assert read_order(b'{"error":{"code":"x"}}') is not None
    assert [read_order(body) for body in (b"", b"{}", b"[1]", b'{"status":5}')] == [None] * 4


def test_an_order_is_named_in_one_of_few_places() -> None:
    named = [{"id": "cgt-1"}, {"task_id": "cgt-1"}, {"data": {"id": "cgt-1"}}]
    assert [order_id_of(json.dumps(said).encode()) for said in named] == ["cgt-1"] * 3
    assert [order_id_of(body) for body in (b"{}", b'{"id":""}', b'{"id":7}', b'{"id":"a\\u0000"}', b"[]")] == [None] * 5


@settings(max_examples=80)
@given(st.dictionaries(names, json_values, max_size=6))
def test_reading_never_crashes(said: dict[str, Any]) -> None:
    body = json.dumps(said).encode()
    read_pictures(body)
    read_order(body)
    order_id_of(body)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=12) | names, json_values, max_size=6))
def test_no_option_overrides_what_is_ours_and_nothing_is_sent_as_null(options: dict[str, Any]) -> None:
    for wire, ours in (
        (images_to_wire(pictures(options=options)), {"model": SEEDREAM, "prompt": "A cup"}),
        (video_to_wire(film(options=options)), {"model": SEEDANCE}),
    ):
        body = sent(wire)
        assert {name: body[name] for name in ours} == ours
        assert None not in body.values()
