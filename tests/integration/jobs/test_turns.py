"""Turns of chats: one at a time and in order, whatever happens to them; what is said and answered is kept whole."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.claims import Answer, Claim, Claims
from shared.database.control import JobControl
from shared.database.queries import Queries
from shared.database.statements.turns import FREE_NEXT
from shared.database.submissions import Inserted, NewJob, Submissions
from shared.database.sweep import Sweep, Swept
from shared.database.workers import WorkerLeases
from shared.domain.errors import (
    ChatBusy,
    DeadLetter,
    IdempotencyKeyReused,
    NotFound,
    QuotaExceeded,
    TokensSpent,
)
from shared.domain.events import Reply, SearchResult, ToolCall, Usage, encode_reply
from shared.domain.ids import JobId, WorkerId
from shared.domain.jobs import State
from shared.settings import Settings
from tests.integration.jobs.factory import Bells, Database, a_job, end_of
from tests.integration.jobs.ledger import (
    BLOCKED,
    a_draft,
    a_turn,
    answered,
    charge,
    messages,
    new_chat,
    new_owner,
    new_quota,
)
from tests.integration.jobs.world import OPERATIONS, Life, World
from tests.stack import eventually


@pytest.fixture
async def chat(database: Database) -> UUID:
    return await new_chat(database)


@pytest.fixture
def queries(engine: AsyncEngine) -> Queries:
    return Queries(engine)


@pytest.fixture
def world(
    submissions: Submissions,
    claims: Claims,
    leases: WorkerLeases,
    control: JobControl,
    sweep: Sweep,
    database: Database,
) -> World:
    return World(submissions, claims, leases, control, sweep, database)


@pytest.fixture
async def others(settings: Settings) -> AsyncIterator[list[Submissions]]:
    """The same, as three more processes have it."""
    others = [Submissions(settings.database) for _ in range(3)]
    yield others
    await asyncio.gather(*(other.close() for other in others))


async def outcomes(submissions: Submissions, jobs: Sequence[NewJob]) -> list[Inserted | type[BaseException]]:
    """Submit jobs in one batch."""
    first = asyncio.create_task(submissions.insert(a_job()))  # the lane is busy with it while the others come
    await asyncio.sleep(0)
    results = await asyncio.gather(*map(submissions.insert, jobs), return_exceptions=True)
    await first
    return [type(result) if isinstance(result, BaseException) else result for result in results]


async def claimed(claims: Claims, job_id: JobId, worker: WorkerId) -> Claim:
    claim = await claims.claim(job_id, worker)
    assert claim is not None
    return claim


async def free_next(queries: Queries, chat_id: UUID) -> list[UUID]:
    return [row.id for row in await queries.rows(FREE_NEXT, {"chat_id": chat_id})]


async def test_turns_of_a_chat_run_one_after_the_other_in_the_order_they_were_accepted(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, queries: Queries, chat: UUID
) -> None:
    turns = [a_turn(chat, f"{number}") for number in range(3)]
    assert [await submissions.insert(turn) for turn in turns] == [
        Inserted(turns[0].id, is_replay=False),
        Inserted(turns[1].id, is_replay=False, is_behind=True),
        Inserted(turns[2].id, is_replay=False, is_behind=True),
    ]
    for number, turn in enumerate(turns):
        assert await free_next(queries, chat) == ([] if number == 0 else [turn.id])
        assert [await claims.claim(later.id, worker) for later in turns[number + 1 :]] == [None] * (2 - number)
        claim = await claimed(claims, turn.id, worker)
        assert (claim.chat_id, await free_next(queries, chat)) == (chat, [])
        assert await claims.finish(answered(claim, worker, f"answer {number}"))
    assert await messages(database, chat) == [
        *(("user", "0"), ("assistant", "answer 0"), ("user", "1"), ("assistant", "answer 1")),
        *(("user", "2"), ("assistant", "answer 2")),
    ]


async def test_turns_of_one_batch_keep_their_order(submissions: Submissions, database: Database, chat: UUID) -> None:
    turns = [a_turn(chat, f"{number}", job_id=JobId(uuid4())) for number in range(20)]
    results = await outcomes(submissions, turns)
    assert results == [Inserted(turn.id, False, number > 0) for number, turn in enumerate(turns)]
    assert [content for _, content in await messages(database, chat)] == [f"{number}" for number in range(20)]


async def test_turns_of_different_chats_do_not_wait_for_each_other(
    submissions: Submissions, database: Database
) -> None:
    turns = [a_turn(await new_chat(database)) for _ in range(3)]
    assert await outcomes(submissions, turns) == [Inserted(turn.id, False) for turn in turns]


ENDINGS = {
    "succeeded": ["claim", "succeed"],
    "failed": ["claim", "fail for good"],
    "was cancelled in the queue": ["cancel"],
    "was cancelled while it ran": ["claim", "cancel", "confirm the cancel"],
    "was cancelled while it waited": ["claim", "park", "cancel"],
    "expired": ["pass the deadline"],
    "was left running": ["claim", "pass the deadline long ago"],
    "was lost after its cancel": ["claim", "cancel", "kill the worker"],
    "failed too often": [*["claim", "fail", "end the pause"] * 2, "claim", "fail"],
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_whatever_ended_a_turn_a_sweep_lets_the_next_one_begin(
    world: World, worker: WorkerId, database: Database, chat: UUID, bells: Bells, ending: str
) -> None:
    first, second, third = [await world.submissions.insert(a_turn(chat)) for _ in range(3)]
    life = Life(world, first.id)
    assert await database.rows(BLOCKED) == [(second.id,), (third.id,)]
    for step in ENDINGS[ending]:
        assert await database.rows(BLOCKED) == [(second.id,), (third.id,)]
        await OPERATIONS[step](life)
    await world.sweep.once()
    assert await database.rows(BLOCKED) == [(third.id,)]
    assert second.id in [bell.job_id for bell in bells.heard]
    assert await world.sweep.once() == Swept()


async def test_a_turn_that_goes_back_to_the_queue_keeps_its_place(world: World, database: Database, chat: UUID) -> None:
    first, second = [await world.submissions.insert(a_turn(chat)) for _ in range(2)]
    life = Life(world, first.id)
    for step in ("claim", "fail", "end the pause", "claim", "release", "claim", "kill the worker"):
        await OPERATIONS[step](life)
        await world.sweep.once()
        assert await database.rows(BLOCKED) == [(second.id,)], step


async def test_a_turn_that_was_cancelled_while_it_waited_is_stepped_over(
    world: World, worker: WorkerId, queries: Queries, database: Database, chat: UUID
) -> None:
    first, second, third = [await world.submissions.insert(a_turn(chat)) for _ in range(3)]
    await world.control.request_cancel(second.id, None)
    assert await world.sweep.once() == Swept(rung=1)
    await world.control.request_cancel(first.id, None)
    assert await free_next(queries, chat) == [third.id]
    assert await database.rows(BLOCKED) == []


async def test_one_batch_may_meet_every_verdict(submissions: Submissions, database: Database, chat: UUID) -> None:
    stranger = await new_owner(database)
    idle, foreign = await new_chat(database), await new_chat(database, owner_id=stranger)
    await new_quota(database, 100)
    known = a_turn(idle, "known", key="k", draft=a_draft(10))
    await submissions.insert(known)
    jobs = [
        a_turn(chat, "first"),
        a_turn(chat, "second"),
        a_turn(chat, only_if_idle=True),
        a_turn(foreign),
        a_turn(uuid4()),
        a_turn(chat, draft=a_draft(91)),
        a_turn(chat, waiting_cap=0),
        a_turn(idle, "known", key="k", draft=a_draft(10)),
        a_turn(idle, "other", key="k", request_hash=b"another"),
        a_turn(foreign, "theirs", owner_id=stranger, draft=a_draft(10)),
    ]
    first, second, busy, foreign_to_us, absent, spent, crowded, again, reused, theirs = await outcomes(
        submissions, jobs
    )
    assert (first, second) == (Inserted(jobs[0].id, False), Inserted(jobs[1].id, False, True))
    assert (busy, foreign_to_us, absent) == (ChatBusy, NotFound, NotFound)
    assert (spent, crowded) == (TokensSpent, QuotaExceeded)
    assert (again, reused) == (Inserted(known.id, True), IdempotencyKeyReused)
    assert theirs == Inserted(jobs[-1].id, False)
    assert await messages(database, chat) == [("user", "first"), ("user", "second")]
    assert await messages(database, idle) == [("user", "known")]
    assert await messages(database, foreign) == [("user", "theirs")]
    assert await database.rows("select reserved_tokens from quota") == [(10,)]


async def test_a_chat_has_a_hundred_turns_waiting_at_most(submissions: Submissions, chat: UUID) -> None:
    results = await outcomes(submissions, [a_turn(chat) for _ in range(103)])
    assert [isinstance(result, Inserted) for result in results] == [True] * 100 + [False] * 3
    assert results[100:] == [QuotaExceeded] * 3
    with pytest.raises(QuotaExceeded):
        await submissions.insert(a_turn(chat))


async def test_a_key_that_is_used_again_says_and_reserves_nothing_twice(
    submissions: Submissions, database: Database, chat: UUID
) -> None:
    await new_quota(database, 100)
    turns = [a_turn(chat, "once", key="k", draft=a_draft(60)) for _ in range(3)]
    results = await outcomes(submissions, turns)
    results += await outcomes(submissions, [a_turn(chat, "once", key="k", draft=a_draft(60))])
    assert results == [Inserted(turns[0].id, False), *[Inserted(turns[0].id, True)] * 3]
    assert await messages(database, chat) == [("user", "once")]
    assert await database.rows("select reserved_tokens from quota") == [(60,)]


async def test_asking_again_with_the_same_id_says_nothing_twice(
    submissions: Submissions, database: Database, chat: UUID
) -> None:
    """The first try was committed, but its answer was lost."""
    turn = a_turn(chat, "once", draft=a_draft(60))
    await new_quota(database, 100)
    assert [await submissions.insert(turn) for _ in range(2)] == [Inserted(turn.id, False)] * 2
    assert await messages(database, chat) == [("user", "once")]
    assert await database.rows("select reserved_tokens from quota") == [(60,)]


async def test_what_is_said_and_its_job_are_stored_together_or_not_at_all(
    submissions: Submissions, database: Database, chat: UUID
) -> None:
    await new_quota(database, 100)
    poisoned = a_turn(chat, "good", "bad\0", draft=a_draft(50))
    good = a_turn(chat, "fine", draft=a_draft(60))
    results = await asyncio.gather(*map(submissions.insert, [poisoned, good]), return_exceptions=True)
    assert isinstance(results[0], Exception)
    assert results[1] == Inserted(good.id, False)
    assert await messages(database, chat) == [("user", "fine")]
    assert await database.rows("select id from job") == [(good.id,)]
    assert await database.rows("select reserved_tokens from quota") == [(60,)]


async def test_another_answer_is_given_only_where_no_turn_is_under_way(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, queries: Queries, chat: UUID
) -> None:
    """An old turn's job comes before those that wait: let in behind them, it would run beside one."""
    await submissions.insert(first := a_turn(chat, "first"))
    claim = await claimed(claims, first.id, worker)
    await claims.finish(answered(claim, worker))
    await submissions.insert(second := a_turn(chat, "second"))
    assert claim.turn is not None
    with pytest.raises(ChatBusy):
        await submissions.insert(a_turn(chat, old=claim.turn))
    await claims.finish(answered(await claimed(claims, second.id, worker), worker))
    await submissions.insert(again := a_turn(chat, old=claim.turn))
    assert (await claimed(claims, again.id, worker)).turn == claim.turn
    assert [content for _, content in await messages(database, chat)] == ["first", "Hello", "second", "Hello"]


