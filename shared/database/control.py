"""Cancel and replay: what is done to a job by others than its runner."""

from typing import Final

import msgspec
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.endings import CANCELLED_AFTER_ORDER, CANCELLED_IN_QUEUE
from shared.database.queries import Queries
from shared.database.statements import control as statements
from shared.database.tables import STATE_OF, job_setback
from shared.domain.errors import ChatBusy, DeadLetter
from shared.domain.events import decode_reply
from shared.domain.ids import JobId, OwnerId, WorkerId
from shared.domain.jobs import State

REPLAYED: Final = "replayed"


class CancelOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job stands once its cancel is recorded.

    Still running: `worker_id` is whom to hint, and the end comes from there. `was_terminal`: it had ended before, and
    nothing was changed.
    """

    state: State
    fence: int
    worker_id: WorkerId | None
    was_terminal: bool


class JobControl:
    """Commands about jobs, each one transaction. Every method raises `Unavailable` if PostgreSQL is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._queries = Queries(engine)

    async def request_cancel(self, job_id: JobId, owner_id: OwnerId | None) -> CancelOutcome | None:
        """Cancel a job that no worker has, or flag one that runs; repeating it changes nothing.

        None if there is no such job, or it is another owner's; an owner of None may cancel everybody's.
        """
        values = {
            "id": job_id,
            "owner_id": owner_id,
            "reply": CANCELLED_IN_QUEUE,
            "ordered_reply": CANCELLED_AFTER_ORDER,
        }
        rows = await self._queries.rows(statements.REQUEST_CANCEL, values)
        for row in rows:
            return CancelOutcome(
                state=STATE_OF[row.state], fence=row.fence, worker_id=row.worker_id, was_terminal=row.was_terminal
            )
        return None

    async def replay(self, job_id: JobId) -> bool:
        """Queue a dead letter again as if it were new; False if the job is none. Its reply of before is removed.

        Raises:
            ChatBusy: if it is a chat's turn, and the chat has another one that is not over.
        """
        async with self._queries.transaction() as connection:
            chat_id = (await connection.execute(statements.lock_chat_of(job_id))).scalar_one_or_none()
            others = None if chat_id is None else statements.other_turns_under_way(job_id, chat_id)
            if others is not None and (await connection.execute(others)).first() is not None:
                raise ChatBusy("an answer is being written in this chat", retry_after_s=1.0)
            row = (await connection.execute(statements.failed_job(job_id))).first()
            if row is None:
                return False
            error = decode_reply(row.reply).error
            if error is None or error.code != DeadLetter.code:
                return False
            await connection.execute(statements.forget_ending(job_id))
            await connection.execute(statements.queue_again(job_id))
            await connection.execute(
                insert(job_setback).values(
                    job_id=job_id,
                    fence=row.fence,
                    worker_id=row.worker_id,
                    what=REPLAYED,
                    error=msgspec.to_builtins(error),
                )
            )
            return True
