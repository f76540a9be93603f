"""The groups of settings that every part of the system reads: its clocks and its limits.

Durations are seconds or ISO 8601.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared.settings_sources import seconds

Duration = Annotated[timedelta, BeforeValidator(seconds)]
Seconds = Annotated[Duration, Field(gt=timedelta(0))]


class SettingsGroup(BaseModel):
    """Base of the nested groups: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Clocks(SettingsGroup):
    """Every clock of the system. Tests run them at a tenth."""

    lease: Seconds = timedelta(seconds=15)
    """How long a worker is believed alive after its last renewal."""
    renew_every: Seconds = timedelta(seconds=5)
    sweep_every: Seconds = timedelta(seconds=1)
    batch_every: Seconds = timedelta(seconds=0.5)
    """How often each batch is looked at: what has ended is counted, what comes next is handed out."""
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
    batch_log_ttl: Seconds = timedelta(seconds=5)
    """The same for jobs of batches, which come by the thousand and are hardly ever followed."""
    send: Seconds = timedelta(seconds=15)
    """How long one write to a client may block before its stream is cut; it may resume."""
    provider_connect: Seconds = timedelta(seconds=5)
    provider_first_delta: Seconds = timedelta(seconds=120)
    provider_idle: Seconds = timedelta(seconds=60)
    """Between two deltas; comments and keep-alives do not count."""
    provider_images: Seconds = timedelta(minutes=5)
    """How long one call for pictures may take; they come all at once."""
    order_look: Seconds = timedelta(seconds=5)
    """Between two looks at a film that was ordered, three times as long once it takes long; and how often workers look
    for orders whose jobs are over, to cancel them."""
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
    fetch_media: Seconds = timedelta(seconds=30)
    """How long a job may spend on fetching all that its messages show from elsewhere."""
    image_ready: Seconds = timedelta(seconds=10)
    """How long a request for an image that nobody has opened yet waits for that."""

    ticket: Seconds = timedelta(minutes=10)
    """How long a browser's ticket opens an event stream."""
    user_token: Seconds = timedelta(hours=24)
    """How long a login lasts, where its surface does not say otherwise."""
    login_window: Seconds = timedelta(minutes=15)
    """Failed logins are counted within this."""
    model_cache: Duration = timedelta(hours=1)
    """How long a provider's list of models is believed; 0 asks anew each time (MODEL_CACHE_TTL)."""
    model_list: Seconds = timedelta(seconds=10)
    """How long a provider may take to list its models."""

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
    media_bytes: int = 64 * 1024 * 1024
    """One video or audio file."""
    history_tokens: int = Field(default=16_000, ge=1)
    """What of a chat's history goes along with its next message, newest first; estimated (MAX_HISTORY_TOKENS)."""
    logins_per_client: int = Field(default=10, ge=1)
    """Failed logins of one account from one address within `clocks.login_window`."""
    logins_per_address: int = Field(default=50, ge=1)
    """Failed logins from one address, whatever the account."""
    password_rounds: int = Field(default=12, ge=4, le=16)
    """bcrypt's cost: 12 is a quarter of a second, each one more doubles it."""
    reader_queue: int = 256
    """Messages a reader may lag behind before it is sent to the log to catch up."""