async def a_dead_turn(submissions: Submissions, claims: Claims, worker: WorkerId, chat: UUID) -> JobId:
    await submissions.insert(turn := a_turn(chat))
    end = answered(await claimed(claims, turn.id, worker), worker, state=State.FAILED)
    dead = encode_reply(Reply(error=DeadLetter("failed").info()))
    assert await claims.finish(msgspec.structs.replace(end, reply=dead))
    return turn.id


async def test_a_dead_turn_is_replayed_only_where_no_other_is_under_way(
    submissions: Submissions, claims: Claims, worker: WorkerId, control: JobControl, database: Database, chat: UUID
) -> None:
    dead = await a_dead_turn(submissions, claims, worker, chat)
    await submissions.insert(second := a_turn(chat, "second"))
    claim = await claimed(claims, second.id, worker)
    with pytest.raises(ChatBusy):
        await control.replay(dead)
    await claims.finish(answered(claim, worker))
    assert await control.replay(dead)
    assert not await control.replay(dead)
    assert (await submissions.insert(a_turn(chat, "third"))).is_behind
    assert await claims.finish(answered(await claimed(claims, dead, worker), worker, "late"))
    assert await messages(database, chat) == [
        *(("user", "Hi"), ("assistant", "late"), ("user", "second"), ("assistant", "Hello"), ("user", "third")),
    ]


