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
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from shared.domain.commands import MODEL_PATTERN
from shared.domain.dispense import DeviceProfile
from shared.settings_devices import buckets_and_owners, checked_buckets, checked_profiles, with_names
from shared.settings_errors import sentence_for_unreadable, sentences_for
from shared.settings_sources import (
    Nested,
    checked_url,
    complete_endpoints,
    from_variables,
    is_near,
    read_yaml,
    seconds,
    with_scheme,
)

CONFIG_FILE_VARIABLE: Final = "SMARTSIP_CONFIG"
DEMO: Final = "demo"
"""The provider that needs no key and no endpoint, and says in every answer that it is not a model."""
ENV_FILE: Final = ".env"
Url = Annotated[str, AfterValidator(checked_url)]
Address = Annotated[Url, BeforeValidator(with_scheme)]
"""A URL whose `http://` may be left out."""
Duration = Annotated[timedelta, BeforeValidator(seconds)]
Seconds = Annotated[Duration, Field(gt=timedelta(0))]
MIN_TOKEN_CHARS: Final = 16
MASTER_KEY_BYTES: Final = 32
HOW_TO_CONFIGURE: Final = {"openai": "set OPENAI_API_KEY", "ollama": "set OLLAMA_API_URL"}
OTHER_PROVIDER: Final = "choose a model of one that is"


class SettingsError(Exception):
    """The settings cannot be used; the text has one sentence per problem, naming what to set."""


class SettingsGroup(BaseModel):
    """Base of the nested groups: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Clocks(SettingsGroup):
    """Every clock of the system. Tests run them at a tenth."""

    lease: Seconds = timedelta(seconds=15)
    """How long a worker is believed alive after its last renewal."""
    renew_every: Seconds = timedelta(seconds=5)
    sweep_every: Seconds = timedelta(seconds=1)
    ring_again_after: Seconds = timedelta(seconds=30)
    """A queued job whose bell was not answered is rung again after this."""
    idle_look: Seconds = timedelta(seconds=2)
    """How often the row of a job is looked at while its stream is silent."""
    heartbeat: Seconds = timedelta(seconds=15)
    """Below the 60 s idle cut of common proxies."""
    cancel_confirm: Seconds = timedelta(seconds=1)
    """How long a cancel waits for the runner before it answers 202 `cancelling`."""
    drain: Seconds = timedelta(seconds=20)
    """How long a worker that was told to stop lets running jobs finish before it gives them back."""
    publish_gap: Duration = timedelta(milliseconds=5)
    """Least time between two writes of the publisher; first deltas and ends never wait."""
    log_ttl: Seconds = timedelta(hours=1)
    """How long Redis keeps the log of a silent attempt; the runner writes a lost log again."""
    ended_log_ttl: Seconds = timedelta(minutes=2)
    """How long Redis keeps a finished log, whose archive is in PostgreSQL."""
    send: Seconds = timedelta(seconds=15)
    """How long one write to a client may block before its stream is cut; it may resume."""
    provider_connect: Seconds = timedelta(seconds=5)
    provider_first_delta: Seconds = timedelta(seconds=120)
    provider_idle: Seconds = timedelta(seconds=60)
    """Between two deltas; comments and keep-alives do not count."""
    retry_base: Seconds = timedelta(seconds=1)
    """First pause before a failed attempt is tried again, where the provider gave no hint; doubled each time."""
    retry_cap: Seconds = timedelta(seconds=60)
    key_cache: Seconds = timedelta(seconds=5)
    """How long an api process believes what it read about an API key: a revocation works within this time."""
    firmware_answer: Seconds = timedelta(seconds=4)
    """How long the old firmware's request waits silently: the device hangs up after 5 s without a header line."""
    firmware_space: Seconds = timedelta(seconds=2)
    """Between two spaces after that: the device waits 5 s for each chunk."""
    firmware_give_up: Seconds = timedelta(seconds=15)
    """After this the device pours nothing, because the cup may be gone."""
    same_touch: Seconds = timedelta(seconds=60)
    """A device that asks again about the same photo within this is answered by the same job."""
    command_valid: Seconds = timedelta(seconds=30)
    """How long after its making a device may still pour a command: later the cup may be gone."""
    claim_code: Seconds = timedelta(hours=24)
    """How long a claim code waits for its device."""
    rotation_overlap: Seconds = timedelta(hours=24)
    """How long a device's old token stays good after a new one was made, where nobody says otherwise."""
    signature_skew: Seconds = timedelta(minutes=15)
    """How far a device's clock may be off where it signs its uploads: what AWS allows."""
    decode_image: Seconds = timedelta(seconds=5)
    """CPU and wall time a worker's subprocess may spend on one image."""
    image_ready: Seconds = timedelta(seconds=10)
    """How long a request for an image that nobody has opened yet waits for that."""

    @model_validator(mode="after")
    def _lease_outlives_its_renewal(self) -> "Clocks":
        if self.renew_every >= self.lease:
            raise ValueError("SMARTSIP_CLOCKS__RENEW_EVERY must be shorter than SMARTSIP_CLOCKS__LEASE")
        return self


