"""The only reader of the environment: every setting, its default, and the older systems' names for it.

Order, strongest first: environment, `.env` in the working directory, the older systems' names (from the same two), and
`config.yaml` (the file named by `SMARTSIP_CONFIG`, or `config.yaml` in the working directory). Our own names are
`SMARTSIP_<GROUP>__<NAME>`, as in `SMARTSIP_CLOCKS__LEASE=15`; durations are seconds or ISO 8601. Built once per process
and passed down as values.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from dotenv import dotenv_values
from pydantic import (
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from shared.domain.dispense import DeviceProfile
from shared.domain.models import MODEL_PATTERN
from shared.providers_known import KNOWN
from shared.settings_devices import (
    buckets_and_owners,
    check_models_of_profiles,
    checked_buckets,
    checked_profiles,
    with_names,
)
from shared.settings_dialects import Access, Dialects, Price, check_jwt_secret
from shared.settings_errors import sentence_for_unreadable, sentences_for
from shared.settings_fallbacks import Fallbacks, check_fallbacks
from shared.settings_file import place_in
from shared.settings_groups import Clocks, Limits, Seconds, SettingsGroup
from shared.settings_providers import Address, ProviderEndpoint, configured, with_known, with_longer_waits, with_proxy
from shared.settings_sources import Nested, complete_endpoints, from_variables, listed, read_yaml

CONFIG_FILE_VARIABLE: Final = "SMARTSIP_CONFIG"
ENV_FILE: Final = ".env"
MIN_TOKEN_CHARS: Final = 16
MASTER_KEY_BYTES: Final = 32
OTHER_PROVIDER: Final = "choose a model of one that is"


class SettingsError(Exception):
    """The settings cannot be used; the text has one sentence per problem, naming what to set."""


class Redis(SettingsGroup):
    """The broker and event log: a hint that may be flushed at any moment."""

    url: SecretStr
    prefix: str = "smartsip:"
    """Put before every key, queue and channel, so that several systems can share one server."""

    @field_validator("url", mode="after")
    @classmethod
    def _is_redis(cls, url: SecretStr) -> SecretStr:
        scheme = url.get_secret_value().partition("://")[0]
        if scheme not in ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "unix"):
            raise ValueError("REDIS_URL must begin with redis:// or rediss://, as in redis://:password@host:6379/0")
        return url


class Database(SettingsGroup):
    """PostgreSQL: the truth."""

    url: SecretStr

    @field_validator("url", mode="after")
    @classmethod
    def _is_postgres(cls, url: SecretStr) -> SecretStr:
        scheme = url.get_secret_value().partition(":")[0].partition("+")[0]
        if scheme == "sqlite":
            raise ValueError(
                "DATABASE_URL names SQLite, which several processes cannot share safely: give a PostgreSQL URL"
                " (postgresql://user:password@host:5432/name), or leave DATABASE_URL unset and run ./smartsip up,"
                " which brings its own PostgreSQL"
            )
        if scheme not in ("postgresql", "postgres"):
            raise ValueError(f"DATABASE_URL must begin with postgresql://, not {scheme}://")
        return url

    @property
    def conninfo(self) -> str:
        """The URL in libpq's form."""
        _, _, rest = self.url.get_secret_value().partition("://")
        return f"postgresql://{rest}"

    @property
    def sqlalchemy_url(self) -> str:
        """The URL in SQLAlchemy's form, with the psycopg 3 driver named."""
        _, _, rest = self.url.get_secret_value().partition("://")
        return f"postgresql+psycopg://{rest}"


class Objects(SettingsGroup):
    """The S3 server that keeps images."""

    endpoint_url: Address
    access_key: SecretStr
    secret_key: SecretStr
    bucket: str = "smartsip"
    region: str = "us-east-1"
    public_url: Address | None = None
    """Base of presigned links, where devices and browsers reach the store under another name than we do."""


class Worker(SettingsGroup):
    """One worker process."""

    slots: int = Field(default=200, ge=1, le=10_000)
    """Jobs it runs at a time."""


