"""What a job is charged: what its provider counted, else an estimate; and what that costs."""

from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.database.claims import Charge
from shared.domain.commands import ChatInput, JobSpec, Message
from shared.domain.errors import DeadlineExceeded, ErrorInfo, ProviderOverloaded
from shared.domain.events import Event, Reasoning, Reply, Text, Usage
from shared.domain.ids import OwnerId, new_job_id
from shared.domain.jobs import Kind
from shared.settings_dialects import Price
from workers.attempt_log import AttemptLog
from workers.charges import MOST_TOKENS, charge_of, cost_of
from workers.providers.base import Provider
from workers.services.attempt import Attempt, Tools

SPEC = JobSpec(kind=Kind.CHAT, model="openai/scripted", input=ChatInput(messages=[Message(role="user", content="Hi")]))
PRICE = Price(input=Decimal(3), output=Decimal(15), cached_input=Decimal("0.3"))
TOKENS = st.integers(0, MOST_TOKENS)
OVERLOADED = ProviderOverloaded().info()


def an_attempt(*, price: Price | None = None, input_weight: int = 40, is_called: bool = True) -> Attempt:
    """An attempt of which only what the ledger looks at is there."""
    prices = {} if price is None else {SPEC.model: price}
    parts: dict[str, Any] = dict.fromkeys(Tools.__dataclass_fields__) | {"prices": prices}
    attempt = Attempt(job_id=new_job_id(), owner_id=OwnerId(1), spec=SPEC, tools=Tools(**parts), emit=lambda _: None)
    attempt.input_weight = input_weight
    if is_called:
        attempt.provider = cast("Provider", object())  # whoever it is, it was called
    return attempt


def a_log(*events: Event) -> AttemptLog:
    log = AttemptLog(new_job_id(), 1, notify=lambda _log, _must_not_wait: None)
    for event in events:
        log.append(event)
    return log


def charged(
    *events: Event,
    usage: Usage | None = None,
    error: ErrorInfo | None = None,
    losses: int = 0,
    **attempt: Any,
) -> Charge | None:
    return charge_of(an_attempt(**attempt), a_log(*events), Reply(usage=usage, error=error), losses=losses)


def cost_in(charge: Charge | None) -> Decimal | None:
    assert charge is not None
    return charge.cost


def a_charge(input_tokens: int, output_tokens: int, **changes: Any) -> Charge:
    facts: dict[str, Any] = {"reasoning_tokens": 0, "cached_tokens": 0, "lost_tokens": 0, "is_estimated": False}
    return Charge(model=SPEC.model, input_tokens=input_tokens, output_tokens=output_tokens, **(facts | changes))


def test_what_the_provider_counted_is_charged():
    usage = Usage(100, 20, reasoning_tokens=15, cached_tokens=50)
    expected = a_charge(100, 20, reasoning_tokens=15, cached_tokens=50)
    assert charged(Text("whatever"), usage=usage) == expected
    assert charged(Text("whatever"), usage=usage, error=OVERLOADED) == expected


def test_where_the_provider_did_not_count_what_went_and_came_is_estimated():
    assert charged(Reasoning("hm, "), Text("Hello")) == a_charge(10, 3, is_estimated=True)
    assert charged(Text("Hello"), error=OVERLOADED) == a_charge(10, 2, is_estimated=True)
    assert charged() == a_charge(10, 0, is_estimated=True)  # stopped before its first word


def test_a_provider_that_failed_without_a_word_costs_nothing_and_a_deadline_does():
    assert charged(error=OVERLOADED) == a_charge(0, 0, is_estimated=True)
    assert charged(error=DeadlineExceeded().info()) == a_charge(10, 0, is_estimated=True)


def test_a_job_that_went_to_another_model_is_charged_at_that_models_price():
    attempt = an_attempt(price=PRICE)
    attempt.model = "ollama/another"
    usage = Usage(1_000_000, 0)
    found = charge_of(attempt, a_log(Text("whatever")), Reply(usage=usage), losses=0)
    assert found is not None
    assert (found.model, found.cost) == ("ollama/another", None)
    prices = {"ollama/another": Price(input=Decimal(7), output=Decimal(0)), SPEC.model: PRICE}
    attempt.tools = replace(attempt.tools, prices=prices)
    assert cost_in(charge_of(attempt, a_log(Text("whatever")), Reply(usage=usage), losses=0)) == 7


def test_a_job_for_which_no_provider_was_called_leaves_no_entry():
    assert charged(is_called=False) is None
    assert charged(is_called=False, losses=1) is not None


def test_lost_attempts_count_with_what_they_were_sent():
    assert charged(usage=Usage(100, 20), losses=3) == a_charge(100, 20, lost_tokens=300, is_estimated=True)
    assert charged(error=OVERLOADED, losses=2) == a_charge(0, 0, lost_tokens=20, is_estimated=True)


@given(tokens=st.tuples(*[st.integers(-(2**70), 2**70)] * 4))
def test_no_count_of_a_provider_can_overflow_the_ledger(tokens: tuple[int, int, int, int]):
    found = charged(usage=Usage(*tokens), losses=10, price=Price(input=Decimal(10**6), output=Decimal(10**6)))
    assert found is not None
    numbers = (found.input_tokens, found.output_tokens, found.reasoning_tokens, found.cached_tokens)
    assert numbers == tuple(max(0, min(count, MOST_TOKENS)) for count in tokens)
    assert found.lost_tokens <= 10 * MOST_TOKENS
    assert found.cost is not None
    assert 0 <= found.cost < 10**11  # numeric(20, 9)


@pytest.mark.parametrize(
    ("usage", "lost_tokens", "cost"),
    [
        (Usage(1_000_000, 0), 0, "3"),
        (Usage(0, 1_000_000), 0, "15"),
        (Usage(1_000_000, 0, cached_tokens=1_000_000), 0, "0.3"),
        (Usage(1_000_000, 0, cached_tokens=2_000_000), 0, "0.3"),
        (Usage(100, 10, reasoning_tokens=10, cached_tokens=40), 0, "0.000342"),
        (Usage(0, 0), 1_000_000, "3"),
        (Usage(1, 0), 0, "0.000003"),
    ],
)
def test_cost_is_exact(usage: Usage, lost_tokens: int, cost: str):
    assert cost_of(usage, PRICE, lost_tokens=lost_tokens) == Decimal(cost)


def test_cached_input_costs_what_input_does_where_no_price_is_given_and_without_a_price_nothing_is_known():
    price = Price(input=Decimal(3), output=Decimal(15))
    assert cost_of(Usage(1_000_000, 0, cached_tokens=500_000), price) == 3
    assert cost_in(charged(usage=Usage(1, 1))) is None
    assert cost_in(charged(usage=Usage(1_000_000, 0), price=price)) == 3


@given(TOKENS, TOKENS, TOKENS, TOKENS)
def test_more_tokens_never_cost_less_and_cached_ones_never_more(sent: int, more: int, written: int, cached: int):
    cost = cost_of(Usage(sent, written), PRICE)
    assert cost_of(Usage(sent + more, written), PRICE) >= cost
    assert cost_of(Usage(sent, written + more), PRICE) >= cost
    assert 0 <= cost_of(Usage(sent, written, cached_tokens=cached), PRICE) <= cost
