"""Device profiles: what a kind of dispenser can do and may do. Every vision job is held to one of them."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Response
from pydantic import BaseModel, ValidationError

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.errors import refused
from api.routes.answers import PROBLEM, REFUSED
from api.routes.jobs import NoParameters
from api.scopes import Scope
from api.services.profiles import KnownProfile, Origin
from api.services.submit import resolve_model
from shared.domain.dispense import DeviceProfile, ProfileName
from shared.domain.errors import InvalidRequest, NotFound

router = APIRouter(prefix="/v2/profiles", tags=["profiles"])
Reader = Annotated[Caller, Depends(require(Scope.DEVICES, Scope.JOBS))]
Keeper = Annotated[Caller, Depends(require(Scope.DEVICES))]

_EXAMPLE: Final = {
    "min_volume_ml": 20,
    "max_volume_ml": 400,
    "volume_step_ml": 20,
    "bands": [
        {"below_c": 35, "setpoint_c": 25},  # null is unheated; the documentation leaves nulls out of examples
        {"below_c": 70, "setpoint_c": 60},
        {"below_c": 101, "setpoint_c": 92},
    ],
    "max_degree_c": 95,
    "unlock_above_c": 90,
    "may_unlock": False,
    "child_cap_c": 34,
    "source": "measured at the tap, 2026-11-21",
}
Document = Annotated[
    dict[str, Any],  # any JSON object: DeviceProfile judges it
    Body(description="A profile as it is answered, without `origin` and `updated_at`.", examples=[_EXAMPLE]),
]


class ProfileOut(DeviceProfile):
    """A profile with where it is from; `updated_at` of your own only."""

    origin: Origin
    updated_at: datetime | None


class ProfilesOut(BaseModel):
    """Every profile you may use, your own first."""

    profiles: list[ProfileOut]


@router.get("", summary="List device profiles")
async def list_profiles(query: NoParameters, front: FrontDep, caller: Reader) -> ProfilesOut:
    """Return the owner's own profiles, those of the server's configuration, and the built-in ones."""
    return ProfilesOut(profiles=[_shown(known) for known in await front.profiles.every(caller.owner_id)])


@router.get("/{name}", responses={404: PROBLEM}, summary="Look up a device profile")
async def get_profile(name: ProfileName, query: NoParameters, front: FrontDep, caller: Reader) -> ProfileOut:
    """Return one profile."""
    known = await front.profiles.known(caller.owner_id, name)
    if known is None:
        raise NotFound("There is no profile of this name.")
    return _shown(known)


@router.put(
    "/{name}",
    status_code=201,
    responses=REFUSED
    | {200: {"model": ProfileOut, "description": "It took the place of the one before"}, 409: PROBLEM},
    summary="Store a device profile",
)
async def put_profile(
    name: ProfileName, document: Document, query: NoParameters, front: FrontDep, caller: Keeper, response: Response
) -> ProfileOut:
    """Store a profile of your own. It holds for jobs that are accepted from now on; refused is what is not safe.

    All degrees are of requests, but for `setpoint_c`, which is what the heater is set to for the requests of a band.
    """
    profile = _profile(name, document)
    if profile.prompt is not None and await front.prompts.find(caller.owner_id, profile.prompt) is None:
        raise InvalidRequest(f"there is no prompt {profile.prompt}: see /v2/prompts", field="prompt")
    resolve_model(front, profile.model)
    known, is_new = await front.profiles.put(caller.owner_id, profile)
    if not is_new:
        response.status_code = 200
    response.headers["Location"] = f"/v2/profiles/{name}"
    return _shown(known)


@router.delete("/{name}", status_code=204, responses={404: PROBLEM, 409: PROBLEM}, summary="Delete a device profile")
async def delete_profile(name: ProfileName, query: NoParameters, front: FrontDep, caller: Keeper) -> None:
    """Delete a profile of your own that no device has. Jobs that were accepted before keep their copy."""
    await front.profiles.remove(caller.owner_id, name)


def _profile(name: str, document: dict[str, Any]) -> DeviceProfile:
    try:
        profile = DeviceProfile.model_validate({"name": name} | document)
    except ValidationError as error:
        raise refused(error, document) from error
    if profile.name != name:
        raise InvalidRequest(f"must be {name}, as in the address, or be left out", field="name")
    return profile


def _shown(known: KnownProfile) -> ProfileOut:
    return ProfileOut(**known.profile.model_dump(), origin=known.origin, updated_at=known.updated_at)
