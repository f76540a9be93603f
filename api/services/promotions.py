"""Promotions: a variant of a batch becomes how a profile's photos are asked about, if it passes the bars; and back.

What counts is what was measured: a variant that asks in a way no profile can is refused, not promoted in part.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from api.front import Front
from api.services.batches.report import findings_of
from api.services.batches.report_head import Asked, Head, head_of
from api.services.profiles import Origin, own_profile
from shared.database.queries import AnyRow
from shared.database.statements import promotions as statements
from shared.database.statements.prompts import owner_in_turn, prompt_version
from shared.domain.batches import BatchState
from shared.domain.comparison.bars import BarResult, Bars, judge
from shared.domain.comparison.photos import Variant
from shared.domain.dispense import BUILT_IN_REFERENCES, INLINE, DeviceProfile, split_ref
from shared.domain.errors import Conflict, InvalidRequest, NotFound
from shared.domain.ids import OwnerId, uuid7

_NO_LIMITS: Final = {"name", "serial", "prompt", "model", "source"}
"""What of a profile has no hand in what is poured."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Whom a profile lets ask about its photos, and what; None is left to the server."""

    model: str | None
    prompt: str | None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The variant that was judged, and how many photos the batch had, and how many of them were labelled."""

    name: str
    model: str
    prompt: str
    profile: str
    photos: int
    labelled: int


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A promotion; `following` of the devices with its profile ask as it says, `overriding` name something themselves.

    Where the bars were not passed, nothing was changed, and there is no `before` and `after`.
    """

    id: UUID
    batch_id: UUID
    variant: int
    candidate: Candidate
    profile: str
    bars: Mapping[str, float]
    results: tuple[BarResult, ...]
    passed: bool
    before: Choice | None
    after: Choice | None
    following: int
    overriding: int
    created_at: datetime
    reverted_at: datetime | None


async def promote(
    front: Front, owner_id: OwnerId, batch_id: UUID, *, variant: int, profile: str, bars: Bars
) -> Promotion:
    """Let a profile's photos be asked about as a batch's variant does, if that passes the bars; record it either way.

    Raises:
        NotFound: if there is no such batch.
        InvalidRequest: if there is no such variant or profile, or no profile can ask as the variant does.
        Conflict: if the batch is not completed, the profile is not the owner's own or was changed meanwhile, or the
            variant's prompt or provider is not there any more.
    """
    head = await head_of(front, owner_id, batch_id)
    asked = _promotable(head, variant)
    own = await _own(front, owner_id, profile)
    candidate, results = await _judged(front, head, asked.variant, own, bars)
    promotion_id, passed = uuid7(), all(result.passed for result in results)
    row = {
        "id": promotion_id,
        "owner_id": owner_id,
        "batch_id": batch_id,
        "variant": variant,
        "profile": profile,
        "bars": bars.wanted(),
        "measured": {"candidate": asdict(candidate), "results": msgspec.to_builtins(results)},
        "passed": passed,
    }
    async with front.queries.transaction() as connection:
        if passed:
            await connection.execute(owner_in_turn(owner_id))
            if await _locked(connection, owner_id, profile) != own:
                raise Conflict(f"The profile {profile} was changed meanwhile: look at it, and try again.")
            after = Choice(model=candidate.model, prompt=candidate.prompt)
            row |= {"before": asdict(_choice(own)), "after": asdict(after)}
            await _change(front, connection, owner_id, own, after)
        await connection.execute(statements.new_promotion(row))
    return await one(front, owner_id, promotion_id)


async def revert(front: Front, owner_id: OwnerId, promotion_id: UUID) -> Promotion:
    """Let a profile's photos be asked about as before a promotion; what else was changed of the profile stays.

    Raises:
        NotFound: if there is no such promotion.
        Conflict: if it changed nothing or was reverted before, if the profile does not ask as it said any more, or if
            what the profile asked before is not there any more.
    """
    async with front.queries.transaction() as connection:
        await connection.execute(owner_in_turn(owner_id))
        row = (await connection.execute(statements.locked_promotion(owner_id, promotion_id))).one_or_none()
        if row is None:
            raise _no_such_promotion()
        if not row.passed:
            raise Conflict("This promotion did not pass its bars: it changed nothing.")
        if row.reverted_at is not None:
            raise Conflict("This promotion was reverted before.")
        profile = await _locked(connection, owner_id, row.profile)
        if profile is None or _choice(profile) != Choice(**row.after):
            raise Conflict(f"The profile {row.profile} is not as this promotion left it any more: change it directly.")
        await _change(front, connection, owner_id, profile, Choice(**row.before))
        await connection.execute(statements.reversion(owner_id, promotion_id))
    return await one(front, owner_id, promotion_id)


