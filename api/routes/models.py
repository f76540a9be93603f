"""What models can be asked, as their providers list them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.routes.answers import REFUSED
from api.scopes import Scope
from api.services.models import KnownModel
from shared.domain.errors import InvalidRequest

router = APIRouter(prefix="/v2/models", tags=["providers"])


class ModelOut(BaseModel):
    """A model; `id` is what a job's `model` says."""

    id: Annotated[str, Field(examples=["openai/gpt-4o"])]
    provider: str
    name: Annotated[str, Field(description="What people call it.")]
    context_length: Annotated[int | None, Field(description="In tokens, where the provider says it.")]


class ListOut(BaseModel):
    """Where a provider's models are from."""

    provider: str
    listed_at: Annotated[
        datetime | None,
        Field(description="When it listed them. Without it they are not its own list, but what is known of it anyway."),
    ]
    error: Annotated[str | None, Field(description="Why its list could not be had when it was last asked for.")]


class ModelsOut(BaseModel):
    """Models, and how the list of each provider came about."""

    models: list[ModelOut]
    lists: list[ListOut]


class ModelsQuery(BaseModel):
    """Which models to list."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str | None, Field(description="Only this provider's.", max_length=40)] = None


@router.get("", responses=REFUSED, summary="The models")
async def list_models(
    query: Annotated[ModelsQuery, Query()], front: FrontDep, caller: Annotated[Caller, Depends(require(Scope.JOBS))]
) -> ModelsOut:
    """Return the models of the configured providers.

    The lists are kept for a while, and fetched anew behind the answer; only the first time is waited for.
    """
    if query.provider is not None and query.provider not in front.settings.configured_providers:
        names = ", ".join(front.settings.configured_providers)
        raise InvalidRequest(f"is not configured on this server; configured: {names}", field="provider")
    lists = await front.models.lists(query.provider)
    return ModelsOut(
        models=[_shown(model) for known in lists for model in known.models],
        lists=[ListOut(provider=known.provider, listed_at=known.listed_at, error=known.error) for known in lists],
    )


def _shown(model: KnownModel) -> ModelOut:
    return ModelOut(id=model.ref, provider=model.provider, name=model.name, context_length=model.context_length)
