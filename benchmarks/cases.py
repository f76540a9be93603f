"""The cases: what each one does, shows, and hopes for."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from benchmarks.plan import DeviceKeys, Plan, Target, WorkKind

Comparison: TypeAlias = Literal["added", "ratio", "none"]


class Row(msgspec.Struct, frozen=True):
    """One line of a case's table: a figure, and how the system's is set beside the provider's own."""

    label: str
    figure: str
    comparison: Comparison


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What a case is hoped to show on two cores; reported, never a reason to fail."""

    sentence: str
    figure: str
    comparison: Comparison = "none"
    at_most: float = math.inf
    at_least: float = -math.inf
    judged_by: Literal["median", "least", "most"] = "median"
    """Which of the rounds' values counts."""

    def is_met(self, value: float) -> bool:
        """Say whether a value reaches the goal."""
        return self.at_least <= value <= self.at_most


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of load: a plan without an address. Fields as in `Plan`."""

    work: WorkKind
    model: str
    in_flight: int
    count: int | None = None
    start_within_s: float = 0.0
    warm_up_s: float = 0.0
    measured_s: float | None = None
    every_s: float | None = None

    @property
    def is_of_devices(self) -> bool:
        """Whether each client is a registered device."""
        return self.work in ("touches", "device posts")

    def clients(self, scale: float) -> int:
        """Return how many clients there are at a scale."""
        return max(1, round(self.in_flight * scale))

    def plan(self, target: Target, *, port: int, token: str, scale: float, devices: Sequence[DeviceKeys] = ()) -> Plan:
        """Return the plan for one run; `scale` below 1 makes it smaller and shorter, for trying things out."""
        in_flight = self.clients(scale)
        count = max(in_flight, round(self.count * scale)) if self.count is not None else None
        return Plan(
            work=self.work,
            target=target,
            port=port,
            token=token,
            model=self.model,
            in_flight=in_flight,
            count=count,
            start_within_s=self.start_within_s,
            warm_up_s=self.warm_up_s * scale,
            measured_s=max(self.every_s or 1.0, self.measured_s * scale) if self.measured_s is not None else None,
            every_s=self.every_s,
            devices=devices,
        )


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One question, and the load that answers it. Without the system it only shows what the harness can do."""

    name: str
    shows: str
    load: Load
    rows: Sequence[Row]
    goals: Sequence[Goal] = ()
    targets: Sequence[Target] = ("direct", "system")


FIRST_TOKEN: Final = (
    Row("first token p50, ms", "first_token_ms.p50", "added"),
    Row("first token p99, ms", "first_token_ms.p99", "added"),
)
TRAVEL: Final = (
    Row("token's way p50, ms", "travel_ms.p50", "added"),
    Row("token's way p99, ms", "travel_ms.p99", "added"),
)
TOKENS: Final = (Row("tokens per second", "tokens_per_s", "ratio"),)
STREAM: Final = (Row("whole stream p50, s", "stream_s.p50", "ratio"),)
ANSWERS: Final = (
    Row("answers per second", "answers_per_s", "ratio"),
    Row("answer p50, ms", "answer_ms.p50", "added"),
    Row("answer p99, ms", "answer_ms.p99", "added"),
)
DEVICE_ANSWERS: Final = (*ANSWERS[1:], Row("answer max, ms", "answer_ms.max", "added"))
WITHIN_4_S: Final = Goal(sentence="every answer within 4 s", figure="answer_ms.max", at_most=4000.0, judged_by="most")
ALL_SAFE: Final = Goal(
    sentence="every answer the right, safe command", figure="whole_share", at_least=1.0, judged_by="least"
)
ALL_WHOLE: Final = Goal(sentence="every stream whole", figure="whole_share", at_least=1.0)

