"""Settings of the foreign surfaces, of users' tokens and of prices."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, StringConstraints

from shared.settings_groups import Seconds, SettingsGroup

Access: TypeAlias = Literal["open", "token", "off"]
"""Who may use a dialect whose clients cannot log in; `open` is for the local stack only (`api.access`)."""
MIN_JWT_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: a key for HS256 is at least as long as its hash."""
WELL_KNOWN_SECRETS: Final = frozenset({"S3cureK3y#2024!AIsafety", "your-secret-key-change-in-production"})
"""What the older systems' documents show."""
Prefix: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._-]+)+$", max_length=100)]


class Dialects(SettingsGroup):
    """Which foreign surfaces are spoken, and to whom; settings that only their documents know."""

    api_server: Access = "token"
    llm_backend_api: Literal["login", "off"] = "login"
    lite_llm_chat: Access = "token"
    llm_service_api: Access = "token"
    openai: Literal["token", "off"] = "token"
    client_quota_tokens: int = Field(default=500_000, ge=0)
    """What each new client of api-server may use (DEFAULT_TOKEN_QUOTA)."""
    app_name: str = "Lite-LLM-Chat Backend"
    """Lite-LLM-Chat's name for itself (APP_NAME)."""
    app_version: str = "1.0.0"
    """APP_VERSION."""
    api_prefix: Prefix = "/api/v1"
    """Where Lite-LLM-Chat's API is (API_PREFIX)."""
    access_token: Seconds = timedelta(minutes=30)
    """How long a token of the LLM Service API lasts (ACCESS_TOKEN_EXPIRE_MINUTES, in minutes there)."""


Amount: TypeAlias = Annotated[Decimal, Field(ge=0, le=1_000_000)]


class Price(SettingsGroup):
    """What a million tokens cost, in one currency for all models."""

    input: Amount
    output: Amount
    cached_input: Amount | None = None
    """Of input that the provider had in its cache; as `input` where it is not given."""


def check_jwt_secret(secret: str) -> None:
    """Refuse a secret that can be guessed.

    Raises:
        ValueError: if it is short, or was printed in a document.
    """
    if secret in WELL_KNOWN_SECRETS or len(secret.encode()) < MIN_JWT_SECRET_BYTES:
        raise ValueError(
            "SMARTSIP_JWT_SECRET (SECRET_KEY, jwt.secret) must be at least 32 bytes nobody has seen, as"
            " `openssl rand -base64 32` prints; leave it out to have one derived from the master key"
        )
