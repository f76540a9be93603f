"""What Volcengine Ark is sent for pictures (Seedream) and films (Seedance), and what it answers. Pure.

Source: the types of volcengine-ark-runtime 5.0.54 (`types/images`, `types/content_generation`), 2026-11.
"""

import re
from typing import Any, Final

import msgspec

from shared.domain.errors import OrderCancelled, OrderExpired, ProviderError
from shared.domain.events import Noted, Usage
from shared.domain.models import Makes
from workers.providers.refusal import is_object
from workers.providers.studio.base import ImagesAsked, Ordered, OrderState, VideoAsked
from workers.providers.studio.wire import (
    Fits,
    Json,
    count,
    data_url,
    dropped,
    is_flag,
    is_integer,
    is_number,
    is_word,
    items,
    read_object,
    taken,
    text_at,
)

SEEDREAM: Final = "seedream"
SEEDANCE: Final = "seedance"
MOST_IN_SEQUENCE: Final = 15
_IMAGE_OPTIONS: Final[dict[str, Fits]] = {
    "size": is_word,
    "watermark": is_flag,
    "guidance_scale": is_number,
    "output_format": is_word,
    "sequential_image_generation": lambda value: value in ("auto", "disabled"),
}
_IMAGE_OPTIONS_ELSEWHERE: Final[dict[str, Fits]] = {
    "max_images": lambda value: value in range(1, MOST_IN_SEQUENCE + 1) and is_integer(value),
    "prompt_optimize_mode": is_word,
}
"""Older systems' names for what is a member of another parameter."""
_VIDEO_OPTIONS: Final[dict[str, Fits]] = {
    "ratio": is_word,
    "resolution": is_word,
    "duration": is_integer,
    "frames": is_integer,
    "watermark": is_flag,
    "generate_audio": is_flag,
    "draft": is_flag,
    "camera_fixed": is_flag,
    "service_tier": is_word,
    "execution_expires_after": is_integer,
}
_FROM_1_5: Final = frozenset({"generate_audio", "draft"})
_VERSION: Final = re.compile(r"(?:seedream|seedance)-(\d+)[-.](\d+)?")
_ENDS: Final = {"failed": OrderState.FAILED, "expired": OrderState.FAILED, "cancelled": OrderState.FAILED}
_WAITS: Final = frozenset({"queued", "pending", "submitted", "created"})


def makes(model: str) -> Makes:
    """Return what comes of asking a model; an endpoint of the user's own (`ep-…`) does not tell."""
    name = model.lower()
    if SEEDREAM in name:
        return "images"
    return "video" if SEEDANCE in name else "answer"


def images_to_wire(asked: ImagesAsked) -> Json:
    """Return the request for pictures, which come inside the answer where the model can: a link would expire."""
    options = taken(asked.options, _IMAGE_OPTIONS)
    wire: Json = {"model": asked.model, "prompt": asked.prompt, "response_format": "b64_json"}
    if asked.images:
        shown = [data_url(image) for image in asked.images]
        wire["image"] = shown[0] if len(shown) == 1 else shown
    wire |= options
    if asked.size is not None:
        wire["size"] = asked.size
    if _takes_seed(asked):
        wire["seed"] = asked.seed
    if options.get("sequential_image_generation") == "auto":
        wire["sequential_image_generation_options"] = {"max_images": _most(asked)}
    mode = asked.options.get("prompt_optimize_mode")
    if is_word(mode):
        wire["optimize_prompt_options"] = {"mode": mode}
    return wire


def calls_for(asked: ImagesAsked) -> int:
    """Return how many requests it takes: one makes one picture, or a sequence, whose pictures belong together."""
    return 1 if asked.options.get("sequential_image_generation") == "auto" else asked.n


def image_remarks(asked: ImagesAsked) -> list[Noted]:
    """Return what of this cannot be asked for."""
    known = taken(asked.options, {**_IMAGE_OPTIONS, **_IMAGE_OPTIONS_ELSEWHERE})
    lost = [name for name in asked.options if name not in known]
    if "max_images" in known and known.get("sequential_image_generation") != "auto":
        lost.append("max_images")
    if asked.seed is not None and asked.seed != -1 and not _takes_seed(asked):
        lost.append("seed")
    if asked.aspect_ratio is not None:
        lost.append("aspect_ratio")
    return dropped(lost, asked.model)


