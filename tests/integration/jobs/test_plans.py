"""Every statement finds its rows by an index: generic plans, as the lanes use them.

With a backlog and a history; and the lanes' own also where the planner counted the tables when they were empty.
"""

import re
from typing import Final

import pytest

from shared.database.connection import SESSION
from shared.database.statements import control, reading, ring, run, submit, sweep, turns
from tests.integration.jobs.factory import Database

BACKLOG: Final = """
insert into job (id, owner_id, fair_key, queue, kind, state, fence, worker_id, on_disconnect, deadline, run_after,
    rung_at, ended_at, idempotency_key, chat_id, turn)
select uuidv7(make_interval(secs => number - 50000)), owner, -owner, 'chat', 'chat', state, state, worker, 'continue',
    now() + interval '1 h', pause, null, case when state = 3 then now() end, 'key-' || number,
    case when mod(number, 4) = 0 then md5((number / 200)::text)::uuid end, case when mod(number, 4) = 0 then number end
from generate_series(1, 40000) as number,
    lateral (select case when number <= 20000 then 3 when number <= 20500 then 1 else 0 end as state) as states,
    lateral (select case when mod(number, 10) < 9 then 7 else 100 + mod(number, 200) end as owner) as owners,
    lateral (select case when state = 1 then 1 + mod(number, 8) end as worker) as workers,
    lateral (select case when state = 0 and mod(number, 100) = 0 then now() + interval '1 min' end as pause) as pauses
"""
INDEX: Final = re.compile(r"Index (?:Only )?Scan(?: Backward)? (?:using|on) (job_\w+)")
WHOLE: Final = re.compile(r"Seq Scan on job|using job_(?:body_)?pkey on \w+(?: \w+)?\n +(?! |Index Cond)")
NAMED: Final = re.compile(r"%\((\w+)\)s|(?<!:):(\w+)")


@pytest.fixture
async def backlog(database: Database) -> Database:
    await database.rows(BACKLOG)
    await database.rows("insert into job_body select id, '', '', 'demo/demo', null from job")
    await database.rows("insert into job_done select id, 1, '{}', null from job where state = 3")
    await database.rows(
        "insert into job_setback (job_id, fence, what) select id, 1, 'failed' from job order by id limit 5000"
    )
    for number in range(8):
        await database.rows(
            "insert into worker (name, queues, slots, lease_until)"
            " values (%s, '{chat}', 100, now() + interval '1 min')",
            f"worker-{number}",
        )
    await database.rows("analyze")
    return database


async def plan_of(database: Database, statement: str) -> str:
    """Return the generic plan of a statement with psycopg's or SQLAlchemy's placeholders."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    numbered = NAMED.sub(number, statement)
    for position in range(1, numbered.count("%b") + 1):
        numbered = numbered.replace("%b", f"${position}", 1)
    return await database.explain(f"explain (generic_plan, costs off) {numbered}")


EXPECTED: Final = {
    submit.INSERT_JOBS: {"job_pkey", "job_idempotency", "job_ready", "job_turns"},
    submit.FIND_JOBS: {"job_pkey", "job_idempotency", "job_body_pkey"},
    run.CLAIM: {"job_pkey", "job_body_pkey", "job_setback_job_id_ix"},
    run.FINISH: {"job_pkey", "job_body_pkey"},
    turns.FREE_NEXT.text: {"job_turns", "job_pkey"},
    turns.FREE_BLOCKED: {"job_after", "job_turns", "job_pkey"},
    turns.SETTLE_ONE.text: {"job_pkey"},
    turns.SETTLE_ALL: {"job_pkey"},
    run.GIVE_BACK: {"job_pkey"},
    run.PARK: {"job_pkey"},
    sweep.WAKE: {"job_after", "job_pkey"},
    sweep.TAKE_BACK: {"job_running", "job_pkey"},
    sweep.EXPIRE: {"job_deadline", "job_pkey"},
    sweep.FAIL_OVERDUE: {"job_running", "job_pkey"},
    sweep.FORGET_BELLS: {"job_ready", "job_deadline", "job_pkey"},
    ring.TOP_UP.text: {"job_ready", "job_running", "job_pkey"},
    ring.UNRING.text: {"job_pkey"},
    control.REQUEST_CANCEL.text: {"job_pkey"},
    reading.POSITION.text: {"job_ready"},
    reading.QUEUE_DEPTHS.text: {"job_ready", "job_deadline", "job_after", "job_running"},
}
"""The indexes each may use. The partial ones hold no job that has ended."""


async def test_rows_are_found_by_their_indexes(backlog: Database) -> None:
    wrong: dict[str, str] = {}
    for statement, indexes in EXPECTED.items():
        plan = await plan_of(backlog, statement)
        used = set(INDEX.findall(plan))
        if not used or not used <= indexes or WHOLE.search(plan):
            wrong[f"{used} instead of {indexes}: {statement}"] = plan
    assert not wrong, "\n\n".join(f"{statement}\n{plan}" for statement, plan in wrong.items())


HOT: Final = (
    run.CLAIM,
    run.FIND_CLAIMS,
    run.FINISH,
    run.FIND_ENDS,
    submit.LOCK_CHATS,
    submit.INSERT_JOBS,
    submit.FIND_JOBS,
)
SCAN: Final = re.compile(
    r"((?:Seq|Index|Index Only|Bitmap Heap) Scan.*) on ((?:job|job_body|chat|message|charge)(?: \w+)?)\n +(.*)"
)
KEYS: Final = re.compile(r"Index Cond: \(+(?:id|idempotency_key|queue|chat_id|owner_id) ")

FEW: Final = "using job_running"
"""What runs may be read whole: there is no more of it than there are slots."""


async def test_tables_that_were_counted_when_empty_are_not_read_whole(backlog: Database) -> None:
    """What was planned then is used until the next `analyze`, however many jobs come before it."""
    for table in ("job_done", "job_setback", "job_body", "job"):
        await backlog.rows(f"delete from {table}")  # type: ignore[arg-type]  # one of four names
    await backlog.rows("analyze")
    for setting in SESSION:
        await backlog.rows(setting)
    scans = {statement: SCAN.findall(await plan_of(backlog, statement)) for statement in HOT}
    assert all(scans.values())
    large = [scan for found in scans.values() for scan in found if FEW not in scan[0]]
    assert [scan for scan in large if not KEYS.match(scan[2])] == []
