"""Which providers this server is configured for, and which others it knows."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.routes.jobs import NoParameters
from api.scopes import Scope
from shared.providers_known import KNOWN, about

router = APIRouter(prefix="/v2/providers", tags=["providers"])


class ProviderOut(BaseModel):
    """A provider a job's `model` may begin with."""

    name: Annotated[str, Field(examples=["openai"])]
    title: Annotated[str, Field(examples=["OpenAI"])]
    description: str
    is_default: bool


class UnconfiguredOut(BaseModel):
    """A provider that is known, and lacks what this server would need to call it."""

    name: str
    title: str
    description: str
    how_to_configure: Annotated[str, Field(examples=["set GROQ_API_KEY"])]


class ProvidersOut(BaseModel):
    """What is configured; where providers are and with which keys is nobody's business."""

    providers: list[ProviderOut]
    default_model: str
    unconfigured: list[UnconfiguredOut]


@router.get("", summary="The configured providers")
async def list_providers(
    query: NoParameters, front: FrontDep, caller: Annotated[Caller, Depends(require(Scope.JOBS))]
) -> ProvidersOut:
    """Return the providers, the model that answers where a job names none, and what else could be configured."""
    settings = front.settings
    usable = settings.configured_providers
    default = settings.default_model.partition("/")[0]
    return ProvidersOut(
        providers=[_configured(name, is_default=name == default) for name in usable],
        default_model=settings.default_model,
        unconfigured=[_unconfigured(name) for name in sorted(KNOWN.keys() - set(usable))],
    )


def _configured(name: str, *, is_default: bool) -> ProviderOut:
    known = about(name)
    return ProviderOut(name=name, title=known.title, description=known.description, is_default=is_default)


def _unconfigured(name: str) -> UnconfiguredOut:
    known = about(name)
    return UnconfiguredOut(
        name=name, title=known.title, description=known.description, how_to_configure=known.how_to_configure
    )
