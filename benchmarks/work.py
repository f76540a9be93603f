"""A piece of work: its requests, and how their answers are judged when the clock has stopped."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from benchmarks.connection import Response


class Outcome(NamedTuple):
    """One piece of work, judged. Without a problem it is whole: everything the provider sent came, once, in order."""

    problem: str | None
    first_token_ns: int | None = None
    tokens: tuple[tuple[int, int], ...] = ()
    """When each token arrived, and when the provider had sent it."""


class Work(Protocol):
    """One kind of work at one target."""

    def requests(self, number: int, client: int) -> Sequence[bytes]:
        """Return the requests, one after the other, with which a client does it for the `number`th time of all."""
        ...

    def judge(self, responses: Sequence[Response]) -> Outcome:
        """Say what came of it; there is a response for every request."""
        ...


def refusal(response: Response, *, expected: int) -> str | None:
    """Return what is wrong with a response's status or length, in words; None if nothing is."""
    if response.status == 0:
        return "the connection broke before an answer"
    if response.status != expected:
        return f"HTTP {response.status} instead of {expected}: {response.body[:300].decode(errors='replace')}"
    return None if response.is_whole else "the answer broke off"