async def test_a_replay_and_a_turn_that_come_together_do_not_run_together(
    submissions: Submissions, claims: Claims, worker: WorkerId, control: JobControl, database: Database, chat: UUID
) -> None:
    dead = await a_dead_turn(submissions, claims, worker, chat)
    outcome = await asyncio.gather(
        control.replay(dead), submissions.insert(turn := a_turn(chat)), return_exceptions=True
    )
    open_ = await database.rows("select id from job where chat_id = %s and state = 0 and run_after is null", chat)
    assert open_ in ([(dead,)], [(turn.id,)])
    assert isinstance(outcome[0], ChatBusy) or outcome[1] == Inserted(turn.id, False, True)


async def test_an_answer_is_kept_whole(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, chat: UUID
) -> None:
    await submissions.insert(turn := a_turn(chat))
    claim = await claimed(claims, turn.id, worker)
    said = Answer(
        content="a\0b \\u0000 \u2028 \N{TEACUP WITHOUT HANDLE}",
        media=[{"type": "image", "id": str(turn.id)}],
        reasoning="hm\0",
        search_results=[SearchResult(title="T", url="https://example.org/")],
        signatures=["s"],
        tool_calls=[ToolCall(index=0, id="1", name="f", arguments="{}")],
        provider="demo",
        model="m/x",
        usage=Usage(3, 4),
        finish_reason="stop",
    )
    assert await claims.finish(msgspec.structs.replace(end_of(claim, worker), answer=said))
    rows = await database.rows(
        "select content, media, reasoning, search_results, signatures, tool_calls, provider, model, usage,"
        " finish_reason, job_id, turn, owner_id from message where role = 'assistant'"
    )
    assert rows == [
        (
            "a\ufffdb \\u0000 \u2028 \N{TEACUP WITHOUT HANDLE}",
            [{"type": "image", "id": str(turn.id)}],
            "hm\ufffd",
            [{"title": "T", "url": "https://example.org/"}],
            ["s"],
            [{"type": "tool_call", "index": 0, "id": "1", "name": "f", "arguments": "{}"}],
            *("demo", "m/x", {"type": "usage", "input_tokens": 3, "output_tokens": 4}),
            *("stop", turn.id, claim.turn, 1),
        )
    ]


