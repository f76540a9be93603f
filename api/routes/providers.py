"""Which providers this server is configured for."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.scopes import Scope

router = APIRouter(prefix="/v2/providers", tags=["providers"])


class ProviderOut(BaseModel):
    """A provider a job's `model` may begin with."""

    name: str
    is_default: bool


class ProvidersOut(BaseModel):
    """What is configured; where providers are and with which keys is nobody's business."""

    providers: list[ProviderOut]
    default_model: str


@router.get("", summary="The configured providers")
async def list_providers(front: FrontDep, caller: Annotated[Caller, Depends(require(Scope.JOBS))]) -> ProvidersOut:
    """Return the providers' names and the model that answers where a job names none."""
    settings = front.settings
    default = settings.default_model.partition("/")[0]
    return ProvidersOut(
        providers=[ProviderOut(name=name, is_default=name == default) for name in settings.configured_providers],
        default_model=settings.default_model,
    )
