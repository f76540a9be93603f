"""Chats, quotas and the ledger, for tests of the job core: made by their rows, and looked at by them."""

from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from shared.database.claims import Answer, Charge, Claim, Ended
from shared.database.submissions import Draft, NewJob, NewMessage, NewTurn
from shared.domain.ids import LOCAL_OWNER, JobId, OwnerId, WorkerId, uuid7
from shared.domain.jobs import State
from tests.integration.jobs.factory import Database, a_job, end_of

BLOCKED = "select id from job where state = 0 and run_after = 'infinity' order by turn"


class Quota(NamedTuple):
    """What a quota's row says."""

    limit: int
    used: int
    reserved: int


async def new_owner(database: Database, name: str = "anna") -> OwnerId:
    rows = await database.rows("insert into owner (name) values (%s) returning id", name)
    return OwnerId(rows[0][0])


async def new_chat(database: Database, *, owner_id: OwnerId = LOCAL_OWNER) -> UUID:
    chat_id = uuid7()
    await database.rows(
        "insert into chat (id, owner_id, origin, title) values (%s, %s, 'chats', 'Tea')", chat_id, owner_id
    )
    return chat_id


async def new_quota(
    database: Database, limit: int, *, subject: str = "owner", owner_id: OwnerId = LOCAL_OWNER, used: int = 0
) -> None:
    await database.rows(
        "insert into quota (owner_id, subject, limit_tokens, used_tokens) values (%s, %s, %s, %s)",
        *(owner_id, subject, limit, used),
    )


async def quota(database: Database, subject: str = "owner", *, owner_id: OwnerId = LOCAL_OWNER) -> Quota:
    rows = await database.rows(
        "select limit_tokens, used_tokens, reserved_tokens from quota where owner_id = %s and subject = %s",
        *(owner_id, subject),
    )
    return Quota(*rows[0])


async def messages(database: Database, chat_id: UUID) -> list[tuple[str, str]]:
    """What was said in a chat: role and text, in order."""
    rows = await database.rows("select role, content from message where chat_id = %s order by turn, id", chat_id)
    return [(role, content) for role, content in rows]


async def charge(database: Database, job_id: JobId) -> dict[str, Any] | None:
    """What the ledger says of a job."""
    rows = await database.rows("select to_jsonb(charge) - 'charged_at' from charge where job_id = %s", job_id)
    return rows[0][0] if rows else None


def a_draft(tokens: int = 10, *subjects: str, **draft: Any) -> Draft:
    """What reserves so many tokens."""
    return Draft(subjects=subjects or ("owner",), input_tokens=tokens - tokens // 2, output_tokens=tokens // 2, **draft)


def a_turn(
    chat_id: UUID,
    *said: str,
    old: int | None = None,
    only_if_idle: bool = False,
    draft: Draft | None = None,
    **job: Any,
) -> NewJob:
    """A turn to be accepted, in which the user says these things."""
    spoken = tuple(NewMessage(role="user", content=text) for text in said or (() if old else ("Hi",)))
    turn = NewTurn(chat_id=chat_id, messages=spoken, old=old, only_if_idle=only_if_idle)
    return msgspec.structs.replace(a_job(**job), turn=turn, draft=draft)


def metered(draft: Draft, **job: Any) -> NewJob:
    """A job that reserves something."""
    return msgspec.structs.replace(a_job(**job), draft=draft)


def a_charge(input_tokens: int = 7, output_tokens: int = 5, **changes: Any) -> Charge:
    facts: dict[str, Any] = {"reasoning_tokens": 0, "cached_tokens": 0, "lost_tokens": 0, "is_estimated": False}
    return Charge(model="demo/demo", input_tokens=input_tokens, output_tokens=output_tokens, **(facts | changes))


def answered(
    claim: Claim,
    worker: WorkerId,
    text: str = "Hello",
    *,
    charge: Charge | None = None,
    state: State = State.SUCCEEDED,
) -> Ended:
    """How a claimed turn ends with an answer."""
    said = Answer(content=text, provider="demo", model="demo", finish_reason="stop")
    return msgspec.structs.replace(
        end_of(claim, worker, state=state),
        answer=said if state is State.SUCCEEDED else None,
        charge=charge or a_charge(),
    )
