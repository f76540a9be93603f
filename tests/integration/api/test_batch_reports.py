"""A batch's report over HTTP: findings, the page, and all rows, from what is in the database."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import delete, update

from api.services.batches.report import compared, findings_of, heads_of
from api.services.batches.report_photos import photo_pages
from shared.database.batch_tables import ITEM_CODES, batch
from shared.database.tables import image
from shared.domain.batches import BatchState, ItemState, VariantSpec
from shared.domain.commands import Parameters
from shared.domain.comparison import Confusion, Findings, share_of
from shared.domain.dispense import BUILT_IN_PROMPTS, SMARTSIP_V01
from shared.domain.errors import NotFound
from shared.domain.ids import LOCAL_OWNER
from shared.settings import Settings
from tests.images import photo
from tests.integration.api.batch_rows import VariantRows, add_batch, add_photos, answered, failed
from tests.integration.api.photos import client_of
from tests.served import Served, served

GPT = VariantSpec(model="openai/gpt-4o", prompt="tea@1", prompt_text="Pour tea.", parameters=Parameters(seed=7))
QWEN = VariantSpec(model="dashscope/qwen-vl", envelope=SMARTSIP_V01.model_copy(update={"name": "lab"}), profile="lab")
LABELS: list[dict[str, Any]] = [
    {"can_receive_water": True, "file": "one.jpg", "contents": "=1+1"},
    {"can_receive_water": "no", "file": "two.jpg", "lab": 7},
    {},
]
NOT_LABELLED: list[dict[str, Any]] = [{}] * 1000
CREATED_AT = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)
WRONG = [
    ("format=pdf", 422, "format"),
    ("against=yesterday", 422, "against"),
    ("against={same}", 422, "against"),
    ("against={nobodys}", 404, "against"),
    ("against={foreign}", 404, "against"),
    ("colour=red", 422, "colour"),
]
"""Each query with its status and the parameter that is to be named."""


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def new_batch(api: Served, photos: list[UUID] | None = None, **columns: Any) -> UUID:
    """A batch of three photos; gpt is right about both labelled ones, qwen pours onto nothing and fails once."""
    photos = photos or await add_photos(api, LABELS)
    gpt = VariantRows(
        spec=GPT, name="gpt", items=[answered(), answered(receivable=False), answered(error_detail="", cost=0.0003)]
    )
    qwen = VariantRows(spec=QWEN, items=[answered(volume=150), answered(container="-none-"), failed()])
    return await add_batch(api, photos, [gpt, qwen], created_at=CREATED_AT, **columns)


async def report(api: Served, batch_id: UUID, query: str = "") -> Any:  # an httpx answer
    answer = await api.client.get(f"/v2/batches/{batch_id}/report{query}")
    assert answer.status_code == 200, answer.text
    return answer


async def test_the_report_says_what_was_asked_and_what_was_found(api: Served) -> None:
    photos = await add_photos(api, LABELS)
    batch_id = await new_batch(api, photos, note="first")
    document = (await report(api, batch_id)).json()
    findings = msgspec.convert(document["findings"], Findings)
    assert (document["batch"], document["against"]) == (
        {
            "id": str(batch_id),
            "number": 1,
            "name": "november",
            "note": "first",
            "state": "completed",
            "photos": 3,
            "created_at": "2026-11-21T11:00:00Z",
            "ended_at": "2026-11-21T12:00:00Z",
            "selection": {"ids": [str(photo_id) for photo_id in photos]},
            "variants": [
                {
                    "number": 1,
                    "name": "gpt",
                    "model": "openai/gpt-4o",
                    "prompt": "tea@1",
                    "prompt_text": "Pour tea.",
                    "profile": "smartsip-v0.1",
                    "parameters": {"seed": 7},
                },
                {
                    "number": 2,
                    "name": "dashscope/qwen-vl",
                    "model": "dashscope/qwen-vl",
                    "prompt": QWEN.prompt,
                    "prompt_text": BUILT_IN_PROMPTS[QWEN.prompt].text,
                    "profile": "lab",
                    "parameters": {},
                },
            ],
        },
        None,
    )
    assert (findings.photos, findings.labelled) == (3, 2)
    assert [(variant.accuracy, variant.confusion, variant.failures) for variant in findings.variants] == [
        (share_of(2, 2), Confusion(yes_yes=1, no_no=1), {}),
        (share_of(1, 2), Confusion(yes_yes=1, no_yes=1), {"provider_timeout": 1}),
    ]
    assert [(variant.executed.onto_nothing, variant.open) for variant in findings.variants] == [(0, 0), (1, 0)]
    assert [(photo.name, photo.image_id) for photo in findings.disputed] == [
        ("two.jpg", photos[1]),
        ("one.jpg", photos[0]),
    ]
    assert findings == await findings_of(api.front, LOCAL_OWNER, batch_id)


async def test_against_an_earlier_batch_photos_are_matched_by_their_ids(api: Served) -> None:
    photos = await add_photos(api, LABELS)
    wrong = VariantRows(spec=GPT, name="gpt", items=[answered(receivable=False), answered(), None])
    earlier = await add_batch(api, [photos[1], photos[0], *await add_photos(api, [{}])], [wrong], name="october")
    document = (await report(api, await new_batch(api, photos), f"?against={earlier}")).json()
    assert (document["against"]["id"], document["against"]["name"]) == (str(earlier), "october")
    (change,) = msgspec.convert(document["findings"], Findings).changes
    assert (change.earlier, change.photos, change.decisions, change.mended, change.broken) == ("gpt", 2, 0, 0, 0)
    assert document["findings"]["unmatched"] == ["dashscope/qwen-vl"]


async def test_a_batch_under_way_is_reported_with_what_is_open(api: Served) -> None:
    running = answered(state=ITEM_CODES[ItemState.RUNNING], receivable=None)
    photos = await add_photos(api, LABELS)
    items = VariantRows(spec=GPT, items=[answered(), running, None])
    batch_id = await add_batch(api, photos, [items], state=BatchState.PAUSED)
    (found,) = (await findings_of(api.front, LOCAL_OWNER, batch_id)).variants
    assert (found.open, found.answered) == (2, share_of(1, 1))
    assert "Not finished: 2 answers still to come" in (await report(api, batch_id, "?format=html")).text


async def test_every_row_comes_as_csv_and_as_jsonl(api: Served) -> None:
    batch_id = await new_batch(api)
    as_csv, as_jsonl = await report(api, batch_id, "?format=csv"), await report(api, batch_id, "?format=jsonl")
    assert [
        (answer.headers["content-type"], answer.headers["content-disposition"]) for answer in (as_csv, as_jsonl)
    ] == [
        ("text/csv; charset=utf-8; header=present", 'attachment; filename="batch-1-november.csv"'),
        ("application/jsonl", 'attachment; filename="batch-1-november.jsonl"'),
    ]
    rows = [json.loads(line) for line in as_jsonl.text.splitlines()]
    table = list(csv.DictReader(io.StringIO(as_csv.content.decode(), newline=""), strict=True))
    assert [(row["position"], row["variant"], row["file"], row["state"], row["error_code"]) for row in rows] == [
        (0, 1, "one.jpg", "succeeded", None),
        (0, 2, "one.jpg", "succeeded", None),
        (1, 1, "two.jpg", "succeeded", None),
        (1, 2, "two.jpg", "succeeded", None),
        (2, 1, None, "succeeded", None),
        (2, 2, None, "failed", "provider_timeout"),
    ]
    assert [{name: value for name, value in row.items() if name.startswith("label_")} for row in rows[::2]] == [
        {"label_can_receive_water": True, "label_contents": "=1+1"},
        {"label_can_receive_water": "no", "label_lab": 7},
        {},
    ]
    assert [row[column] for row in table for column in ("label_can_receive_water", "label_contents", "label_lab")] == [
        *("true", "'=1+1", "", "true", "'=1+1", ""),
        *("no", "", "7", "no", "", "7"),
        *("", "", "", "", "", ""),
    ]
    assert [row["container"] for row in table] == ["cup", "cup", "cup", "'-none-", "cup", ""]
    assert [row["cost"] for row in table] == ["", "", "", "", "0.0003", ""]
    assert [list(row) for row in table] == [[*list(rows[2])[:-2], *list(table[0])[-3:]]] * 6


async def test_two_thousand_rows_are_never_all_held_at_once(api: Served) -> None:
    photos = await add_photos(api, NOT_LABELLED)
    variants = [VariantRows(spec=spec, items=[answered()] * 1000) for spec in (GPT, QWEN)]
    batch_id = await add_batch(api, photos, variants)
    head, _ = await heads_of(api.front, LOCAL_OWNER, batch_id, against=None)
    assert [len(page) async for page in photo_pages(api.front, head)] == [500, 500]
    answer = await report(api, batch_id, "?format=jsonl")
    assert answer.headers["transfer-encoding"] == "chunked"
    places = [(row["position"], row["variant"]) for row in map(json.loads, answer.text.splitlines())]
    assert places == [(position, variant) for position in range(1000) for variant in (1, 2)]
    assert (await compared(api.front, head, None)).photos == 1000


async def test_a_batch_that_is_deleted_while_it_is_read_does_not_look_complete(api: Served) -> None:
    photos = await add_photos(api, NOT_LABELLED[:501])
    batch_id = await add_batch(api, photos, [VariantRows(spec=spec, items=[None] * 501) for spec in (GPT, QWEN)])
    head, _ = await heads_of(api.front, LOCAL_OWNER, batch_id, against=None)
    pages = photo_pages(api.front, head)
    assert len(await anext(pages)) == 500
    async with api.front.queries.transaction() as connection:
        await connection.execute(delete(batch))
    with pytest.raises(NotFound):
        await anext(pages)


async def test_photos_that_were_deleted_do_not_count_and_keep_their_row(api: Served) -> None:
    photos = await add_photos(api, LABELS)
    batch_id = await new_batch(api, photos)
    async with api.front.queries.transaction() as connection:
        await connection.execute(delete(image).where(image.c.id == photos[0]))
    assert (await findings_of(api.front, LOCAL_OWNER, batch_id)).photos == 2
    rows = (await report(api, batch_id, "?format=jsonl")).text.splitlines()
    assert [(row["image_id"], row["file"]) for row in map(json.loads, rows[:1])] == [(str(photos[0]), None)]
    assert len(rows) == 6
    assert "1 photo of this batch was deleted since" in (await report(api, batch_id, "?format=html")).text


async def test_the_page_carries_the_thumbnails_that_are_there(api: Served) -> None:
    photos = await add_photos(api, LABELS)
    batch_id = await new_batch(api, photos, name="<b>No</b>vember")
    thumbnail = photo(seed=11)
    key = f"thumbnails/{uuid4()}.jpg"
    await api.front.objects.put(key, thumbnail, media_type="image/jpeg")
    async with api.front.queries.transaction() as connection:
        await connection.execute(update(image).where(image.c.id == photos[1]).values(thumbnail_key=key))
    page = await api.client.get(f"/v2/batches/{batch_id}/report", headers={"Accept": "text/html,*/*;q=0.8"})
    assert [page.headers[f"content-{what}"] for what in ("type", "disposition", "security-policy")] == [
        "text/html; charset=utf-8",
        'inline; filename="batch-1-b-no-b-vember.html"',
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
    ]
    assert page.text.count("data:image/jpeg;base64,") == 1
    assert page.text.count("no picture here") == 1
    assert "<b>No" not in page.text


async def test_who_does_not_say_gets_json_unless_it_prefers_a_page(api: Served) -> None:
    batch_id = await new_batch(api)
    for accept, kind in (("*/*", "json"), ("application/json, text/html", "json"), ("text/html, */*", "html")):
        answer = await api.client.get(f"/v2/batches/{batch_id}/report", headers={"Accept": accept})
        assert kind in answer.headers["content-type"]


async def test_wrong_questions_are_refused_by_name(api: Served) -> None:
    mine = await new_batch(api)
    async with await client_of(api, "anna") as anna:
        anna_id = (await anna.post("/v2/images", content=photo(), headers={"Content-Type": "image/jpeg"})).json()["id"]
        async with api.front.queries.transaction() as connection:
            owner_id = (await connection.execute(image.select().where(image.c.id == UUID(anna_id)))).one().owner_id
        photos = await add_photos(api, LABELS, owner_id=owner_id)
        foreign = await new_batch(api, photos, owner_id=owner_id)
        named = {"same": mine, "nobodys": uuid4(), "foreign": foreign}
        for query, status, field in WRONG:
            answer = await api.client.get(f"/v2/batches/{mine}/report?{query.format(**named)}")
            assert (answer.status_code, answer.json()["field"]) == (status, field)
        for form in ("json", "html", "csv", "jsonl"):
            assert (await api.client.get(f"/v2/batches/{foreign}/report?format={form}")).status_code == 404
            assert (await anna.get(f"/v2/batches/{foreign}/report?format={form}")).status_code == 200
