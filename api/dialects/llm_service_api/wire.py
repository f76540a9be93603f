"""The LLM Service API's JSON and its form, and nothing else. Unknown fields are ignored, as they always were."""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from api.plain_json import check_text
from shared.domain.commands import MAX_TEXT_CHARS

MAX_NAME_CHARS: Final = 200
MAX_SESSION_CHARS: Final = 128


def check_session_id(session_id: str) -> str:
    """Return a session's id: `MAX_SESSION_CHARS` printable characters at most, none of them a slash.

    Raises:
        ValueError: if it can be none.
    """
    if not 1 <= len(session_id) <= MAX_SESSION_CHARS or not session_id.isprintable() or "/" in session_id:
        raise ValueError(f"Input should be 1 to {MAX_SESSION_CHARS} printable characters without a slash")
    return session_id


def _session_id_if_any(session_id: str) -> str:
    return check_session_id(session_id) if session_id else ""


def _visible(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("Input should have visible ASCII characters only")
    return key


Name: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS), AfterValidator(check_text)]
ProviderKey: TypeAlias = Annotated[SecretStr, Field(max_length=1000), AfterValidator(_visible)]


class Asked(BaseModel):
    """Base of what is asked; infinity and NaN are no numbers here."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class Login(Asked):
    """`POST /token`: the form of OAuth2's password flow (RFC 6749 section 4.3.2), as far as it is looked at."""

    username: str
    password: SecretStr
    grant_type: Literal["password"] | None = None


class SessionWanted(Asked):
    """`POST /set-llm`. The document says `model_name`, the old code `model`; without either it is the server's default.

    `api_key` is kept encrypted, used for this session and for nothing else, and never shown.
    """

    model_name: Name | None = None
    model: Name | None = None
    provider: Name | None = None
    api_key: ProviderKey | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None


class ChatRequest(Asked):
    """`POST /chat`; without a session, a new one."""

    message: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARS), AfterValidator(check_text)]
    session_id: Annotated[str, AfterValidator(_session_id_if_any)] = ""


class Token(BaseModel):
    """`POST /token`."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - what it is, not what it says


class SessionMade(BaseModel):
    """`POST /set-llm`."""

    session_id: str
    message: str = "LLM session created successfully"


class ChatAnswer(BaseModel):
    """`POST /chat`: what the document has, and the session to go on with."""

    response: str
    session_id: str


class SimulatedAnswer(BaseModel):
    """`GET /health2`."""

    response: str