async def one(front: Front, owner_id: OwnerId, promotion_id: UUID) -> Promotion:
    """Return an owner's promotion.

    Raises:
        NotFound: if there is none with this id.
    """
    rows = await front.queries.rows(statements.promotion_with_id(owner_id, promotion_id))
    if not rows:
        raise _no_such_promotion()
    return _promotion(rows[0])


async def page(
    front: Front, owner_id: OwnerId, *, profile: str | None, after: UUID | None, limit: int
) -> list[Promotion]:
    """Return an owner's promotions, newest first."""
    statement = statements.promotions_page(owner_id, profile=profile, after=after, limit=limit)
    return [_promotion(row) for row in await front.queries.rows(statement)]


def _promotable(head: Head, number: int) -> Asked:
    asked = next((one for one in head.asked if one.variant.number == number), None)
    if asked is None:
        known = ", ".join(f"{one.number} ({one.name})" for one in head.variants)
        raise InvalidRequest(f"the batch has no variant {number}; there are: {known}", field="variant")
    if asked.variant.prompt == INLINE:
        raise InvalidRequest(
            "this variant's prompt has no name: store it as a prompt first (POST /v2/prompts/NAME), and run a batch"
            " with that",
            field="variant",
        )
    if asked.parameters:
        raise InvalidRequest(
            f"this variant was asked with parameters ({', '.join(asked.parameters)}), which no profile has: run a"
            " batch without them",
            field="variant",
        )
    if head.state is not BatchState.COMPLETED:
        raise Conflict(f"The batch is {head.state}: only a completed one says how good its variants are.")
    return asked


async def _own(front: Front, owner_id: OwnerId, name: str) -> DeviceProfile:
    known = await front.profiles.known(owner_id, name)
    if known is None:
        raise InvalidRequest(f"there is no profile {name}: see GET /v2/profiles", field="profile")
    if known.origin is not Origin.OWN:
        raise Conflict(
            f"The profile {name} is everybody's and cannot be changed: store one of your own first"
            " (PUT /v2/profiles/NAME), and give it to your devices.",
            field="profile",
        )
    return known.profile


async def _judged(
    front: Front, head: Head, variant: Variant, profile: DeviceProfile, bars: Bars
) -> tuple[Candidate, tuple[BarResult, ...]]:
    findings = await findings_of(front, head.owner_id, head.id)
    found = next((one for one in findings.variants if one.number == variant.number), None)
    if found is None or found.open:
        raise Conflict("The batch was begun again meanwhile: wait until it is completed.")
    candidate = Candidate(
        name=variant.name,
        model=variant.model,
        prompt=variant.prompt,
        profile=variant.profile.name,
        photos=findings.photos,
        labelled=findings.labelled,
    )
    has_same_limits = _limits(variant.profile) == _limits(profile)
    other_limits = None if has_same_limits else variant.profile.name
    return candidate, judge(bars, found, findings.labelled, other_limits=other_limits)


def _limits(profile: DeviceProfile) -> dict[str, Any]:
    return profile.model_dump(exclude=_NO_LIMITS)


def _choice(profile: DeviceProfile) -> Choice:
    return Choice(model=profile.model, prompt=profile.prompt)


async def _locked(connection: AsyncConnection, owner_id: OwnerId, name: str) -> DeviceProfile | None:
    row = (await connection.execute(statements.locked_profile(owner_id, name))).one_or_none()
    return None if row is None else own_profile(row).profile


async def _change(
    front: Front, connection: AsyncConnection, owner_id: OwnerId, profile: DeviceProfile, choice: Choice
) -> None:
    """Write a profile with another choice, unless that would leave its photos without an answer."""
    model, prompt = choice.model, choice.prompt
    if model is not None and model.partition("/")[0] not in front.settings.configured_providers:
        raise Conflict(f"The model {model} is of a provider that is not configured on this server any more.")
    if prompt is not None and prompt not in BUILT_IN_REFERENCES:
        name, version = split_ref(prompt)
        if (await connection.execute(prompt_version(owner_id, name, version))).first() is None:
            raise Conflict(f"The prompt {prompt} does not exist any more.")
    document = profile.model_copy(update=asdict(choice)).model_dump(mode="json")
    await connection.execute(statements.changed_profile(owner_id, profile.name, document))


def _promotion(row: AnyRow) -> Promotion:
    return Promotion(
        id=row.id,
        batch_id=row.batch_id,
        variant=row.variant,
        candidate=Candidate(**row.measured["candidate"]),
        profile=row.profile,
        bars=row.bars,
        results=msgspec.convert(row.measured["results"], tuple[BarResult, ...]),
        passed=row.passed,
        before=row.before and Choice(**row.before),
        after=row.after and Choice(**row.after),
        following=row.following,
        overriding=row.overriding,
        created_at=row.created_at,
        reverted_at=row.reverted_at,
    )


def _no_such_promotion() -> NotFound:
    return NotFound("There is no promotion with this id.")
