"""Pictures a Gemini model is asked for: what kinds of answer, and how the pictures are to be. Pure.

Imagen was shut down on 2026-08-17; its parameters are asked of the models that replaced it.
Source: https://ai.google.dev/gemini-api/docs/image-generation.
"""

from typing import Final, cast

from shared.domain.commands import Parameters
from workers.providers.gemini.models import GeminiModel
from workers.providers.parameter_notes import Notes
from workers.providers.refusal import is_object
from workers.providers.wire_json import Json

BOTH: Final = ["TEXT", "IMAGE"]
_MEMBERS: Final = {
    "aspectRatio": ("aspectRatio", "aspect_ratio"),
    "imageSize": ("imageSize", "image_size"),
    "personGeneration": ("personGeneration", "person_generation"),
}
_IMAGENS: Final = {
    "imagen_aspect_ratio": "aspectRatio",
    "imagen_image_size": "imageSize",
    "imagen_person_generation": "personGeneration",
}
_PERSONS: Final = {"DONT_ALLOW": "ALLOW_NONE"}
COUNT: Final = "imagen_number_of_images"
OPTIONS: Final = frozenset({"modalities", "image_config", COUNT, *_IMAGENS})
"""Names of `Parameters.options` that are read here."""


def image_members(parameters: Parameters, model: GeminiModel, notes: Notes) -> Json:
    """Return `responseModalities` and `imageConfig`; nothing for a model that makes no pictures."""
    options = parameters.options
    if not model.makes_images:
        given = [name for name in sorted(OPTIONS - {"modalities"}) if options.get(name)]
        for name in [*given, *(["modalities"] if "IMAGE" in _modalities(options) else [])]:
            notes.dropped(name, "makes no images with this model")
        return {}
    if type(options.get(COUNT)) is int and options[COUNT] > 1:
        notes.dropped(COUNT, "makes the images of one answer as it likes: ask again for more")
    config = _image_config(options, notes)
    return {"responseModalities": _modalities(options) or BOTH} | ({"imageConfig": config} if config else {})


def _modalities(options: Json) -> list[str]:
    given = options.get("modalities")
    words = cast("list[object]", given) if isinstance(given, list) else []
    asked = {word.upper() for word in words if isinstance(word, str)}
    return [word for word in BOTH if word in asked]


def _image_config(options: Json, notes: Notes) -> Json:
    """Return what is asked of the pictures: Imagen's parameters, and over them those that are Gemini's own."""
    given = options.get("image_config")
    own = given if is_object(given) else {}
    config: Json = {}
    for name, member in _IMAGENS.items():
        if isinstance(value := options.get(name), str) and value:
            config[member] = value.upper() if member == "personGeneration" else value
            notes.changed(name, f"is asked for it as imageConfig.{member}: Imagen, whose it was, was shut down")
    for member, names in _MEMBERS.items():
        value = next((own[name] for name in names if isinstance(own.get(name), str) and own[name]), None)
        if value is not None:
            config[member] = value
    if "personGeneration" in config:
        config["personGeneration"] = _PERSONS.get(config["personGeneration"].upper(), config["personGeneration"])
    return config