class Limits(SettingsGroup):
    """What a caller may ask for at most."""

    body_bytes: int = 8 * 1024 * 1024
    """JSON bodies."""
    image_bytes: int = 20 * 1024 * 1024
    device_image_bytes: int = 1024 * 1024
    image_pixels: int = 40_000_000
    waiting_per_owner: int = 10_000
    """Jobs of one owner waiting in one queue; one more is refused with 429."""
    wait_s: float = 60
    """The longest `wait` of a long poll."""
    streams_per_owner: int = 2_000
    """Open event streams of one owner per api process."""
    reader_queue: int = 256
    """Messages a reader may lag behind before it is sent to the log to catch up."""


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


class ProviderEndpoint(SettingsGroup):
    """Where a provider is and how to get in. A provider without an endpoint here is not configured."""

    base_url: Url
    api_key: SecretStr | None = None
    proxy: Address | None = Field(default=None, repr=False)
    """May hold a password, hence not shown."""


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
    providers: dict[str, ProviderEndpoint] = {}
    http_proxy: Address | None = Field(default=None, repr=False)
    """How providers outside this machine and network are reached, where an endpoint does not say otherwise."""
    default_model: str = "demo/demo"
    """`provider/model` for jobs that name none."""
    jwt_secret: SecretStr | None = None
    """llm-backend-api's; kept for its dialect."""
    firmware_access: Literal["open", "token", "off"] = "token"
    """Who may use the old firmware's two requests: `open` is for the local stack only."""
    firmware_bucket: str = "test"
    """The bucket name the fielded firmware has compiled in."""
    device_buckets: Annotated[dict[str, str], NoDecode] = {}
    """Buckets of the S3 server that devices write to directly, each with its owner's name: `test=local,lab=anna`."""
    profiles: dict[str, DeviceProfile] = {}
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
    host: str = "127.0.0.1"
    port: int = Field(default=8888, ge=0, le=65535)
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Separated by commas in the environment."""
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    clocks: Clocks = Clocks()
    limits: Limits = Limits()
    worker: Worker = Worker()

    @property
    def configured_providers(self) -> tuple[str, ...]:
        """The names of the providers a job may ask for, sorted; `demo` is always among them."""
        return tuple(sorted({*self.providers, DEMO}))

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
    def _buckets_are_devices_own(self) -> "Settings":
        checked_buckets(self.device_buckets, our_own=self.objects.bucket)
        return self

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, origins: object) -> object:
        return [part.strip() for part in origins.split(",") if part.strip()] if isinstance(origins, str) else origins

    @model_validator(mode="after")
    def _default_model_can_be_called(self) -> "Settings":
        if not re.match(MODEL_PATTERN, self.default_model):
            raise ValueError("SMARTSIP_DEFAULT_MODEL must be provider/model, as in openai/gpt-4o-mini")
        provider = self.default_model.partition("/")[0]
        if provider not in self.configured_providers:
            raise ValueError(
                f"SMARTSIP_DEFAULT_MODEL names the provider {provider!r}, which is not configured (configured:"
                f" {', '.join(self.configured_providers)}): {HOW_TO_CONFIGURE.get(provider, OTHER_PROVIDER)}"
            )
        return self


def load_settings() -> Settings:
    """Read the settings of this process.

    Raises:
        SettingsError: if something is missing or wrong; says what, without any secret.
    """
    try:
        return _with_default_proxy(_Loaded())  # pyright: ignore[reportCallIssue] - its sources give the values
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        sentences = {sentence for problem in problems for sentence in sentences_for(problem)}
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


def _configuration_file(variables: Mapping[str, str | None]) -> Nested:
    named = variables.get(CONFIG_FILE_VARIABLE)
    file = Path(named or "config.yaml")
    if not named and not file.exists():
        return {}
    try:
        values = read_yaml(file)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    unknown = sorted(str(name) for name in values if name not in Settings.model_fields)
    if unknown:
        raise SettingsError("\n".join(f"There is no setting {name} (in {file}): correct its name." for name in unknown))
    return values


def _with_default_proxy(settings: Settings) -> Settings:
    if settings.http_proxy is None:
        return settings
    providers = {
        name: endpoint
        if endpoint.proxy or name == "ollama" or is_near(endpoint.base_url)
        else endpoint.model_copy(update={"proxy": settings.http_proxy})
        for name, endpoint in settings.providers.items()
    }
    return settings.model_copy(update={"providers": providers})
