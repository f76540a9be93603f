"""Streams of tokens, from the provider directly and through the system; every token is accounted for."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from benchmarks.connection import Response, http_request
from benchmarks.plan import Plan
from benchmarks.script import read_script, read_tokens
from benchmarks.sse import ServerSentEvent, read_events
from benchmarks.work import Outcome, refusal

_PROMPT: Final = "Write a long text about water."
TERMINAL: Final = frozenset({"completed", "failed", "cancelled", "expired"})


class _Text(msgspec.Struct):
    text: str


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice]


_decode_text = msgspec.json.Decoder(_Text).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class _Tokens:
    """Collects the tokens of one stream and notices the first that is not the next one."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[int, int]] = []
        self.fault: str | None = None

    def add(self, text: str, received_ns: int) -> None:
        tokens = read_tokens(text)
        if tokens is None:
            self.fault = self.fault or f"text the provider did not send: {text[:60]!r}"
            return
        for position, sent_ns in tokens:
            if position != len(self.arrivals):
                self.fault = self.fault or "tokens were lost, doubled or out of order"
            self.arrivals.append((received_ns, sent_ns))

    def judged(self, expected: int, problem: str | None) -> Outcome:
        if problem is None and self.fault is None and len(self.arrivals) != expected:
            problem = "tokens are missing"
        first_ns = self.arrivals[0][0] if self.arrivals else None
        return Outcome(problem or self.fault, first_ns, tuple(self.arrivals))


class DirectStreams:
    """The provider, asked as its own clients ask it."""

    def __init__(self, plan: Plan) -> None:
        body: dict[str, Any] = {  # JSON
            "model": plan.model,
            "messages": [{"role": "user", "content": _PROMPT}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        self._request = http_request("POST", "/v1/chat/completions", token=plan.token, body=msgspec.json.encode(body))
        self._expected = _expected_tokens(plan)

    def requests(self, number: int, client: int) -> Sequence[bytes]:
        return (self._request,)

    def judge(self, responses: Sequence[Response]) -> Outcome:
        (response,) = responses
        tokens = _Tokens()
        if problem := refusal(response, expected=200):
            return tokens.judged(self._expected, problem)
        events, rest = read_events(response.pieces)
        if rest or not events or events[-1].data != "[DONE]":
            return tokens.judged(self._expected, "the stream has no proper end")
        for event in events[:-1]:
            for choice in _decode_chunk(event.data).choices:
                if choice.delta.content:
                    tokens.add(choice.delta.content, event.received_ns)
        return tokens.judged(self._expected, None)


class SystemStreams:
    """The system's own API: submit a chat job and be answered with its events."""

    def __init__(self, plan: Plan) -> None:
        body: dict[str, Any] = {  # JSON
            "kind": "chat",
            "model": f"openai/{plan.model}",
            "input": {"messages": [{"role": "user", "content": _PROMPT}]},
        }
        headers = "Accept: text/event-stream\r\n"
        encoded = msgspec.json.encode(body)
        self._request = http_request("POST", "/v2/jobs", token=plan.token, headers=headers, body=encoded)
        self._expected = _expected_tokens(plan)

    def requests(self, number: int, client: int) -> Sequence[bytes]:
        return (self._request,)

    def judge(self, responses: Sequence[Response]) -> Outcome:
        (response,) = responses
        tokens = _Tokens()
        if problem := refusal(response, expected=200):
            return tokens.judged(self._expected, problem)
        events, rest = read_events(response.pieces)
        for event in events:
            if event.type == "text":
                tokens.add(_decode_text(event.data).text, event.received_ns)
        return tokens.judged(self._expected, "the last event is cut off" if rest else law_broken(events))


def law_broken(events: list[ServerSentEvent]) -> str | None:
    """Return how a job's events break the law of one undisturbed attempt; None if they keep it.

    `queued` may come first, as 0.1; then 1.1, 1.2, 1.3 … without a gap, `started` first, `completed` last and alone.
    """
    attempt = [event for event in events if event.type != "queued"]
    types = [event.type for event in attempt]
    if "restarted" in types:
        return "the job was restarted"
    if not types or types[-1] not in TERMINAL:
        return "the stream ended without a terminal event"
    if types[-1] != "completed":
        return f"the job {types[-1]}: {attempt[-1].data[:300]}"
    if types[0] != "started" or sum(map(TERMINAL.__contains__, types)) != 1:
        return "the stream does not have one start and one end"
    return None if _is_dense(event.id for event in attempt) else "the events' ids are not dense"


def _is_dense(ids: Iterable[str]) -> bool:
    return all(cursor == f"1.{seq}" for seq, cursor in enumerate(ids, start=1))


def _expected_tokens(plan: Plan) -> int:
    script = read_script(plan.model)
    assert script is not None, plan.model
    return script.tokens
