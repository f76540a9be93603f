"""What the routes of batches take and give."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.plain_json import check_plain, check_text
from api.routes.image_queries import PhotoQuery
from api.services.batches.items import ItemView
from api.services.batches.new_batch import NewVariant, Selection
from api.services.batches.views import BatchView, Progress, VariantView
from shared.domain.batches import MAX_IDS, MAX_PHOTOS, MAX_VARIANTS, BatchState, ItemState
from shared.domain.commands import ModelRef, Parameters, PromptReference, PromptWords
from shared.domain.dispense import ProfileName

PATH: Final = "/v2/batches"
Text: TypeAlias = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$"), AfterValidator(check_text)]
Name: TypeAlias = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$"),
    AfterValidator(check_text),
]
VariantName: TypeAlias = Annotated[Name, StringConstraints(min_length=1)]


class Model(BaseModel):
    """Base of the shapes here."""

    model_config = ConfigDict(extra="forbid")


class BudgetIn(Model):
    """What a batch may take at most: it pauses before it would take more. Money is in the currency of the prices."""

    cost: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False, strict=True)] | None = None
    tokens: Annotated[int, Field(gt=0, le=2**53, strict=True)] | None = None


class VariantIn(Model):
    """A way of asking. Without `prompt` or `prompt_text` its profile's prompt is asked, else the server's."""

    name: VariantName | None = None
    model: Annotated[ModelRef, Field(examples=["openai/gpt-4o"])]
    prompt: Annotated[PromptReference | None, Field(examples=["smartsip@2"])] = None
    prompt_text: PromptWords | None = None
    profile: ProfileName | None = None
    parameters: Parameters = Parameters()

    @model_validator(mode="after")
    def _is_whole(self) -> "VariantIn":
        if self.prompt is not None and self.prompt_text is not None:
            raise ValueError("give either prompt or prompt_text")
        check_plain(self.parameters.model_dump())
        return self

    def wish(self) -> NewVariant:
        """Return it as the service takes it."""
        return NewVariant(
            name=self.name,
            model=self.model,
            prompt=self.prompt,
            prompt_text=self.prompt_text,
            profile=self.profile,
            parameters=self.parameters,
        )


class SelectionIn(Model):
    """Which photos: by their ids, or by a filter as `GET /v2/images` has it, frozen when the batch begins."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_IDS)] | None = None
    filter: Annotated[PhotoQuery | None, Field(description="Without `state`, only ready photos are meant.")] = None
    limit: Annotated[int | None, Field(ge=1, le=MAX_PHOTOS, description="The newest ones")] = None
    sample: Annotated[
        int | None, Field(ge=1, le=MAX_PHOTOS, description="So many picked at random, always the same of the same")
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> "SelectionIn":
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either ids or filter; an empty filter means every photo")
        if self.ids is not None and (self.limit or self.sample):
            raise ValueError("limit and sample are for filters")
        if self.limit is not None and self.sample is not None:
            raise ValueError("give either limit or sample")
        return self

    def wish(self) -> Selection:
        """Return it as the service takes it.

        Raises:
            InvalidRequest: if the filter contradicts itself.
        """
        if self.filter is None:
            return Selection(ids=self.ids or (), told={"ids": len(self.ids or ())})
        wanted = self.filter.wanted()
        wanted = wanted if wanted.is_ready is not None else replace(wanted, is_ready=True)
        told = self.filter.model_dump(mode="json", exclude_defaults=True)
        rest = self.model_dump(include={"limit", "sample"}, exclude_none=True)
        return Selection(wanted=wanted, limit=self.limit, sample=self.sample, told={"filter": told, **rest})


class BatchIn(Model):
    """A batch to be begun."""

    name: Name = ""
    note: Text = ""
    selection: SelectionIn
    variants: Annotated[list[VariantIn], Field(min_length=1, max_length=MAX_VARIANTS)]
    budget: BudgetIn = BudgetIn()


class BatchChange(Model):
    """What of a batch is to change; a budget replaces the one before, null lifts it."""

    name: VariantName | None = None
    note: Text | None = None
    budget: BudgetIn | None = None

    def values(self) -> dict[str, Any]:
        """Return the columns to change."""
        values: dict[str, Any] = self.model_dump(include={"name", "note"}, exclude_none=True)
        if "budget" in self.model_fields_set:
            budget = self.budget or BudgetIn()
            values |= {"budget_cost": budget.cost, "budget_tokens": budget.tokens}
        return values


class RetryIn(Model):
    """What is to be tried again."""

    variant: Annotated[int | None, Field(ge=1, description="Only this one's")] = None


class BatchesQuery(Model):
    """Which batches to list."""

    state: list[BatchState] = []
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[UUID | None, Field(description="`next` of the page before")] = None


class ProgressOut(Model):
    """How many photos are where, and what they took; `running` ones have a job, which may still wait."""

    photos: int
    pending: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    deleted: Annotated[int, Field(description="The photo was deleted meanwhile")]
    input_tokens: int
    output_tokens: int
    cost: Annotated[float | None, Field(description="Of what has a price")]
    unpriced: Annotated[int, Field(description="Answers without a price")]
    rate_per_s: Annotated[float | None, Field(description="Of late; for the whole batch only")] = None
    seconds_left: float | None = None


class VariantOut(Model):
    """A way of asking, as it was frozen, and how far it is."""

    number: int
    name: str
    model: str
    prompt: str
    profile: str
    parameters: dict[str, Any]
    progress: ProgressOut


class BatchOut(Model):
    """A batch."""

    id: UUID
    number: int
    name: str
    note: str
    state: BatchState
    reason: Annotated[str | None, Field(description="Why it is paused, for people")]
    photos: int
    created_at: datetime
    ended_at: datetime | None
    budget: dict[str, float | int | None] | None
    progress: ProgressOut
    variants: list[VariantOut]
    links: dict[str, str]


class BatchesOut(Model):
    """A page of batches, newest first; `next` is the cursor of the next page, if there is one."""

    batches: list[BatchOut]
    next: UUID | None


class ItemsQuery(Model):
    """Which items to list."""

    variant: Annotated[int | None, Field(ge=1)] = None
    state: ItemState | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Annotated[str | None, Field(pattern=r"^\d{1,9}\.\d{1,5}$", description="`next` of the page before")] = None

    def after(self) -> tuple[int, int] | None:
        """Return the place to go on from."""
        if self.cursor is None:
            return None
        position, _, variant = self.cursor.partition(".")
        return int(position), int(variant)


class ItemErrorOut(Model):
    """Why there is no result."""

    code: str
    detail: str


class ItemOut(Model):
    """One photo with one variant: the command after the envelope (ml, °C), and what the model itself wanted."""

    variant: int
    position: int
    image_id: UUID
    state: ItemState
    job_id: UUID | None
    tries: int
    error: ItemErrorOut | None
    volume: int | None
    degree: int | None
    asked_volume: float | None
    asked_degree: float | None
    receivable: bool | None
    child_present: bool | None
    container: str | None
    contents: str | None
    interventions: list[str]
    is_unusable: bool | None
    latency_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    ended_at: datetime | None


class ItemsOut(Model):
    """A page of items that were begun, by position and variant."""

    items: list[ItemOut]
    next: str | None


def shown_batch(batch: BatchView) -> BatchOut:
    """Return a batch as it is shown."""
    path = f"{PATH}/{batch.id}"
    has_budget = batch.budget_cost is not None or batch.budget_tokens is not None
    return BatchOut(
        id=batch.id,
        number=batch.number,
        name=batch.name,
        note=batch.note,
        state=batch.state,
        reason=batch.reason,
        photos=batch.photos,
        created_at=batch.created_at,
        ended_at=batch.ended_at,
        budget={"cost": batch.budget_cost, "tokens": batch.budget_tokens} if has_budget else None,
        progress=_progress(batch.progress, rate_per_s=batch.rate_per_s, seconds_left=batch.seconds_left),
        variants=[_variant(variant) for variant in batch.variants],
        links={"self": path} | {name: f"{path}/{name}" for name in ("events", "items", "report")},
    )


def shown_item(item: ItemView) -> ItemOut:
    """Return an item as it is shown."""
    values = {name: value for name, value in vars(item).items() if name in ItemOut.model_fields}
    error = None if item.error_code is None else ItemErrorOut(code=item.error_code, detail=item.error_detail or "")
    return ItemOut(**values, error=error)


def _variant(variant: VariantView) -> VariantOut:
    spec = variant.spec
    return VariantOut(
        number=variant.number,
        name=variant.name,
        model=spec.model,
        prompt=variant.prompt,
        profile=spec.profile,
        parameters=spec.parameters.model_dump(mode="json", exclude_defaults=True),
        progress=_progress(variant.progress),
    )


def _progress(progress: Progress, *, rate_per_s: float | None = None, seconds_left: float | None = None) -> ProgressOut:
    return ProgressOut(
        **vars(progress),
        rate_per_s=None if rate_per_s is None else round(rate_per_s, 3),
        seconds_left=None if seconds_left is None else round(seconds_left, 1),
    )
