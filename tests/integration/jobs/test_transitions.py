from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.database.claims import Claims
from shared.database.control import JobControl
from shared.database.submissions import Submissions
from shared.database.sweep import Sweep
from shared.database.workers import WorkerLeases
from shared.domain.jobs import MAX_ATTEMPTS, MAX_LOSSES, TERMINAL, TRANSITIONS, State
from tests.integration.jobs.factory import Database
from tests.integration.jobs.world import EVERY_STATE, OPERATIONS, Life, Row, World

RESERVED = {State.QUEUED: {State.FAILED}, State.WAITING: {State.FAILED}}
"""Moves that are allowed and that nothing makes yet."""


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


@pytest.mark.parametrize("state", State)
async def test_a_job_moves_as_the_table_says_and_not_otherwise(state: State, world: World) -> None:
    reached: set[State] = set()
    for name, operation in OPERATIONS.items():
        life = await Life.begin(world)
        for step in EVERY_STATE[state]:
            await OPERATIONS[step](life)
        assert (await life.row()).state is state
        if name == "confirm the cancel":
            await life.cancel()
        await operation(life)
        reached.add((await life.row()).state)
    assert reached - {state} == TRANSITIONS[state] - RESERVED.get(state, set())


def check(before: Row, after: Row, name: str, *, is_refused: bool) -> None:
    """Assert what must hold after any operation."""
    assert after.state is before.state or after.state in TRANSITIONS[before.state]
    assert before.fence <= after.fence <= before.fence + 1
    assert after.endings == after.has_end_time == (after.state in TERMINAL)
    assert after.has_pause <= (after.state in (State.QUEUED, State.WAITING))
    assert after.has_worker or after.state is not State.RUNNING
    assert after.attempts <= MAX_ATTEMPTS
    assert after.losses <= MAX_LOSSES
    if is_refused:
        assert after == before
    if before.state in TERMINAL and name != "replay":
        assert after == before
    if name == "claim":
        assert after.fence == before.fence + (after.state is not before.state)


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.sampled_from([*OPERATIONS, "claim", "claim", "end the pause"]), max_size=25))
async def test_any_life_ends_once(world: World, names: list[str]) -> None:
    life = await Life.begin(world)
    before = await life.row()
    for name in names:
        life.is_refused = False
        await OPERATIONS[name](life)
        after = await life.row()
        check(before, after, name, is_refused=life.is_refused)
        before = after
    await life.pass_deadline_long_ago()
    await life.kill_worker()
    assert (await life.row()).state in TERMINAL


async def test_a_repeated_end_changes_nothing(world: World) -> None:
    life = await Life.begin(world)
    await life.claim_it()
    rows: list[Any] = []
    for _ in range(3):
        await life.finish(State.SUCCEEDED)
        assert not life.is_refused
        rows.append(await life.row())
    assert rows == [rows[0]] * 3
