"""A scripted studio: Ark's and OpenAI's bodies for pictures and films, in the shape of what they document."""

import base64
from typing import Any

from tests.scripted_provider import Exchange, Reply, ScriptedProvider, answer

SEEDREAM = "doubao/doubao-seedream-4-5-251128"
SEEDANCE = "doubao/doubao-seedance-1-5-pro-251215"
IMAGES = "/api/v3/images/generations"
TASKS = "/api/v3/contents/generations/tasks"
ORDER = "cgt-20261121-abc"
SENSITIVE = {
    "code": "OutputImageSensitiveContentDetected",
    "message": "The request failed because the output image may contain sensitive information.",
}


def inline(content: bytes) -> dict[str, Any]:
    """A picture inside an answer."""
    return {"b64_json": base64.b64encode(content).decode(), "size": "64x48"}


def pictures(*data: object, images: int = 1, tokens: int = 16384) -> Reply:
    """An answer of Seedream."""
    usage = {"generated_images": images, "output_tokens": tokens, "total_tokens": tokens}
    return answer({"model": "doubao-seedream-4-5-251128", "created": 1789000000, "data": data, "usage": usage})


def task(status: str, **members: object) -> Reply:
    """What Seedance says of an order."""
    said = {"id": ORDER, "model": "doubao-seedance-1-5-pro-251215", "status": status, "created_at": 1789000000}
    return answer({**said, **members})


def film_at(url: str) -> dict[str, object]:
    """The members of an order that is done."""
    usage = {"completion_tokens": 108900, "total_tokens": 108900}
    return {"content": {"video_url": url}, "usage": usage, "duration": 5, "resolution": "720p"}


def calls(provider: ScriptedProvider, method: str, path: str = "") -> list[Exchange]:
    """The requests with this method whose path begins so."""
    return [one for one in provider.exchanges if one.method == method and one.path.startswith(path)]
