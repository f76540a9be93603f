"""llm-backend-api's requests: bodies, ids in paths, and whose model a name is. Pure; refuses in the old system's words.

Intentional differences from the old system: a title, a key and a message have a length they may have, and a refusal
that its words do not explain names the field.
"""

import re
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from api.dialects.llm_backend_api.wire import Credentials, NewConversation, Question
from api.plain_json import check_text
from shared.domain.commands import MAX_TEXT_CHARS
from shared.domain.errors import MalformedRequest, PayloadTooLarge
from shared.domain.models import MODEL_PATTERN

MAX_TITLE_CHARS: Final = 255
MAX_KEY_CHARS: Final = 1000
_ID: Final = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
_INT64: Final = 2**63
_MODEL: Final = re.compile(MODEL_PATTERN)
_PREFIXES: Final = ((re.compile(r"(chat)?gpt|o[0-9]", re.IGNORECASE), "openai"), (re.compile("glm", re.I), "zhipu"))
_Body = TypeVar("_Body", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class AskedConversation:
    """A conversation to be made; an `api_key` is the caller's own at the model's provider."""

    title: str
    model: str
    api_key: str | None = field(repr=False)


def parse_credentials(body: bytes) -> Credentials:
    """Read a body with a name and a password.

    Raises:
        MalformedRequest: if it has not both.
    """
    return _read(body, Credentials, otherwise="Invalid input")


def parse_conversation(body: bytes) -> AskedConversation:
    """Read the body that makes a conversation.

    Raises:
        MalformedRequest: if it is none, or something in it cannot be kept.
    """
    asked = _read(body, NewConversation, otherwise="Invalid request")
    title = _text(asked.title, field="title")
    if len(title) > MAX_TITLE_CHARS:
        raise MalformedRequest(f"at most {MAX_TITLE_CHARS} characters are taken", field="title")
    api_key = asked.api_key.get_secret_value() if asked.api_key else None
    if api_key and not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise MalformedRequest("has visible ASCII characters only", field="api_key")
    if api_key and len(api_key) > MAX_KEY_CHARS:
        raise MalformedRequest(f"at most {MAX_KEY_CHARS} characters are taken", field="api_key")
    return AskedConversation(title=title, model=_text(asked.model, field="model"), api_key=api_key or None)


def parse_question(body: bytes) -> str:
    """Read the body of a chat; return the message.

    Raises:
        MalformedRequest: if there is none, or it cannot be kept.
        PayloadTooLarge: if it is longer than any message.
    """
    message = _text(_read(body, Question, otherwise="Invalid request body").message, field="message")
    if len(message) > MAX_TEXT_CHARS:
        raise PayloadTooLarge(f"at most {MAX_TEXT_CHARS} characters are taken", field="message")
    return message


def parse_id(text: str) -> int:
    """Return the conversation's id that a path names.

    Raises:
        MalformedRequest: if it is no integer of 64 bits.
    """
    number = int(text) if _ID.fullmatch(text) else _INT64
    if not -_INT64 <= number < _INT64:
        raise MalformedRequest("Invalid conversation ID")
    return number


def provider_of(model: str) -> str | None:
    """Return whose a model is by how its name begins, in any case; None where that says nothing."""
    return next((provider for begins, provider in _PREFIXES if begins.match(model)), None)


def is_reference(model: str) -> bool:
    """Whether this is `provider/model` as the core understands it."""
    return _MODEL.fullmatch(model) is not None


def shown_model(reference: str) -> str:
    """Return a model as this system's clients name it: without its provider where the name says it anyway."""
    provider, _, name = reference.partition("/")
    return name if provider_of(name) == provider else reference


def _read(body: bytes, model: type[_Body], *, otherwise: str) -> _Body:
    try:
        return model.model_validate_json(body)
    except ValidationError:
        raise MalformedRequest(otherwise) from None  # the cause could hold a password


def _text(text: str, *, field: str) -> str:
    try:
        return check_text(text)
    except ValueError as error:
        raise MalformedRequest(str(error), field=field) from None
