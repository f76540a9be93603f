"""Pictures by OpenAI's images API: what each family of models is sent."""

from typing import Any

import pytest

from workers.providers.base import PromptImage
from workers.providers.studio.base import ImagesAsked
from workers.providers.studio.openai_images_wire import makes, members, remarks

CUP = PromptImage(b"cup", "image/png")


def asked(model: str = "gpt-image-2", **more: Any) -> ImagesAsked:
    return ImagesAsked(model=model, prompt="A cup", **more)


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ("gpt-image-2", "images"),
        ("gpt-image-1-mini", "images"),
        ("chatgpt-image-latest", "images"),
        ("dall-e-3", "images"),
        ("openai/gpt-image-2", "images"),
        ("gpt-5.6", "answer"),
        ("gpt-4o", "answer"),
    ],
)
def test_a_models_name_tells_what_it_makes(model: str, what: str) -> None:
    assert makes(model) == what


@pytest.mark.parametrize(
    ("wish", "more"),
    [
        (asked(), {}),
        (asked(n=3, size="1024x1536"), {"n": 3, "size": "1024x1536"}),
        (
            asked(options={"quality": "low", "background": "transparent"}),
            {"quality": "low", "background": "transparent"},
        ),
        (
            asked(options={"output_format": "webp", "output_compression": 80}),
            {"output_format": "webp", "output_compression": 80},
        ),
        (asked("dall-e-3", options={"style": "vivid"}), {"style": "vivid", "response_format": "b64_json"}),
        (asked(images=(CUP,), options={"input_fidelity": "high"}), {"input_fidelity": "high"}),
    ],
)
def test_what_a_model_knows_is_sent(wish: ImagesAsked, more: dict[str, Any]) -> None:
    assert members(wish) == {"model": wish.model, "prompt": "A cup", **more}
    assert remarks(wish) == []


def test_what_a_model_does_not_know_is_left_out_and_told() -> None:
    options = {"response_format": "url", "n": 5, "model": "x", "style": "vivid", "input_fidelity": "high", "quality": 3}
    wish = asked(options=options, seed=7, aspect_ratio="1:1")
    assert members(wish) == {"model": "gpt-image-2", "prompt": "A cup"}
    assert [note.text.partition(":")[0] for note in remarks(wish)] == [*options, "seed", "aspect_ratio"]
