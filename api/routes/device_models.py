"""What the routes of devices take and give, as the documentation shows it."""

from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

from api.routes.keys import KeyName, OwnerName
from api.services.device_credentials import NewCredential, SigningPair
from api.services.device_views import ClaimCode, DeviceState, DeviceView
from shared.domain.commands import ModelRef
from shared.domain.dispense import DeviceProfile, ProfileName, PromptRef

MAX_OVERLAP_S: Final = 30 * 24 * 3600
DeviceName: TypeAlias = KeyName
AccessKey: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{3,128}$")]
Firmware: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,100}$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SigningIn(_Body):
    """A pair that is compiled into a device already."""

    access_key: AccessKey
    secret_key: SecretStr

    @field_validator("secret_key", mode="after")
    @classmethod
    def _can_be_compiled_in(cls, secret: SecretStr) -> SecretStr:
        text = secret.get_secret_value()
        if not (8 <= len(text) <= 128 and text.isascii() and text.isprintable() and " " not in text):
            raise ValueError("must be 8 to 128 ASCII characters without spaces")
        return secret

    def pair(self) -> SigningPair:
        """Return it as the services know it."""
        return SigningPair(access_key=self.access_key, secret_key=self.secret_key)


SigningWish: TypeAlias = Annotated[
    Literal["new"] | SigningIn | None,
    Field(description="The pair it signs its uploads with (AWS signature version 2): `new`, a known one, or none."),
]


class DeviceIn(_Body):
    """A device to be registered."""

    name: Annotated[DeviceName, Field(examples=["kitchen dispenser"])]
    profile: Annotated[ProfileName | None, Field(description="What it can pour", examples=["smartsip-v0.1"])] = None
    prompt: Annotated[PromptRef | None, Field(description="What its photos are asked", examples=["smartsip@2"])] = None
    model: Annotated[ModelRef | None, Field(description="Who is asked", examples=["openai/gpt-4o"])] = None
    signing: SigningWish = None
    claim: Annotated[
        bool, Field(description="Make a claim code, with which the device gets its credential itself, instead of one.")
    ] = False
    owner: Annotated[
        OwnerName | None,
        Field(description="Whose device it is; made if there is none of that name. Only administrators name another."),
    ] = None


class DeviceChange(_Body):
    """What is to be different; null takes a choice back."""

    name: Annotated[DeviceName, Field(default_factory=str)]  # left out means unchanged; null is refused
    profile: ProfileName | None = None
    prompt: PromptRef | None = None
    model: ModelRef | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> "DeviceChange":
        if not self.model_fields_set:
            raise ValueError("name what is to be different: name, profile, prompt or model")
        return self


class RotationIn(_Body):
    """How a device changes over to a new credential."""

    overlap_s: Annotated[
        int | None, Field(ge=0, le=MAX_OVERLAP_S, description="Seconds the old one stays good (default: a day)")
    ] = None
    signing: Annotated[SigningWish, Field(description="As in registering; left out: a new pair if it had one.")] = None


class ClaimIn(_Body):
    """A device that claims itself."""

    code: Annotated[str, StringConstraints(max_length=100), Field(examples=["7K2M-9QRD-XW4T-H8VC"])]
    firmware: Firmware | None = None


class DevicesQuery(BaseModel):
    """Which devices to list."""

    model_config = ConfigDict(extra="forbid")

    state: DeviceState | None = None
    name: Annotated[str | None, Field(max_length=100)] = None
    owner: OwnerName | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: UUID | None = None


class CredentialOut(BaseModel):
    """A valid credential: `hint` is how its token begins."""

    id: UUID
    hint: str
    access_key: str | None
    created_at: datetime
    expires_at: datetime | None


class DeviceOut(BaseModel):
    """A device; what is null is said by its profile or by the server."""

    id: UUID
    owner: str
    name: str
    profile: str | None
    prompt: str | None
    model: str | None
    firmware: str | None
    state: DeviceState
    created_at: datetime
    last_seen_at: Annotated[datetime | None, Field(description="Exact to a minute")]
    claimed_at: datetime | None
    revoked_at: datetime | None
    credentials: list[CredentialOut]


class DevicesOut(BaseModel):
    """A page of devices; `next` is the cursor of the next page, if there is one."""

    devices: list[DeviceOut]
    next: UUID | None


class NewCredentialOut(BaseModel):
    """A credential that was just made. It is shown this once: keep it."""

    token: Annotated[str, Field(repr=False)]
    access_key: str | None
    secret_key: Annotated[str | None, Field(repr=False)]
    address: Annotated[
        str, Field(repr=False, description="What comes between `http://host:port` and every path of this device")
    ]
    expires_at: datetime | None


class ClaimCodeOut(BaseModel):
    """A code to type into a device. It is shown this once, and good once."""

    code: Annotated[str, Field(repr=False)]
    expires_at: datetime


class NewDeviceOut(DeviceOut):
    """A registered device with what is shown this once; a repeated request shows neither again."""

    credential: NewCredentialOut | None
    claim: ClaimCodeOut | None


class RotatedOut(DeviceOut):
    """A device with its new credential."""

    credential: NewCredentialOut


class NewClaimOut(BaseModel):
    """A new claim code."""

    claim: ClaimCodeOut


class ClaimedDeviceOut(BaseModel):
    """What a device learns of itself when it claims itself."""

    id: UUID
    name: str
    profile: str | None


class ClaimedOut(BaseModel):
    """A device that claimed itself, with its credential."""

    device: ClaimedDeviceOut
    credential: NewCredentialOut


class OwnFactsOut(BaseModel):
    """What a device may know of itself."""

    id: UUID
    name: str
    profile: DeviceProfile
    server_time: Annotated[datetime, Field(description="For devices that have no clock of their own")]


def shown(device: DeviceView) -> DeviceOut:
    """Return a device as it is shown."""
    return DeviceOut(
        id=device.id,
        owner=device.owner_name,
        name=device.name,
        profile=device.profile,
        prompt=device.prompt,
        model=device.model,
        firmware=device.firmware,
        state=device.state,
        created_at=device.created_at,
        last_seen_at=device.last_seen_at,
        claimed_at=device.claimed_at,
        revoked_at=device.revoked_at,
        credentials=[CredentialOut.model_validate(credential) for credential in device.credentials],
    )


def shown_once(new: NewCredential) -> NewCredentialOut:
    """Return a new credential with its secrets."""
    token, signing = new.token.get_secret_value(), new.signing
    return NewCredentialOut(
        token=token,
        access_key=signing and signing.access_key,
        secret_key=signing and signing.secret_key.get_secret_value(),
        address=f"/d/{token}",
        expires_at=None,
    )


def shown_code(claim: ClaimCode) -> ClaimCodeOut:
    """Return a claim code in clear."""
    return ClaimCodeOut(code=claim.code.get_secret_value(), expires_at=claim.expires_at)
