"""The firmware's requests: a query without a body, and an object's name. Pure; refuses with the old system's words.

Intentional differences from the old system: an empty `llm_type` or `model` means the default, as its document shows
in its own example; an unknown `llm_type` is the caller's mistake (400), not the server's.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from shared.domain.errors import MalformedRequest
from shared.domain.models import MODEL_PATTERN

DEFAULT_LLM_TYPE: Final = "openai"
DEFAULT_MODEL: Final = "gpt-4o"
COMPILED_IN: Final = frozenset({"openai", "ollama"})
"""What firmware in the field asks for; valid also where the server is configured for others."""
_NAME: Final = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,128}")
_MODEL: Final = re.compile(MODEL_PATTERN)


@dataclass(frozen=True, kw_only=True)
class UploadQuery:
    """What `POST /smartsip/upload` asks: the command for the photo of this name."""

    image_name: str
    llm_type: str
    model: str
    """`llm_type/model`."""


def parse_upload(query: bytes, *, providers: Collection[str]) -> UploadQuery:
    """Read the query; unknown fields are ignored, of a repeated one the first counts.

    The firmware encodes nothing, so a plus sign is a plus sign.

    Raises:
        MalformedRequest: as the old system says it.
    """
    fields: dict[str, str] = {}
    for pair in query.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        fields.setdefault(unquote(name), unquote(value, errors="replace"))
    llm_type = fields.get("llm_type") or DEFAULT_LLM_TYPE
    if llm_type not in COMPILED_IN and llm_type not in providers:
        raise MalformedRequest("invalid llm type", field="llm_type")
    image_name = fields.get("image_name", "")
    if not image_name:
        raise MalformedRequest("empty image name", field="image_name")
    model = f"{llm_type}/{fields.get('model') or DEFAULT_MODEL}"
    if not _MODEL.fullmatch(model):
        raise MalformedRequest("invalid model", field="model")
    return UploadQuery(image_name=parse_name(image_name.removeprefix("/")), llm_type=llm_type, model=model)


def parse_name(name: str) -> str:
    """Return an object's name if it is one: no path, nothing a shell or a page could be tricked with.

    Raises:
        MalformedRequest: if it is not.
    """
    if not _NAME.fullmatch(name):
        raise MalformedRequest("invalid image name", field="image_name")
    return name
