"""Pictures as clients ask for them and get them, and nothing else.

Source: the types of the official SDK 3.54 (`openai/types/image_generate_params`, `openai/types/images_response`).
"""

from typing import Literal, TypeAlias

import msgspec
from pydantic import field_validator

from api.dialects.openai.wire import OpenObject

ImageFormat: TypeAlias = Literal["png", "jpeg", "webp"]


class ImagesRequest(OpenObject):
    """`POST /v1/images/generations`. What has no field here is offered to the provider, which takes what it knows."""

    prompt: str
    model: str | None = None
    n: int | None = None
    size: str | None = None
    aspect_ratio: str | None = None
    """Of our own, for models that know shapes rather than sizes."""
    quality: str | None = None
    background: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    moderation: str | None = None
    style: str | None = None
    user: str | None = None
    seed: int | None = None
    response_format: Literal["b64_json", "url"] | None = None
    stream: bool | None = None
    partial_images: int | None = None

    @field_validator("stream")
    @classmethod
    def _whole(cls, wanted: bool | None) -> bool | None:
        if wanted:
            raise ValueError("pictures come whole: leave it out")
        return wanted


class Picture(msgspec.Struct, frozen=True, omit_defaults=True):
    """One picture: its bytes, or where they are for a while."""

    b64_json: bytes | None = None
    """Base64 in JSON."""
    url: str | None = None


class PromptDetails(msgspec.Struct, frozen=True):
    """What the prompt's tokens were; no images are sent along here."""

    text_tokens: int
    image_tokens: int = 0


class ImagesUsage(msgspec.Struct, frozen=True):
    """What the pictures took."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: PromptDetails


class Images(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole answer; `created` is Unix time in seconds."""

    created: int
    data: list[Picture]
    output_format: ImageFormat | None = None
    """Where all pictures have the same."""
    usage: ImagesUsage | None = None
