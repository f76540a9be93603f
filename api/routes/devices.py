"""Devices: register, claim, give new tokens, change, revoke. A secret is in the answer that makes it, and then gone."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from api.auth import Caller, calling_device, require
from api.dependencies import FrontDep
from api.preferences import idempotency_key
from api.routes.answers import PROBLEM, REFUSED, Documented
from api.routes.device_models import (
    ClaimedDeviceOut,
    ClaimedOut,
    ClaimIn,
    DeviceChange,
    DeviceIn,
    DeviceOut,
    DevicesOut,
    DevicesQuery,
    NewClaimOut,
    NewDeviceOut,
    OwnFactsOut,
    RotatedOut,
    RotationIn,
    SigningIn,
    SigningWish,
    shown,
    shown_code,
    shown_once,
)
from api.routes.jobs import NoParameters
from api.scopes import Scope
from api.services.device_choices import check_choices, owner_called
from api.services.device_credentials import SigningPair, new_credential, new_signing_pair
from api.services.device_views import NewDevice
from api.services.devices import CallingDevice, Signing
from shared.domain.dispense import DEFAULT_PROFILE
from shared.domain.errors import Conflict, Forbidden, InvalidRequest
from shared.domain.ids import OwnerId
from shared.security import canonical_claim_code

router = APIRouter(prefix="/v2/devices", tags=["devices"])
Manager = Annotated[Caller, Depends(require(Scope.DEVICES))]
NO_STORE: Final = "no-store"
NO_WISH: Final = RotationIn()
_PUBLIC: Final[dict[str, Any]] = {"security": []}  # an OpenAPI fragment
_ABSENT: Final[Documented] = {404: PROBLEM | {"description": "No such device, or another owner's"}}
_REVOKED: Final[Documented] = {409: PROBLEM | {"description": "The device is revoked"}}
_TAKEN: Final[Documented] = {409: PROBLEM | {"description": "Another device of the owner has this name"}}


@router.post(
    "",
    status_code=201,
    responses=REFUSED | _TAKEN | {200: {"model": NewDeviceOut, "description": "It was registered before"}},
    summary="Register a device",
)
async def register_device(
    wanted: DeviceIn, query: NoParameters, request: Request, response: Response, front: FrontDep, caller: Manager
) -> NewDeviceOut:
    """Register a device and make its credential, or with `claim` a code to get it by. Both are shown this once.

    Give the firmware `http://host:port` + `credential.address` in place of the server's address. Repeating the request
    with the same `Idempotency-Key` is harmless and shows the device without its secrets.
    """
    key = idempotency_key(request.headers)
    owner_name = wanted.owner or caller.owner_name
    if owner_name != caller.owner_name and not caller.is_admin:
        raise Forbidden("Only an administrator registers devices for another owner.", field="owner")
    if wanted.claim and wanted.signing is not None:
        raise InvalidRequest("a device gets no pair when it claims itself; rotate it afterwards", field="signing")
    chosen = {"profile": wanted.profile, "prompt": wanted.prompt, "model": wanted.model}
    await check_choices(front, await owner_called(front, owner_name), chosen)
    new = NewDevice(
        owner_name=owner_name,
        name=wanted.name,
        **chosen,
        credential=None if wanted.claim else new_credential(_first_pair(wanted.signing)),
        idempotency_key=key,
        request=_request_text(wanted),
    )
    registered = await front.devices.register(new)
    response.headers["Location"] = f"/v2/devices/{registered.device.id}"
    response.headers["Cache-Control"] = NO_STORE
    if registered.is_replay:
        response.status_code = 200
        response.headers["Idempotency-Replayed"] = "true"
    return NewDeviceOut(
        **shown(registered.device).model_dump(),
        credential=registered.credential and shown_once(registered.credential),
        claim=registered.claim and shown_code(registered.claim),
    )


@router.post(
    "/claim",
    status_code=201,
    responses=REFUSED
    | {
        404: PROBLEM | {"description": "No such code"},
        409: PROBLEM | {"description": "The code was used (`claim_used`) or has expired (`claim_expired`)"},
    },
    openapi_extra=_PUBLIC,
    summary="Claim a device with its code",
)
async def claim_device(wanted: ClaimIn, query: NoParameters, response: Response, front: FrontDep) -> ClaimedOut:
    """Give a device that has a claim code its credential, and end what it had before. Needs no other credential.

    A code is good once. Should the answer be lost, somebody has to make a new one.
    """
    code = canonical_claim_code(wanted.code)
    if code is None:
        raise InvalidRequest("a claim code is 16 letters and digits, as in 7K2M-9QRD-XW4T-H8VC", field="code")
    claimed = await front.devices.claim(code, firmware=wanted.firmware)
    response.headers["Cache-Control"] = NO_STORE
    return ClaimedOut(
        device=ClaimedDeviceOut(id=claimed.id, name=claimed.name, profile=claimed.profile),
        credential=shown_once(claimed.credential),
    )


@router.get("", responses=REFUSED, summary="List devices")
async def list_devices(query: Annotated[DevicesQuery, Query()], front: FrontDep, caller: Manager) -> DevicesOut:
    """Return devices, newest first, revoked ones too: the caller's own, or everybody's for an administrator."""
    page = await front.devices.page(
        owner_id=_scope_of(caller),
        owner_name=query.owner,
        name=query.name,
        state=query.state,
        after=query.cursor,
        limit=query.limit + 1,
    )
    listed = page[: query.limit]
    following = listed[-1].id if len(page) > len(listed) else None
    return DevicesOut(devices=[shown(device) for device in listed], next=following)


@router.get("/me", summary="What a device may know of itself")
async def get_own_facts(
    query: NoParameters, response: Response, front: FrontDep, device: Annotated[CallingDevice, Depends(calling_device)]
) -> OwnFactsOut:
    """Return the calling device's name, its whole profile, and the server's time."""
    name = device.profile or DEFAULT_PROFILE
    profile = await front.profiles.find(device.owner_id, name)
    if profile is None:
        raise Conflict(f"The profile {name} of this device does not exist any more: give the device another one.")
    response.headers["Cache-Control"] = NO_STORE
    return OwnFactsOut(id=device.id, name=device.name, profile=profile, server_time=datetime.now(UTC))


@router.get("/{device_id}", responses=_ABSENT, summary="Look at a device")
async def get_device(device_id: UUID, query: NoParameters, front: FrontDep, caller: Manager) -> DeviceOut:
    """Return a device with its valid credentials; never a secret."""
    return shown(await front.devices.one(device_id, owner_id=_scope_of(caller)))


@router.patch("/{device_id}", responses=REFUSED | _ABSENT | _TAKEN, summary="Change a device")
async def change_device(
    device_id: UUID, wanted: DeviceChange, query: NoParameters, front: FrontDep, caller: Manager
) -> DeviceOut:
    """Change its name, profile, prompt or model, from its next photo on; null leaves the choice to the server again."""
    values = wanted.model_dump(exclude_unset=True)
    device = await front.devices.one(device_id, owner_id=_scope_of(caller))
    await check_choices(front, device.owner_id, values)
    return shown(await front.devices.change(device_id, values, owner_id=_scope_of(caller)))


@router.post("/{device_id}/rotate", responses=REFUSED | _ABSENT | _REVOKED, summary="Give a device a new credential")
async def rotate_device(
    device_id: UUID,
    query: NoParameters,
    response: Response,
    front: FrontDep,
    caller: Manager,
    wanted: RotationIn = NO_WISH,
) -> RotatedOut:
    """Make a new credential, shown this once; those the device has end after the overlap, or when they would anyway."""
    overlap_s = front.settings.clocks.rotation_overlap.total_seconds() if wanted.overlap_s is None else wanted.overlap_s
    new = await front.devices.rotate(
        device_id,
        owner_id=_scope_of(caller),
        overlap=timedelta(seconds=overlap_s),
        signing=_next_pair(wanted),
    )
    response.headers["Cache-Control"] = NO_STORE
    device = await front.devices.one(device_id, owner_id=_scope_of(caller))
    return RotatedOut(**shown(device).model_dump(), credential=shown_once(new))


@router.post("/{device_id}/claim", responses=_ABSENT | _REVOKED, summary="Make a claim code")
async def make_claim_code(
    device_id: UUID, query: NoParameters, response: Response, front: FrontDep, caller: Manager
) -> NewClaimOut:
    """Make a code, good once, in place of an unused one. What the device has stays good until the code is used."""
    claim = await front.devices.new_claim(device_id, owner_id=_scope_of(caller))
    response.headers["Cache-Control"] = NO_STORE
    return NewClaimOut(claim=shown_code(claim))


@router.delete("/{device_id}", status_code=204, responses=_ABSENT, summary="Revoke a device")
async def revoke_device(device_id: UUID, query: NoParameters, front: FrontDep, caller: Manager) -> None:
    """End a device and its unused claim code, at once and for good; its name is free again. Repeating is harmless."""
    await front.devices.revoke(device_id, owner_id=_scope_of(caller))


def _scope_of(caller: Caller) -> OwnerId | None:
    """Return whose devices a caller manages; None means everybody's."""
    return None if caller.is_admin else caller.owner_id


def _first_pair(wish: SigningWish) -> SigningPair | None:
    if wish == "new":
        return new_signing_pair()
    return wish.pair() if isinstance(wish, SigningIn) else None


def _next_pair(wanted: RotationIn) -> Signing:
    return _first_pair(wanted.signing) if "signing" in wanted.model_fields_set else "as_before"


def _request_text(wanted: DeviceIn) -> str:
    """Return what two uses of an idempotency key must share; it holds the signing secret, if one was given."""
    secret = wanted.signing.secret_key.get_secret_value() if isinstance(wanted.signing, SigningIn) else ""
    return f"{wanted.model_dump_json(exclude_defaults=True)}\0{secret}"