def video_to_wire(asked: VideoAsked) -> Json:
    """Return the order of a film. One image is its first frame, two the first and last, more what it looks like."""
    text = [{"type": "text", "text": asked.prompt}] if asked.prompt else []
    wire: Json = {"model": asked.model, "content": [*text, *_frames(asked)], **_video_options(asked)}
    told = {"ratio": asked.aspect_ratio, "resolution": asked.resolution, "duration": asked.duration_s}
    wire |= {name: value for name, value in told.items() if value is not None}
    if asked.seed is not None and asked.seed != -1:  # what it takes for no seed
        wire["seed"] = asked.seed
    return wire


def video_remarks(asked: VideoAsked) -> list[Noted]:
    """Return what of this cannot be asked for."""
    known = _video_options(asked)
    lost = [name for name in asked.options if name not in known and not _is_default(name, asked.options[name])]
    return dropped(lost, asked.model)


def order_id_of(content: bytes) -> str | None:
    """Return what Ark calls an order that it took."""
    said = read_object(content)
    found = text_at(said, "id") or text_at(said, "task_id") or text_at(said, "data", "id")
    return found if found is not None and is_word(found) and found.isprintable() else None


def read_order(content: bytes) -> tuple[Ordered, bytes | None] | None:
    """Return what has become of an order, and Ark's own error about it as JSON; None if it cannot be read."""
    said = read_object(content)
    if said is None:
        return None
    status = (text_at(said, "status") or "").lower()
    error = msgspec.json.encode({"error": said["error"]}) if said.get("error") else None
    if not status and error is None:
        return None
    if status == "succeeded":
        return Ordered(state=OrderState.SUCCEEDED, url=_film(said), usage=_usage(said.get("usage"))), None
    if status in _ENDS or not status:
        return Ordered(state=OrderState.FAILED, error=_why(status), usage=_usage(said.get("usage"))), error
    # a word that is not known may be a new stage on the way
    return Ordered(state=OrderState.QUEUED if status in _WAITS else OrderState.RUNNING), None


def _why(status: str) -> ProviderError:
    match status:
        case "expired":
            return OrderExpired()
        case "cancelled":
            return OrderCancelled()
        case _:
            return ProviderError("doubao could not make the film, and does not say why")


def _film(said: Json) -> str | None:
    content: object = said.get("content")
    return next((url for part in (items(content) or [content]) if (url := _film_in(part)) is not None), None)


def _film_in(part: object) -> str | None:
    return text_at(part, "video_url") or text_at(part, "video_url", "url")


def _usage(said: object) -> Usage | None:
    if not is_object(said):
        return None
    return Usage(input_tokens=0, output_tokens=count(said.get("completion_tokens")) or count(said.get("total_tokens")))


def _frames(asked: VideoAsked) -> list[Json]:
    match len(asked.images):
        case 1:
            roles = ["first_frame"]
        case 2:
            roles = ["first_frame", "last_frame"]
        case number:
            roles = ["reference_image"] * number
    return [
        {"type": "image_url", "image_url": {"url": data_url(image)}, "role": role}
        for image, role in zip(asked.images, roles, strict=True)
    ]


def _video_options(asked: VideoAsked) -> Json:
    options = taken(asked.options, _VIDEO_OPTIONS)
    if _version(asked.model) < (1, 5):
        options = {name: value for name, value in options.items() if name not in _FROM_1_5}
    if options.get("camera_fixed") is False:  # refused beside reference images, whatever it says
        del options["camera_fixed"]
    return options


def _is_default(name: str, value: Any) -> bool:  # Any: JSON of the caller's own
    return value is False and name in {*_FROM_1_5, "camera_fixed"}


def _takes_seed(asked: ImagesAsked) -> bool:
    """Seedream takes one up to its version 3 (vercel/ai, bytedance, 2026-11)."""
    return asked.seed is not None and asked.seed != -1 and _version(asked.model) < (4, 0)


def _most(asked: ImagesAsked) -> int:
    most: object = asked.options.get("max_images")
    if _IMAGE_OPTIONS_ELSEWHERE["max_images"](most):
        return most  # pyright: ignore[reportReturnType] - an integer, as was seen
    return asked.n if asked.n > 1 else MOST_IN_SEQUENCE


def _version(model: str) -> tuple[int, int]:
    """Return the version a model's name tells; the newest that there can be where it tells none."""
    found = _VERSION.search(model.lower())
    if found is None:
        return (99, 0)
    minor = found[2] if found[2] is not None and len(found[2]) < 3 else "0"
    return int(found[1]), int(minor)
