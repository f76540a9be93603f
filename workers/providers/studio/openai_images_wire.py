"""What OpenAI's images API is sent. Pure; answers are read by `studio_wire`.

Source: the types of the SDK 3.54 (`types/image_generate_params`, `types/image_edit_params`), 2026-11.
"""

import re
from io import BytesIO
from typing import Final

import aiohttp

from shared.domain.events import Noted
from shared.domain.images import EXTENSION_OF
from shared.domain.models import Makes
from workers.providers.studio.base import ImagesAsked
from workers.providers.studio.wire import Fits, Json, dropped, is_integer, is_word, taken

_PAINTS: Final = re.compile(r"(?:chat)?gpt-image|dall-e", re.IGNORECASE)
_LEGACY: Final = "dall-e"
_BOTH: Final[dict[str, Fits]] = {"size": is_word, "quality": is_word, "user": is_word}
_GPT_OPTIONS: Final[dict[str, Fits]] = {
    **_BOTH,
    "background": is_word,
    "output_format": is_word,
    "output_compression": is_integer,
    "moderation": is_word,
    "input_fidelity": is_word,
}
_LEGACY_OPTIONS: Final[dict[str, Fits]] = {**_BOTH, "style": is_word}
_EDITS_ONLY: Final = "input_fidelity"
_NEW_ONLY: Final = "moderation"


def makes(model: str) -> Makes:
    """Return what comes of asking a model."""
    return "images" if _PAINTS.match(model.rpartition("/")[2]) else "answer"


def members(asked: ImagesAsked) -> Json:
    """Return the members of a request, without the images that it begins with."""
    wire: Json = {"model": asked.model, "prompt": asked.prompt, **_options(asked)}
    if asked.n > 1:
        wire["n"] = asked.n
    if asked.size is not None:
        wire["size"] = asked.size
    if _is_legacy(asked):
        wire["response_format"] = "b64_json"  # the others send nothing else, and refuse to be asked
    return wire


def form(asked: ImagesAsked) -> aiohttp.FormData:
    """Return a request to change images, which travel beside its members."""
    data = aiohttp.FormData({name: str(value) for name, value in members(asked).items()})
    name = "image" if _is_legacy(asked) else "image[]"
    for number, image in enumerate(asked.images):
        file_name = f"{number}.{EXTENSION_OF.get(image.media_type, 'png')}"
        data.add_field(name, BytesIO(image.content), filename=file_name, content_type=image.media_type)
    return data


def remarks(asked: ImagesAsked) -> list[Noted]:
    """Return what of this cannot be asked for."""
    known = _options(asked)
    lost = [name for name in asked.options if name not in known]
    if asked.seed is not None and asked.seed != -1:
        lost.append("seed")
    if asked.aspect_ratio is not None:
        lost.append("aspect_ratio")
    return dropped(lost, asked.model)


def _options(asked: ImagesAsked) -> Json:
    options = taken(asked.options, _LEGACY_OPTIONS if _is_legacy(asked) else _GPT_OPTIONS)
    options.pop(_NEW_ONLY if asked.images else _EDITS_ONLY, None)
    return options


def _is_legacy(asked: ImagesAsked) -> bool:
    return asked.model.rpartition("/")[2].lower().startswith(_LEGACY)