_ALL: Final = (
    Case(
        name="ttft-1",
        shows="time to first token, 200 streams one after the other; the provider takes 10 ms",
        load=Load(work="streams", model="m-3-2-10", in_flight=1, count=200),
        rows=(*FIRST_TOKEN, *TRAVEL),
        goals=(
            Goal(
                sentence="added time to first token p50 under 8 ms",
                figure="first_token_ms.p50",
                comparison="added",
                at_most=8.0,
            ),
        ),
    ),
    Case(
        name="ttft-100",
        shows="time to first token while 100 streams run at 5 tokens/s, 20 new ones a second; the provider takes 20 ms",
        load=Load(work="streams", model="m-25-200-20", in_flight=100, count=300, start_within_s=5.0),
        rows=(*FIRST_TOKEN, *TRAVEL),
    ),
    Case(
        name="burst-100",
        shows="time to first token of 100 streams begun in the same instant; the provider takes 20 ms",
        load=Load(work="streams", model="m-25-50-20", in_flight=100, count=100),
        rows=FIRST_TOKEN,
    ),
    Case(
        name="tokens-100",
        shows="100 streams at 50 tokens/s for 5 s: 5,000 tokens/s",
        load=Load(work="streams", model="m-250-20-20", in_flight=100, count=100, start_within_s=1.0),
        rows=(*TOKENS, *STREAM, *FIRST_TOKEN, *TRAVEL),
    ),
    Case(
        name="tokens-1000",
        shows="1,000 streams at 20 tokens/s for 10 s, begun within 4 s: 20,000 tokens/s",
        load=Load(work="streams", model="m-200-50-20", in_flight=1000, count=1000, start_within_s=4.0),
        rows=(*TOKENS, *STREAM, *FIRST_TOKEN, *TRAVEL),
        goals=(ALL_WHOLE,),
    ),
    Case(
        name="photos-200",
        shows="inline photos to safe commands, 200 in flight; the provider takes 1 s (so 200/s is all there is)",
        load=Load(work="photos", model="photo-1000", in_flight=200, start_within_s=1.0, warm_up_s=3.0, measured_s=20.0),
        rows=ANSWERS,
        goals=(
            Goal(sentence="at least 180 answers a second", figure="answers_per_s", at_least=180.0),
            ALL_SAFE,
        ),
    ),
    Case(
        name="photos-1000",
        shows="the same with 1,000 in flight: how many answers a second this machine is good for",
        load=Load(
            work="photos", model="photo-1000", in_flight=1000, start_within_s=1.0, warm_up_s=4.0, measured_s=20.0
        ),
        rows=ANSWERS,
    ),
    Case(
        name="devices-200",
        shows="200 fielded dispensers, a touch each per 5 s (store a signed photo, ask); the provider takes 1 s",
        load=Load(work="touches", model="photo-1000", in_flight=200, every_s=5.0, warm_up_s=5.0, measured_s=30.0),
        rows=(
            *DEVICE_ANSWERS,
            Row("touch p50, ms", "touch_ms.p50", "added"),
            Row("touch p99, ms", "touch_ms.p99", "added"),
            Row("touch max, ms", "touch_ms.max", "added"),
        ),
        goals=(WITHIN_4_S, ALL_SAFE),
    ),
    Case(
        name="device-post-200",
        shows="the same with newer firmware: one POST with the photo, on a kept connection",
        load=Load(work="device posts", model="photo-1000", in_flight=200, every_s=5.0, warm_up_s=5.0, measured_s=30.0),
        rows=DEVICE_ANSWERS,
        goals=(WITHIN_4_S, ALL_SAFE),
    ),
    Case(
        name="submissions",
        shows="3,000 jobs submitted over 50 connections as fast as they are accepted, and then run to their end",
        load=Load(work="submissions", model="m-1-0-0", in_flight=50, count=3000),
        rows=(*ANSWERS, Row("jobs ended per second", "ended_per_s", "none")),
    ),
    Case(
        name="mock-limit",
        shows="1,000 streams at 50 tokens/s, provider alone: what the mock provider and the load generator can do",
        load=Load(work="streams", model="m-250-20-20", in_flight=1000, count=1000, start_within_s=2.0),
        rows=(*TOKENS, *STREAM, *FIRST_TOKEN, *TRAVEL),
        targets=("direct",),
    ),
    Case(
        name="mock-limit-photos",
        shows="photos at a provider that takes no time, provider alone",
        load=Load(work="photos", model="photo-0", in_flight=100, warm_up_s=1.0, measured_s=5.0),
        rows=ANSWERS,
        targets=("direct",),
    ),
)
CASES: Final[Mapping[str, Case]] = {case.name: case for case in _ALL}
