"""What models can be asked, as their providers list them, and what each can do."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.routes.ability_models import (
    CapabilitiesOut,
    FirstTokenOut,
    StopsBillingField,
    shown_capabilities,
    shown_first_token,
)
from api.routes.answers import REFUSED
from api.scopes import Scope
from api.services.models import KnownModel
from shared.domain.errors import InvalidRequest
from shared.domain.first_tokens import FirstToken
from shared.domain.models import Makes
from shared.providers_known import about

router = APIRouter(prefix="/v2/models", tags=["providers"])


class ModelOut(BaseModel):
    """A model; `id` is what a job's `model` says."""

    id: Annotated[str, Field(examples=["openai/gpt-4o"])]
    provider: str
    name: Annotated[str, Field(description="What people call it.")]
    aliases: Annotated[list[str], Field(description="Other names a job may give it.")]
    context_length: Annotated[int | None, Field(description="In tokens, where it is known.")]
    max_output_tokens: Annotated[int | None, Field(description="Of one answer, where it is known.")]
    capabilities: CapabilitiesOut
    stops_billing_on_abort: StopsBillingField
    first_token: Annotated[FirstTokenOut | None, Field(description="Null: nobody asked it in the last hour.")]


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
    """Which models to list. What is not known of a model is neither true nor false."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str | None, Field(description="Only this provider's.", max_length=40)] = None
    vision: Annotated[bool | None, Field(description="Only those known to see, or known not to.")] = None
    audio: Annotated[bool | None, Field(description="Likewise: recordings.")] = None
    video: Annotated[bool | None, Field(description="Likewise: videos.")] = None
    reasoning: Annotated[bool | None, Field(description="Likewise: thinking before the answer.")] = None
    tools: Annotated[bool | None, Field(description="Likewise: calling functions.")] = None
    makes: Annotated[Makes | None, Field(description="Only those that can be asked for this.")] = None

    def fits(self, model: KnownModel) -> bool:
        """Return whether the model is one of those."""
        can = model.abilities
        wanted = (
            (self.vision, can.vision),
            (self.audio, can.audio),
            (self.video, can.video),
            (self.reasoning, can.reasoning),
            (self.tools, can.tools),
        )
        makes = self.makes is None or self.makes in (can.makes or ())
        return makes and all(asked is None or asked is known for asked, known in wanted)


@router.get("", responses=REFUSED, summary="The models")
async def list_models(
    query: Annotated[ModelsQuery, Query()], front: FrontDep, caller: Annotated[Caller, Depends(require(Scope.JOBS))]
) -> ModelsOut:
    """Return the models of the configured providers, with what each can do and how fast it was.

    The lists are kept for a while, and fetched anew behind the answer; only the first time is waited for.
    """
    if query.provider is not None and query.provider not in front.settings.configured_providers:
        names = ", ".join(front.settings.configured_providers)
        raise InvalidRequest(f"is not configured on this server; configured: {names}", field="provider")
    lists = await front.models.lists(query.provider)
    times = (await front.first_tokens.times()).of_models
    models = [model for known in lists for model in known.models if query.fits(model)]
    return ModelsOut(
        models=[_shown(model, times.get(model.ref)) for model in models],
        lists=[ListOut(provider=known.provider, listed_at=known.listed_at, error=known.error) for known in lists],
    )


def _shown(model: KnownModel, times: FirstToken | None) -> ModelOut:
    return ModelOut(
        id=model.ref,
        provider=model.provider,
        name=model.name,
        aliases=[*model.refs[1:]],
        context_length=model.context_length,
        max_output_tokens=model.abilities.max_output_tokens,
        capabilities=shown_capabilities(model.abilities, model.abilities.makes),
        stops_billing_on_abort=about(model.provider).stops_billing_on_abort,
        first_token=shown_first_token(times),
    )
