"""All rows of a batch as CSV and JSONL, and the body that sends them."""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from api.reports.rows import RISKY, csv_header, csv_rows, jsonl_rows
from api.reports.streamed import Streamed
from api.services.batches.report_head import Asked
from api.services.batches.report_photos import Item, ReportPhoto
from shared.domain.batches import ItemState
from shared.domain.comparison import Variant
from shared.domain.dispense import SMARTSIP_V01
from shared.domain.errors import NotFound

IMAGE = UUID("0199a8f2-0000-7000-8000-000000000001")
JOB = UUID("0199a8f2-0000-7000-8000-000000000002")
GPT = Asked(
    variant=Variant(number=1, name="gpt", model="openai/gpt-4o", prompt="tea@1", profile=SMARTSIP_V01),
    prompt_text="Pour tea.",
    parameters={},
)
ANSWERED = Item(
    state=ItemState.SUCCEEDED,
    job_id=JOB,
    tries=1,
    receivable=True,
    child_present=False,
    container="cup",
    contents="tea",
    volume=200,
    degree=80,
    asked_volume=600.5,
    asked_degree=float("nan"),
    interventions=["volume", "degree"],
    is_unusable=False,
    latency_ms=1200,
    input_tokens=900,
    output_tokens=80,
    cost=Decimal("0.000300000"),
    ended_at=datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
)
WAITING = {
    "position": 0,
    "image_id": str(IMAGE),
    "file": "one.jpg",
    "variant": 1,
    "variant_name": "gpt",
    "model": "openai/gpt-4o",
    "prompt": "tea@1",
    "profile": "smartsip-v0.1",
    "state": "pending",
    "job_id": None,
    "tries": 0,
    "error_code": None,
    "error_detail": None,
    "receivable": None,
    "child_present": None,
    "container": None,
    "contents": None,
    "volume": None,
    "degree": None,
    "asked_volume": None,
    "asked_degree": None,
    "interventions": None,
    "is_unusable": None,
    "latency_ms": None,
    "input_tokens": None,
    "output_tokens": None,
    "cost": None,
    "ended_at": None,
}


def of_photo(item: Item, **labels: Any) -> ReportPhoto:
    return ReportPhoto(position=0, image_id=IMAGE, is_gone=False, name="one.jpg", labels=labels, items=[item])


def read_csv(photo: ReportPhoto, labels: list[str]) -> list[dict[str, str]]:
    content = csv_header(labels) + csv_rows([photo], [GPT], labels)
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))


def test_a_row_of_jsonl_says_everything_with_its_type() -> None:
    row = msgspec.json.decode(jsonl_rows([of_photo(ANSWERED, file="one.jpg", child_present=False, lab=7)], [GPT]))
    assert row == WAITING | {
        "state": "succeeded",
        "job_id": str(JOB),
        "tries": 1,
        "receivable": True,
        "child_present": False,
        "container": "cup",
        "contents": "tea",
        "volume": 200,
        "degree": 80,
        "asked_volume": 600.5,
        "interventions": ["volume", "degree"],
        "is_unusable": False,
        "latency_ms": 1200,
        "input_tokens": 900,
        "output_tokens": 80,
        "cost": 0.0003,
        "ended_at": "2026-11-21T12:00:00Z",
        "label_child_present": False,
        "label_lab": 7,
    }


def test_what_was_not_begun_is_a_row_without_a_result() -> None:
    assert msgspec.json.decode(jsonl_rows([of_photo(Item())], [GPT])) == WAITING


def test_a_row_of_csv_says_the_same_in_words() -> None:
    row = read_csv(of_photo(ANSWERED, child_present=False, lab=7), ["child_present", "lab", "other"])
    assert row == [
        {name: str(value) if value is not None else "" for name, value in WAITING.items()}
        | {
            "state": "succeeded",
            "job_id": str(JOB),
            "tries": "1",
            "receivable": "true",
            "child_present": "false",
            "container": "cup",
            "contents": "tea",
            "volume": "200",
            "degree": "80",
            "asked_volume": "600.5",
            "interventions": "volume degree",
            "is_unusable": "false",
            "latency_ms": "1200",
            "input_tokens": "900",
            "output_tokens": "80",
            "cost": "0.0003",
            "ended_at": "2026-11-21T12:00:00Z",
            "label_child_present": "false",
            "label_lab": "7",
            "label_other": "",
        }
    ]


def test_numbers_stay_numbers_where_texts_are_made_harmless() -> None:
    (row,) = read_csv(of_photo(ANSWERED, cold=-5, text="-5", formula="=1+1"), ["cold", "text", "formula"])
    assert (row["label_cold"], row["label_text"], row["label_formula"]) == ("-5", "'-5", "'=1+1")


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
@settings(max_examples=60)
def test_any_text_comes_back_from_csv_and_none_begins_a_formula(text: str) -> None:
    (row,) = read_csv(of_photo(Item(state=ItemState.FAILED, error_detail=text), said=text), ["said"])
    assert row["label_said"] == row["error_detail"] == ("'" + text if text.startswith(RISKY) else text)
    assert not row["label_said"].startswith(RISKY)


class Client:
    """Somebody at the other end, who may leave."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.received: list[Message] = []

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.received.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.received)

    @property
    def got_the_end(self) -> bool:
        return self.received[-1].get("more_body") is False


class Source:
    """Pieces, and how far they were made."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.made = 0
        self.is_closed = False
        self._pieces = pieces
        self._error = error

    async def pieces(self) -> AsyncGenerator[bytes]:
        try:
            for piece in self._pieces:
                self.made += 1
                yield piece
            if self._error is not None:
                raise self._error
        finally:
            self.is_closed = True


async def send_to(client: Client, source: Source, *, send_timeout: timedelta = timedelta(seconds=5)) -> None:
    response = Streamed(source.pieces(), media_type="text/csv", headers={}, send_timeout=send_timeout)
    assert "content-length" not in response.headers
    await response({"type": "http"}, client.receive, client.send)


async def test_pieces_are_sent_in_parts_that_a_slow_reader_can_take() -> None:
    client, source = Client(), Source(b"a" * 100_000, b"b")
    await send_to(client, source)
    assert client.body == b"a" * 100_000 + b"b"
    assert client.got_the_end
    assert max(len(message.get("body", b"")) for message in client.received) == 64 * 1024


async def test_nothing_more_is_made_for_a_client_that_left() -> None:
    client, source = Client(), Source(*[b"x"] * 1000)
    client.left.set()

    async def take_a_while(message: Message) -> None:
        await asyncio.sleep(0)
        client.received.append(message)

    client.send = take_a_while
    await send_to(client, source)
    assert source.is_closed
    assert source.made < 10
    assert not client.got_the_end


async def test_nothing_more_is_made_for_a_client_that_does_not_read() -> None:
    client, source = Client(), Source(*[b"x"] * 1000)

    async def read_the_head_only(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()
        client.received.append(message)

    client.send = read_the_head_only
    await send_to(client, source, send_timeout=timedelta(milliseconds=10))
    assert source.is_closed
    assert source.made == 1


async def test_an_error_on_the_way_cuts_the_body_off_before_its_end() -> None:
    client, source = Client(), Source(b"half", error=NotFound("The batch was deleted meanwhile."))
    await send_to(client, source)
    assert client.body == b"half"
    assert not client.got_the_end


async def test_a_bug_on_the_way_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        await send_to(Client(), Source(error=ZeroDivisionError()))
