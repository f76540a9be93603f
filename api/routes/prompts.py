"""Prompts: named, in versions that never change, so that stored answers can be compared."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.routes.answers import PROBLEM, REFUSED
from api.routes.jobs import NoParameters
from api.scopes import Scope
from api.services.profiles import Origin
from api.services.prompts import MAX_VERSION, KnownPrompt
from shared.domain.dispense import AnswerForm, PromptName, PromptText
from shared.domain.errors import NotFound

router = APIRouter(prefix="/v2/prompts", tags=["prompts"])
Reader = Annotated[Caller, Depends(require(Scope.DEVICES, Scope.JOBS))]
Keeper = Annotated[Caller, Depends(require(Scope.DEVICES))]
Note = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
Version = Annotated[int, Path(ge=1, le=MAX_VERSION)]


class PromptIn(BaseModel):
    """The next version of a prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[
        PromptText, Field(examples=["Answer in JSON with volume, degree and type. Never pour into a vase."])
    ]
    form: Annotated[
        AnswerForm,
        Field(description="What the text asks for: every field of our answer, or volume, degree and type only."),
    ] = AnswerForm.FULL
    note: Annotated[Note, Field(description="For people; the model does not see it.")] = ""


class PromptSummary(BaseModel):
    """A version of a prompt without its text. `ref` is how a job, a device or a profile names this very version."""

    name: str
    version: int
    ref: str
    form: AnswerForm
    note: str
    origin: Origin
    created_at: datetime | None


class PromptOut(PromptSummary):
    """A version of a prompt."""

    text: str


class PromptsOut(BaseModel):
    """Every prompt you may use in its newest version, your own first."""

    prompts: list[PromptSummary]


class VersionsOut(BaseModel):
    """Every version of a prompt, newest first."""

    name: str
    origin: Origin
    versions: list[PromptOut]


@router.get("", summary="List prompts")
async def list_prompts(query: NoParameters, front: FrontDep, caller: Reader) -> PromptsOut:
    """Return the newest version of each of the owner's own prompts and of the built-in ones, without the texts."""
    newest = await front.prompts.newest(caller.owner_id)
    return PromptsOut(prompts=[_summary(known) for known in newest])


@router.get("/{name}", responses={404: PROBLEM}, summary="Look up a prompt")
async def get_prompt(name: PromptName, query: NoParameters, front: FrontDep, caller: Reader) -> VersionsOut:
    """Return every version of one prompt."""
    versions = await front.prompts.versions(caller.owner_id, name)
    if not versions:
        raise NotFound("There is no prompt of this name.")
    return VersionsOut(name=name, origin=versions[0].origin, versions=[_shown(known) for known in versions])


@router.get("/{name}/{version}", responses={404: PROBLEM}, summary="Look up a version of a prompt")
async def get_version(
    name: PromptName, version: Version, query: NoParameters, front: FrontDep, caller: Reader
) -> PromptOut:
    """Return one version."""
    known = await front.prompts.version(caller.owner_id, name, version)
    if known is None:
        raise NotFound("There is no such version of a prompt of this name.")
    return _shown(known)


@router.post(
    "/{name}",
    status_code=201,
    responses=REFUSED | {200: {"model": PromptOut, "description": "It is the newest version already"}, 409: PROBLEM},
    summary="Add a version of a prompt",
)
async def add_version(
    name: PromptName, wanted: PromptIn, query: NoParameters, front: FrontDep, caller: Keeper, response: Response
) -> PromptOut:
    """Add the next version, or the first one. Repeating it is harmless: the same text and form are the same version.

    Who names the prompt without a version asks this one from now on; jobs that were accepted before keep theirs.
    """
    known, is_new = await front.prompts.add(caller.owner_id, name, text=wanted.text, form=wanted.form, note=wanted.note)
    if not is_new:
        response.status_code = 200
    response.headers["Location"] = f"/v2/prompts/{name}/{known.prompt.version}"
    return _shown(known)


@router.delete("/{name}", status_code=204, responses={404: PROBLEM, 409: PROBLEM}, summary="Delete a prompt")
async def delete_prompt(name: PromptName, query: NoParameters, front: FrontDep, caller: Keeper) -> None:
    """Delete a prompt of your own, every version of it, if no device and no profile names it.

    Should its name be used again, the versions go on counting: a reference never means two texts.
    """
    await front.prompts.remove(caller.owner_id, name)


def _summary(known: KnownPrompt) -> PromptSummary:
    prompt = known.prompt
    return PromptSummary(
        name=prompt.name,
        version=prompt.version,
        ref=prompt.ref,
        form=prompt.form,
        note=known.note,
        origin=known.origin,
        created_at=known.created_at,
    )


def _shown(known: KnownPrompt) -> PromptOut:
    return PromptOut(**_summary(known).model_dump(), text=known.prompt.text)