class Settings(SettingsGroup):
    """Everything that can be configured, as values: making one reads nothing. See `load_settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    redis: Redis
    database: Database
    objects: Objects
    admin_token: SecretStr
    master_key: SecretStr
    """Encrypts what must be read back (provider keys, signature secrets). Base64 of 32 bytes."""
    providers: dict[str, ProviderEndpoint] = Field(default_factory=dict[str, ProviderEndpoint])
    http_proxy: Address | None = Field(default=None, repr=False)
    """How providers outside this machine and network are reached, where an endpoint does not say otherwise."""
    provider_timeout: Seconds | None = None
    """Lite-LLM-Chat's limit of one silence (PROVIDER_TIMEOUT). It only ever lengthens `clocks.provider_first_delta` and
    `clocks.provider_idle`: its 20 s would cut models that think for longer."""
    default_model: str = "demo/demo"
    """`provider/model` for jobs that name none."""
    jwt_secret: SecretStr | None = None
    """Signs users' tokens (SECRET_KEY, and `jwt.secret` in `config.yaml`); derived from the master key where it is not
    set. At least 32 bytes, except on the local stack."""
    is_local_stack: bool = False
    """Whether this is `./smartsip up` on one machine, for its own user: then weak secrets are let pass."""
    registration: Literal["open", "closed"] = "closed"
    """Whether anybody may make an account; administrators always may."""
    dialects: Dialects = Dialects()
    firmware_access: Access = "token"
    """Who may use the old firmware's two requests: `open` is for the local stack only."""
    firmware_bucket: str = "test"
    """The bucket name the fielded firmware has compiled in."""
    device_buckets: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict[str, str])
    """Buckets of the S3 server that devices write to directly, each with its owner's name: `test=local,lab=anna`."""
    profiles: dict[str, DeviceProfile] = Field(default_factory=dict[str, DeviceProfile])
    """Device profiles for every owner, by name, besides the built-in ones. Meant for `config.yaml`:

        profiles:
          kettle:
            min_volume_ml: 20
            max_volume_ml: 400
            volume_step_ml: 20
            bands:                                   # what the hardware makes of a request
              - {below_c: 35, setpoint_c: null}      # unheated
              - {below_c: 70, setpoint_c: 60}
              - {below_c: 101, setpoint_c: 92}
            unlock_above_c: 90                       # above it the device releases its child lock
            child_cap_c: 34                          # 35 would already be poured at 60
    """
    prices: dict[str, Price] = Field(default_factory=dict[str, Price])
    """Per million tokens, by `provider/model`; what has no price has no cost. Meant for `config.yaml`:

        prices:
          openai/gpt-4o-mini: {input: 0.15, cached_input: 0.075, output: 0.6}
    """
    fallbacks: Fallbacks = Field(default_factory=dict[str, tuple[str, ...]])
    """Who is asked in a model's place where it cannot answer, in this order: see `docs/limits.md`.

    Meant for `config.yaml`:

        fallbacks:
          openai/gpt-4o: [openrouter/openai/gpt-4o, ollama/llava]
          deepseek/*: [siliconflow/deepseek-ai/DeepSeek-V3]    # every other model of the provider
    """
    fetch_remote_media: bool = False
    """Whether workers fetch images, videos and recordings that callers name by URL: from public addresses only, but
    then this system's own address is seen, and its bandwidth used, by whomever they name (`docs/media.md`)."""
    host: str = "127.0.0.1"
    port: int = Field(default=8888, ge=0, le=65535)
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Web pages elsewhere that may use this server, as `http://localhost:5173`, separated by commas (CORS_ORIGINS).

    `*` is every page, with a credential: it opens nothing that is `open` to this machine without one.
    """
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()
    """Networks of reverse proxies, whose `X-Forwarded-For` tells where failed logins come from: `10.0.0.0/8,::1`."""
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    clocks: Clocks = Clocks()
    limits: Limits = Limits()
    worker: Worker = Worker()

    @property
    def configured_providers(self) -> tuple[str, ...]:
        """The names of the providers a job may ask for, sorted; `demo` is always among them."""
        return configured(self.providers)

    @property
    def endpoints(self) -> dict[str, ProviderEndpoint]:
        """Every provider that can be called by somebody: also known ones without a key, for callers who bring one."""
        return with_known(self.providers, self.http_proxy)

    @field_validator("admin_token", mode="after")
    @classmethod
    def _is_hard_to_guess(cls, token: SecretStr) -> SecretStr:
        text = token.get_secret_value()
        if len(text) < MIN_TOKEN_CHARS or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError(f"SMARTSIP_ADMIN_TOKEN needs at least {MIN_TOKEN_CHARS} ASCII characters without spaces")
        return token

    @field_validator("master_key", mode="after")
    @classmethod
    def _is_a_key(cls, key: SecretStr) -> SecretStr:
        try:
            size = len(base64.b64decode(key.get_secret_value(), validate=True))
        except binascii.Error:
            size = 0
        if size != MASTER_KEY_BYTES:
            raise ValueError(
                "SMARTSIP_MASTER_KEY must be 32 random bytes in base64, as `openssl rand -base64 32` prints"
            )
        return key

    @field_validator("providers", mode="before")
    @classmethod
    def _complete(cls, providers: object) -> object:
        return complete_endpoints(providers)

    @field_validator("device_buckets", mode="before")
    @classmethod
    def _pairs(cls, buckets: object) -> object:
        return buckets_and_owners(buckets) if isinstance(buckets, str) else buckets

    @field_validator("profiles", mode="before")
    @classmethod
    def _named(cls, profiles: object) -> object:
        return with_names(profiles)

    @field_validator("profiles", mode="after")
    @classmethod
    def _are_for_everybody(cls, profiles: dict[str, DeviceProfile]) -> dict[str, DeviceProfile]:
        return checked_profiles(profiles)

    @model_validator(mode="after")
    def _secrets_are_hard_to_guess(self) -> "Settings":
        if self.jwt_secret is not None and not self.is_local_stack:
            check_jwt_secret(self.jwt_secret.get_secret_value())
        return self

    @model_validator(mode="after")
    def _buckets_are_devices_own(self) -> "Settings":
        checked_buckets(self.device_buckets, our_own=self.objects.bucket)
        return self

    @model_validator(mode="after")
    def _fallbacks_can_be_called(self) -> "Settings":
        check_fallbacks(self.fallbacks, configured=self.configured_providers)
        return self

    @model_validator(mode="after")
    def _models_of_profiles_can_be_called(self) -> "Settings":
        check_models_of_profiles(self.profiles, configured=self.configured_providers)
        return self

    @field_validator("allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, values: object) -> object:
        return listed(values) if isinstance(values, str) else values

    @model_validator(mode="after")
    def _default_model_can_be_called(self) -> "Settings":
        if not re.fullmatch(MODEL_PATTERN, self.default_model):
            raise ValueError("SMARTSIP_DEFAULT_MODEL must be provider/model, as in openai/gpt-4o-mini")
        provider = self.default_model.partition("/")[0]
        if provider not in self.configured_providers:
            raise ValueError(
                f"SMARTSIP_DEFAULT_MODEL names the provider {provider!r}, which is not configured (configured:"
                f" {', '.join(self.configured_providers)}): "
                f"{KNOWN[provider].how_to_configure if provider in KNOWN else OTHER_PROVIDER}"
            )
        return self


def load_settings() -> Settings:
    """Read the settings of this process.

    Raises:
        SettingsError: if something is missing or wrong; says what, without any secret.
    """
    try:
        return _with_defaults(_Loaded())  # pyright: ignore[reportCallIssue] - its sources give the values
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        file = _configuration_path({**dotenv_values(ENV_FILE), **os.environ})
        sentences = {sentence for problem in problems for sentence in sentences_for(problem, file)}
        raise SettingsError("\n".join(sorted(sentences))) from None  # the cause would show what was typed
    except SourceError as error:
        raise SettingsError(sentence_for_unreadable(str(error))) from None


class _Loaded(BaseSettings, Settings):
    """Settings whose values come from the environment and from files."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="SMARTSIP_",
        env_nested_delimiter="__",
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",  # .env may hold other programs' variables
        frozen=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        variables = {**dotenv_values(ENV_FILE), **os.environ}
        return (
            env_settings,
            dotenv_settings,
            _Values(settings_cls, from_variables(variables)),
            _Values(settings_cls, _configuration_file(variables)),
        )


