"""Which providers there are: who is configured, what holds for all of a provider's models, and how fast it is."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.routes.ability_models import (
    CapabilitiesOut,
    FirstTokenOut,
    StopsBillingField,
    shown_capabilities,
    shown_first_token,
)
from api.routes.jobs import NoParameters
from api.scopes import Scope
from api.services.models import KnownModels
from shared.domain.first_tokens import FirstToken
from shared.model_facts import abilities_of
from shared.providers_known import KNOWN, about

router = APIRouter(prefix="/v2/providers", tags=["providers"])


class ProviderOut(BaseModel):
    """A provider; `id` is what a job's `model` begins with."""

    id: Annotated[str, Field(examples=["openai"])]
    name: Annotated[str, Field(examples=["OpenAI"])]
    description: str
    is_configured: Annotated[bool, Field(description="Whether this server can call it without a caller's own key.")]
    is_default: Annotated[bool, Field(description="Whether it answers where a job names no model.")]
    how_to_configure: Annotated[
        str | None, Field(description="What it lacks; null where it is configured.", examples=["set GROQ_API_KEY"])
    ]
    has_list: Annotated[bool, Field(description="Whether it lists its models; else they are what is known of it.")]
    listed_at: Annotated[datetime | None, Field(description="When it last listed its models.")]
    error: Annotated[str | None, Field(description="Why its list could not be had when it was last asked for.")]
    model_count: Annotated[int, Field(description="How many models of it `GET /v2/models` has.")]
    capabilities: Annotated[
        CapabilitiesOut,
        Field(description="What holds for each of its models, null where they differ; and all that can be asked for."),
    ]
    stops_billing_on_abort: StopsBillingField
    first_token: Annotated[FirstTokenOut | None, Field(description="Null: nobody asked it in the last hour.")]


class ProvidersOut(BaseModel):
    """The providers; where they are and with which keys is nobody's business."""

    providers: list[ProviderOut]
    default_model: str


@router.get("", summary="The providers")
async def list_providers(
    query: NoParameters, front: FrontDep, caller: Annotated[Caller, Depends(require(Scope.JOBS))]
) -> ProvidersOut:
    """Return the providers, those that are configured first, and the model that answers where a job names none.

    No provider is called for it, and none is waited for: see `GET /v2/models`.
    """
    default = front.settings.default_model
    lists = await front.models.glance()
    times = (await front.first_tokens.times()).of_providers
    default_provider = default.partition("/")[0]
    names = (*sorted(lists), *sorted(KNOWN.keys() - lists.keys()))
    return ProvidersOut(
        providers=[
            _shown(name, lists.get(name), times.get(name), is_default=name == default_provider) for name in names
        ],
        default_model=default,
    )


def _shown(name: str, known: KnownModels | None, times: FirstToken | None, *, is_default: bool) -> ProviderOut:
    provider = about(name)
    return ProviderOut(
        id=name,
        name=provider.title,
        description=provider.description,
        is_configured=known is not None,
        is_default=is_default,
        how_to_configure=provider.how_to_configure if known is None else None,
        has_list=provider.has_list,
        listed_at=None if known is None else known.listed_at,
        error=None if known is None else known.error,
        model_count=0 if known is None else len(known.models),
        capabilities=shown_capabilities(abilities_of(name, "") if known is None else known.abilities, provider.makes),
        stops_billing_on_abort=provider.stops_billing_on_abort,
        first_token=shown_first_token(times),
    )
