"""Whether a model may be asked for pictures or films, as far as its name tells."""

import pytest

from shared.domain.models import Makes
from shared.model_facts import could_make


@pytest.mark.parametrize(
    ("ref", "wanted", "expected"),
    [
        ("openai/gpt-image-1", "images", True),
        ("openai/gpt-image-1", "video", False),
        ("openai/gpt-4o", "images", False),
        ("openai/something-new", "images", True),
        ("doubao/doubao-seedream-4-5-251128", "images", True),
        ("doubao/doubao-seedream-4-5-251128", "video", False),
        ("doubao/doubao-seedance-1-5-pro-251215", "video", True),
        ("doubao/doubao-seedance-1-5-pro-251215", "images", False),
        ("doubao/ep-20261121-abc", "video", True),
        ("gemini/gemini-3.1-flash-image", "images", True),
        ("gemini/gemini-2.5-flash", "images", False),
        ("gemini/imagen-4.0-generate-001", "images", True),  # refused there, with what replaced it
        ("openrouter/openai/gpt-5-image", "images", True),
        ("openrouter/openai/gpt-5", "images", False),
        ("groq/flux", "images", False),
        ("demo/demo", "images", True),
        ("demo/demo", "video", False),
    ],
)
def test_a_model_is_asked_for_what_it_may_make(ref: str, wanted: Makes, expected: bool) -> None:
    provider, _, model = ref.partition("/")
    assert could_make(provider, model, wanted) is expected
