"""The only reader of the environment: every setting, its default, and the older systems' names for it.

Order, strongest first: environment, `.env` in the working directory, `config.yaml` (the file named by
`SMARTSIP_CONFIG`, or `config.yaml` in the working directory). Our own names are `SMARTSIP_<GROUP>__<NAME>`, as in
`SMARTSIP_CLOCKS__LEASE=15`; durations are seconds or ISO 8601. Built once per process and passed down as values.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    SettingsConfigDict,
)

CONFIG_FILE_VARIABLE: Final = "SMARTSIP_CONFIG"
Seconds = Annotated[timedelta, Field(gt=timedelta(0))]


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
    publish_gap: timedelta = timedelta(milliseconds=5)
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
    decode_image: Seconds = timedelta(seconds=5)
    """CPU and wall time a worker's subprocess may spend on one image."""


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

    endpoint_url: str
    access_key: SecretStr
    secret_key: SecretStr
    bucket: str = "smartsip"
    region: str = "us-east-1"
    public_url: str | None = None
    """Base of presigned links, where devices and browsers reach the store under another name than we do."""


class ProviderEndpoint(SettingsGroup):
    """Where a provider is and how to get in. A provider without an endpoint here is not configured."""

    base_url: str
    api_key: SecretStr | None = None
    proxy: str | None = None


class Worker(SettingsGroup):
    """One worker process."""

    slots: int = Field(default=200, ge=1, le=10_000)
    """Jobs it runs at a time."""


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="SMARTSIP_",
        env_nested_delimiter="__",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    redis: Redis
    database: Database
    objects: Objects
    admin_token: SecretStr
    master_key: SecretStr | None = None
    """Encrypts what must be read back (provider keys, signature secrets). Base64 of 32 bytes."""
    default_model: str = "demo/demo"
    """`provider/model` for jobs that name none."""
    providers: dict[str, ProviderEndpoint] = {}
    firmware_access: Literal["open", "token", "off"] = "token"
    """Who may use the old firmware's two requests: `open` is for the local stack only."""
    firmware_bucket: str = "test"
    """The bucket name the fielded firmware has compiled in."""
    host: str = "127.0.0.1"
    port: int = Field(default=8888, ge=0, le=65535)
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    clocks: Clocks = Clocks()
    limits: Limits = Limits()
    worker: Worker = Worker()
