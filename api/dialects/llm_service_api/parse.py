"""From the LLM Service API's requests to what the core understands. Pure: refuses with faults as FastAPI lists them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict, TypeVar

from pydantic import BaseModel, ValidationError

from api.dialects.llm_service_api.wire import ChatRequest, Login, SessionWanted, check_session_id
from api.plain_json import check_text
from shared.domain.commands import Parameters
from shared.domain.errors import InvalidRequest
from shared.domain.models import MODEL_PATTERN

MAX_FAULTS: Final = 20
LEAST_TOP_P: Final = 1e-6
"""What is asked for in place of 0, which providers do not take: only the likeliest word."""
_MODEL: Final = re.compile(MODEL_PATTERN)
_Body = TypeVar("_Body", bound=BaseModel)


class Fault(TypedDict):
    """One thing that is wrong with a request: where, and what."""

    type: str
    loc: list[str | int]
    msg: str


class Refused(InvalidRequest):
    """The request is not valid; every fault is named."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        first = faults[0]
        super().__init__(first["msg"], field=".".join(map(str, first["loc"][1:])) or None)
        self.faults = list(faults[:MAX_FAULTS])


@dataclass(frozen=True, kw_only=True)
class AskedSession:
    """What `POST /set-llm` asks. `model` is `provider/model` where `names_provider`, else as the client wrote it."""

    model: str | None
    names_provider: bool
    parameters: Parameters
    provider_key: str | None = field(repr=False)


def parse_login(form: Mapping[str, str]) -> Login:
    """Read the form of `POST /token`; a field that is empty is one that is missing.

    Raises:
        Refused: if something is missing.
    """
    try:
        return Login.model_validate({name: text for name, text in form.items() if text})
    except ValidationError as error:
        raise _refused(error) from None


def parse_session(body: bytes) -> AskedSession:
    """Read the body of `POST /set-llm`.

    Raises:
        Refused: if it is not JSON, or a value is out of bounds.
    """
    wanted = _read(body, SessionWanted)
    key = (wanted.api_key.get_secret_value() or None) if wanted.api_key else None
    provider, model = wanted.provider or None, wanted.model_name or wanted.model or None
    if key is not None and provider is None:
        # Never guessed: the key would be shown to whoever the guess is.
        provider, slash, model = (model or "").partition("/")
        if not slash:
            raise Refused([_fault("provider", msg="Field required with an api_key", kind="missing")])
    return AskedSession(
        model=model if provider is None else _model_ref(provider, model),
        names_provider=provider is not None,
        parameters=Parameters(
            temperature=wanted.temperature,
            max_output_tokens=wanted.max_tokens,
            top_p=None if wanted.top_p is None else max(wanted.top_p, LEAST_TOP_P),
        ),
        provider_key=key,
    )


def parse_chat(body: bytes) -> ChatRequest:
    """Read the body of `POST /chat`; raises as `parse_session`."""
    return _read(body, ChatRequest)


def parse_said(text: str) -> str:
    """Return what a message over a socket says.

    Raises:
        InvalidRequest: if it says nothing, or cannot be kept.
    """
    if not text:
        raise InvalidRequest("The message is empty.")
    try:
        return check_text(text)
    except ValueError as error:
        raise InvalidRequest(f"The message {error}.") from None


def parse_session_id(text: str) -> str:
    """Return the id in a socket's path.

    Raises:
        InvalidRequest: if it can be none.
    """
    try:
        return check_session_id(text)
    except ValueError as error:
        raise InvalidRequest(f"session_id: {error}") from None


def fault_at(place: str, msg: str) -> Fault:
    """Return something that is wrong with the body, where the place is told as in `a.0.b`."""
    return _fault(*(int(part) if part.isdecimal() else part for part in place.split(".")), msg=msg)


def _model_ref(provider: str, model: str | None) -> str:
    if not model:
        raise Refused([_fault("model_name", msg="Field required with a provider", kind="missing")])
    ref = f"{provider}/{model}"
    if "/" in provider or not _MODEL.fullmatch(ref):
        raise Refused([_fault("model_name", msg="Input should be a model's name, and provider a provider's")])
    return ref


def _fault(*loc: str | int, msg: str, kind: str = "value_error") -> Fault:
    return Fault(type=kind, loc=["body", *loc], msg=msg)


def _read(body: bytes, model: type[_Body]) -> _Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> Refused:
    """Return pydantic's errors as faults; what was sent is not repeated."""
    errors: list[Any] = error.errors(include_url=False, include_input=False, include_context=False)
    return Refused([_fault(*one["loc"], msg=one["msg"], kind=one["type"]) for one in errors])
