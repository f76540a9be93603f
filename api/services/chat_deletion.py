"""Deleting chats, or what was said from a message on, with the prompts and archives of the jobs that answered it.

Jobs are stopped first, because one that runs could write again what is removed. The ledger keeps what they used: it
holds no text.
"""

import asyncio
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from api.front import Front
from api.services.cancel import cancel
from api.services.chats import Origin, no_such_chat
from shared.database.statements import chats as statements
from shared.domain.errors import Conflict, NotFound, Unavailable
from shared.domain.ids import JobId, OwnerId

ASK_AGAIN_S: Final = 2.0
CHATS_AT_A_TIME: Final = 100

_log = structlog.get_logger(__name__)


async def delete_chat(front: Front, owner_id: OwnerId, chat_id: UUID) -> None:
    """Delete a chat with everything that was asked and answered in it.

    Raises:
        NotFound: if there is no such chat of this owner (any more).
        Conflict: if a job of it has not stopped in time; asking again is safe.
        Unavailable: if a part of the system is away; asking again is safe.
    """
    await stop_turns(front, owner_id, chat_id)
    async with front.queries.transaction() as connection:
        if (await connection.execute(statements.lock_chat(owner_id, chat_id))).first() is None:
            raise no_such_chat()
        attempts = await _remove_jobs(connection, owner_id, chat_id)
        for statement in statements.removal_of_chat(owner_id, chat_id):
            await connection.execute(statement)
    await _forget_logs(front, attempts)


async def delete_if_unused(front: Front, owner_id: OwnerId, chat_id: UUID) -> None:
    """Delete a chat in which nothing was said; nothing happens to one in which something was, or is at this moment."""
    async with front.queries.transaction() as connection:
        await connection.execute(statements.lock_chat(owner_id, chat_id))
        await connection.execute(statements.removal_if_unused(owner_id, chat_id))


async def delete_chats(front: Front, owner_id: OwnerId, origin: Origin | None = None) -> int:
    """Delete all chats of an owner (that were made through a surface), and return how many those were; raises as above.

    Chats that are made meanwhile stay.
    """
    count = 0
    while chats := await front.chats.page(owner_id, origin=origin, limit=CHATS_AT_A_TIME):
        for chat in chats:
            try:
                await delete_chat(front, owner_id, chat.id)
            except NotFound:  # deleted in this moment, by the same wish
                continue
            count += 1
    return count


async def truncate_chat(front: Front, owner_id: OwnerId, chat_id: UUID, message_id: int) -> None:
    """Remove a message and all that was said after it; a message that is not there removes those with higher ids.

    Raises as `delete_chat`.
    """
    await front.chats.find(owner_id, chat_id=chat_id)
    places = await front.queries.rows(statements.place_of(owner_id, chat_id, message_id))
    if places:
        await remove_from(front, owner_id, chat_id, (places[0].turn, places[0].id))


async def truncate_at(front: Front, owner_id: OwnerId, chat_id: UUID, message_id: int) -> None:
    """Remove a message and all that was said after it.

    Raises:
        NotFound: if there is no such message in a chat of this owner; others as `delete_chat`.
    """
    turn = await turn_of(front, owner_id, chat_id, message_id)
    await remove_from(front, owner_id, chat_id, (turn, message_id))


async def turn_of(front: Front, owner_id: OwnerId, chat_id: UUID, message_id: int) -> int:
    """Return the turn that a message belongs to.

    Raises:
        NotFound: if there is no such message in a chat of this owner.
    """
    places = await front.queries.rows(statements.place_of(owner_id, chat_id, message_id))
    if not places or places[0].id != message_id:
        raise NotFound("There is no message with this id in the chat.")
    return places[0].turn


async def remove_from(front: Front, owner_id: OwnerId, chat_id: UUID, place: tuple[int, int]) -> None:
    """Remove what stands from a place on (its turn and message id), and the jobs from its turn on; raises as above."""
    await stop_turns(front, owner_id, chat_id, from_turn=place[0])
    async with front.queries.transaction() as connection:
        if (await connection.execute(statements.lock_chat(owner_id, chat_id))).first() is None:
            raise no_such_chat()
        attempts = await _remove_jobs(connection, owner_id, chat_id, from_turn=place[0])
        await connection.execute(statements.removal_from(owner_id, chat_id, place))
    await _forget_logs(front, attempts)


async def stop_turns(front: Front, owner_id: OwnerId, chat_id: UUID, *, from_turn: int = 0) -> int:
    """Cancel the turns that are not over, and return how many those were.

    Raises:
        Conflict: if one has not stopped in time; asking again is safe.
    """
    count, have_ended = await ask_to_stop(front, owner_id, chat_id, from_turn=from_turn)
    if not have_ended:
        raise _busy()
    return count


async def ask_to_stop(front: Front, owner_id: OwnerId, chat_id: UUID, *, from_turn: int = 0) -> tuple[int, bool]:
    """Cancel the turns that are not over; return how many those were, and whether all have ended."""
    active = await front.queries.rows(statements.active_jobs_of(owner_id, chat_id, from_turn=from_turn))
    have_ended = await asyncio.gather(*(_stopped(front, owner_id, JobId(row.id)) for row in active))
    return len(active), all(have_ended)


async def _stopped(front: Front, owner_id: OwnerId, job_id: JobId) -> bool:
    try:
        return await cancel(front, job_id, owner_id)
    except NotFound:  # removed in this moment, by the same wish
        return True


async def _remove_jobs(
    connection: AsyncConnection, owner_id: OwnerId, chat_id: UUID, *, from_turn: int = 0
) -> dict[UUID, int]:
    """Return the jobs that were removed, each with the number of its last attempt."""
    statement = statements.jobs_of(owner_id, chat_id, from_turn=from_turn).with_for_update()
    jobs = (await connection.execute(statement)).all()
    if any(row.state in statements.ACTIVE_CODES for row in jobs):
        raise _busy()
    attempts = {row.id: row.fence for row in jobs}
    for removal in statements.removal_of_jobs(list(attempts)):
        await connection.execute(removal)
    return attempts


async def _forget_logs(front: Front, attempts: dict[UUID, int]) -> None:
    try:
        await front.events.forget(attempts)
    except Unavailable as error:  # they vanish by themselves within minutes
        _log.warning("logs_not_forgotten", jobs=len(attempts), error=str(error))


def _busy() -> Conflict:
    return Conflict("An answer in this chat has not stopped yet; ask again.", retry_after_s=ASK_AGAIN_S)
