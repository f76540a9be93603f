"""Jobs submitted as fast as they are accepted; whether they also end is what `system.wait_until_idle` waits for."""

from collections.abc import Sequence
from typing import Any

import msgspec

from benchmarks.connection import Response, http_request
from benchmarks.plan import Plan
from benchmarks.work import Outcome, refusal


class DirectSubmissions:
    """The provider, asked for one whole answer: what a caller without the system would send instead."""

    def __init__(self, plan: Plan) -> None:
        body: dict[str, Any] = {"model": plan.model, "messages": [{"role": "user", "content": "Hello"}]}  # JSON
        self._request = http_request("POST", "/v1/chat/completions", token=plan.token, body=msgspec.json.encode(body))

    def requests(self, number: int, client: int) -> Sequence[bytes]:
        return (self._request,)

    def judge(self, responses: Sequence[Response]) -> Outcome:
        (response,) = responses
        return Outcome(refusal(response, expected=200))


class SystemSubmissions:
    """The system's own API: submit a chat job, and do not wait for its end."""

    def __init__(self, plan: Plan) -> None:
        body: dict[str, Any] = {  # JSON
            "kind": "chat",
            "model": f"openai/{plan.model}",
            "input": {"messages": [{"role": "user", "content": "Hello"}]},
        }
        self._request = http_request("POST", "/v2/jobs", token=plan.token, body=msgspec.json.encode(body))

    def requests(self, number: int, client: int) -> Sequence[bytes]:
        return (self._request,)

    def judge(self, responses: Sequence[Response]) -> Outcome:
        (response,) = responses
        return Outcome(refusal(response, expected=202))