async def test_a_runner_that_lost_its_turn_says_and_costs_nothing(world: World, database: Database, chat: UUID) -> None:
    await world.submissions.insert(turn := a_turn(chat))
    life = Life(world, turn.id)
    await life.claim_it()
    assert life.claim is not None
    late = answered(life.claim, life.worker, "too late")
    await life.kill_worker()
    assert not await world.claims.finish(late)
    await life.claim_it()
    assert not await world.claims.finish(late)
    assert (await messages(database, chat), await charge(database, turn.id)) == ([("user", "Hi")], None)
    assert await world.claims.finish(answered(life.claim, life.worker, "in time"))
    assert not await world.claims.finish(late)
    assert await messages(database, chat) == [("user", "Hi"), ("assistant", "in time")]


async def test_an_end_that_is_told_twice_is_one_answer_and_one_charge(
    submissions: Submissions, claims: Claims, worker: WorkerId, database: Database, chat: UUID
) -> None:
    await submissions.insert(turn := a_turn(chat))
    end = answered(await claimed(claims, turn.id, worker), worker)
    assert await asyncio.gather(*(claims.finish(end) for _ in range(3))) == [True] * 3
    assert await messages(database, chat) == [("user", "Hi"), ("assistant", "Hello")]
    found = await charge(database, turn.id)
    assert found is not None
    assert (found["input_tokens"], found["output_tokens"]) == (7, 5)


async def test_a_turn_that_another_process_is_accepting_is_waited_for_and_seen(
    submissions: Submissions, database: Database, chat: UUID
) -> None:
    async with database.connection() as accepting:
        await accepting.execute("begin")
        await accepting.execute("select from chat where id = %s for no key update", (chat,))
        await accepting.execute(
            "insert into job (id, owner_id, fair_key, queue, kind, on_disconnect, deadline, chat_id, turn)"
            " values (%s, 1, -1, 'chat', 'chat', 'continue', now() + interval '1 h', %s, 1)",
            (uuid4(), chat),
        )
        later = asyncio.create_task(submissions.insert(turn := a_turn(chat)))
        await eventually(lambda: database.is_waiting("smartsip-submissions"))
        await accepting.execute("commit")
    assert await later == Inserted(turn.id, False, is_behind=True)


OVERLAPS = """
select count(*) from job as one join job as other on one.chat_id = other.chat_id and one.turn < other.turn
where other.started_at < one.ended_at
"""


async def test_many_processes_never_run_two_turns_of_a_chat_at_once(
    submissions: Submissions,
    others: list[Submissions],
    claims: Claims,
    worker: WorkerId,
    sweep: Sweep,
    queries: Queries,
    database: Database,
) -> None:
    chats = [await new_chat(database) for _ in range(4)]
    turns = [a_turn(chats[number % 4], f"{number}") for number in range(60)]
    waiting = {turn.id for turn in turns}

    async def run(job_id: JobId) -> None:
        claim = await claims.claim(job_id, worker)
        if claim is not None and claim.chat_id is not None and await claims.finish(answered(claim, worker)):
            waiting.discard(job_id)
            await free_next(queries, claim.chat_id)

    async def accept(number: int, turn: NewJob) -> None:
        await [submissions, *others][number % 4].insert(turn)
        await run(turn.id)

    await asyncio.gather(*(accept(number, turn) for number, turn in enumerate(turns)))
    rounds = 0
    while waiting:
        rounds += 1
        assert rounds < 100
        await asyncio.gather(sweep.once(), *(run(job_id) for job_id in tuple(waiting)))
    assert await database.rows(OVERLAPS) == [(0,)]
    assert await database.rows("select count(*) from message where role = 'assistant'") == [(60,)]