class _Values(PydanticBaseSettingsSource):
    """Values that were read elsewhere, as a source among others."""

    def __init__(self, settings_cls: type[BaseSettings], values: Nested) -> None:
        super().__init__(settings_cls)
        self._values = values

    def get_field_value(self, field: object, field_name: str) -> tuple[Any, str, bool]:  # the base class's signature
        return self._values.get(field_name), field_name, False

    def __call__(self) -> Nested:
        return self._values


def _configuration_path(variables: Mapping[str, str | None]) -> Path:
    return Path(variables.get(CONFIG_FILE_VARIABLE) or "config.yaml")


def _configuration_file(variables: Mapping[str, str | None]) -> Nested:
    file = _configuration_path(variables)
    if not variables.get(CONFIG_FILE_VARIABLE) and not file.exists():
        return {}
    try:
        values = read_yaml(file)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    unknown = sorted(str(name) for name in values if name not in Settings.model_fields)
    if unknown:
        places = {name: place_in(file, [name]) or f"in {file}" for name in unknown}
        raise SettingsError(
            "\n".join(f"There is no setting {name} ({place}): correct its name." for name, place in places.items())
        )
    return values


def _with_defaults(settings: Settings) -> Settings:
    """Return settings in which what was set for all providers has reached each of them."""
    update: dict[str, object] = {}
    if settings.http_proxy is not None:
        update["providers"] = with_proxy(settings.providers, settings.http_proxy)
    if settings.provider_timeout is not None:
        update["clocks"] = with_longer_waits(settings.clocks, settings.provider_timeout)
    return settings.model_copy(update=update)
