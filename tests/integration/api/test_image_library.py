"""The library of photos: lists and filters, what is known of one, tags and labels."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert

from shared.database.tables import image_name
from shared.settings import Settings
from tests.images import photo
from tests.integration.api.devices import new_device
from tests.integration.api.photos import JPEG, add_finding, add_photo, client_of
from tests.served import Served, served

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SAID: list[tuple[dict[str, Any], str, str]] = [
    ({"container": "Ceramic CUP"}, "said=ceramic+cup", "said=ceramiccup"),
    ({"contents": "Grüner Tee"}, "said=GRÜN", "said=tea"),
    ({"container": "50% full_cup"}, "said=50%25%20full_", "said=5_%25"),
    ({"container": "a/b\\c"}, "said=a/b\\c", "said=a//b"),
    ({"receivable": True}, "receivable=true", "receivable=false"),
    ({"receivable": False}, "receivable=false", "receivable=true"),
    ({"child_present": True}, "child_present=true", "child_present=false"),
    ({"child_present": None}, "receivable=true", "child_present=false"),
    ({"is_changed": True}, "intervened=true", "intervened=false"),
    ({"is_safe_default": True}, "unusable=true", "unusable=false"),
    ({"model": "openai/gpt-4o"}, "model=openai/gpt-4o", "model=openai/gpt"),
    ({"prompt": "mine@2"}, "prompt=mine", "prompt=min"),
    ({"prompt": "mine@2"}, "prompt=mine@2", "prompt=mine@1"),
    ({"prompt": "mine_@2"}, "prompt=mine_", "prompt=m_ne_"),
    ({"prompt": "inline"}, "prompt=inline", "prompt=inline@1"),
    ({"volume": 200}, "min_volume=200&max_volume=200", "min_volume=201"),
    ({"volume": 200}, "max_volume=300", "max_volume=199"),
]
"""What a finding holds, a query that finds it, and one that does not."""
WRONG_FILTERS = [
    ("colour=red", "colour"),
    ("job=1", "job"),
    ("device=kitchen", "device"),
    ("since=2026", "since"),
    ("since=2026-01-31", "since"),
    ("since=2026-01-31T12:00:00", "since"),
    ("until=yesterday", "until"),
    ("since=2026-02-01T00:00:00Z&until=2026-01-31T00:00:00Z", "since"),
    ("label=", "label"),
    ("label=a%20b:1", "label"),
    ("label=lab:", "label"),
    ("label=lab:%00", "label"),
    ("tag=", "tag.0"),
    ("tag=a&tag=%00", "tag.1"),
    ("state=open", "state"),
    ("analysed=perhaps", "analysed"),
    ("said=", "said"),
    ("said=%00", "said"),
    ("said=" + "x" * 201, "said"),
    ("receivable=perhaps", "receivable"),
    ("child_present=", "child_present"),
    ("intervened=2", "intervened"),
    ("unusable=x", "unusable"),
    ("model=%00", "model"),
    ("prompt=%00", "prompt"),
    ("min_volume=-1", "min_volume"),
    ("max_volume=many", "max_volume"),
    ("min_volume=2&max_volume=1", "min_volume"),
    ("max_volume=99999999999999999999", "max_volume"),
    ("limit=0", "limit"),
    ("limit=101", "limit"),
    ("cursor=first", "cursor"),
]
"""Each with the parameter that is to be named."""
WRONG_CHANGES: list[tuple[str, str | None]] = [
    ("{}", "tags"),
    ("[]", None),
    ('{"names": []}', "names"),
    ('{"tags": null}', "tags"),
    ('{"tags": "kitchen"}', "tags"),
    ('{"tags": [7]}', "tags.0"),
    ('{"tags": ["a", " "]}', "tags.1"),
    ('{"tags": ["a\\u0000"]}', "tags.0"),
    ('{"tags": ["a\\u0085b"]}', "tags.0"),
    ('{"tags": ["\\ud800"]}', "tags.0"),
    ('{"tags": ["' + "x" * 65 + '"]}', "tags.0"),
    (f'{{"tags": {list(map(str, range(33)))}}}'.replace("'", '"'), "tags"),
    ('{"labels": null}', "labels"),
    ('{"labels": {"": 1}}', "labels."),
    ('{"labels": {"a b": 1}}', "labels.a b"),
    ('{"labels": {"a": ""}}', "labels.a"),
    ('{"labels": {"a": "\\u0000"}}', "labels.a"),
    ('{"labels": {"a": "\\ud800"}}', "labels.a"),
    ('{"labels": {"a": "' + "x" * 201 + '"}}', "labels.a"),
    ('{"labels": {"a": []}}', "labels.a"),
    ('{"labels": {"a": {"b": 1}}}', "labels.a"),
    ('{"labels": {"a": 1e300}}', "labels.a"),
    ('{"labels": {"a": 1e999}}', "labels.a"),
    ('{"labels": {"a": NaN}}', "labels.a"),
    ('{"labels": {"a": 99999999999999999999}}', "labels.a"),
]
"""Each with the field that is to be named."""


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def listed(api: Served, query: str = "", **parameters: Any) -> list[UUID]:
    answer = await api.client.get(f"/v2/images{query}", params=parameters or None)
    assert answer.status_code == 200, answer.text
    return [UUID(shown["id"]) for shown in answer.json()["images"]]


async def owner_named(api: Served, name: str) -> int:
    return (await new_device(api, owner_name=name)).owner_id


async def change(api: Served, image_id: object, **body: Any) -> Any:  # an httpx answer's JSON
    answer = await api.client.patch(f"/v2/images/{image_id}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_everything_known_of_a_photo_is_shown(api: Served):
    device = await new_device(api, name="kitchen")
    image_id = await add_photo(api, device_id=device.id, tags=["a"], labels={"volume": 200})
    older = await add_finding(api, image_id, found_at=NOON)
    newer = await add_finding(api, image_id, found_at=NOON + timedelta(hours=1), child_present=None, volume=0)
    async with api.front.queries.transaction() as connection:
        for number, name in ((device.number, "a.jpg"), (0, "b.jpg")):
            values = {"owner_id": 1, "device_number": number, "bucket": "test", "name": name, "image_id": image_id}
            await connection.execute(insert(image_name).values(values | {"stored_at": NOON}))
    shown = (await api.client.get(f"/v2/images/{image_id}")).json()
    taken_by = {"id": str(device.id), "name": "kitchen"}
    finding = {
        "job_id": str(newer),
        "model": "demo/demo",
        "prompt": "smartsip@2",
        "profile": "smartsip-v0.1",
        "volume": 0,
        "degree": 80,
        "container": "cup",
        "contents": "tea",
        "receivable": True,
        "child_present": None,
        "is_safe_default": False,
        "is_changed": False,
        "found_at": "2026-01-31T13:00:00Z",
    }
    known = {"sha256": shown["sha256"], "created_at": shown["created_at"], "links": shown["links"]}
    assert shown == known | {
        "id": str(image_id),
        "state": "pending",
        "media_type": "image/jpeg",
        "size_bytes": 4000,
        "width": 240,
        "height": 240,
        "device": taken_by,
        "tags": ["a"],
        "labels": {"volume": 200},
        "names": [
            {"bucket": "test", "name": "a.jpg", "device": taken_by, "stored_at": "2026-01-31T12:00:00Z"},
            {"bucket": "test", "name": "b.jpg", "device": None, "stored_at": "2026-01-31T12:00:00Z"},
        ],
        "findings": [
            finding,
            finding
            | {
                "job_id": str(older),
                "volume": 200,
                "child_present": False,
                "found_at": "2026-01-31T12:00:00Z",
            },
        ],
        "url": None,
        "url_expires_at": None,
    }


async def test_twenty_findings_are_shown_at_most(api: Served):
    image_id = await add_photo(api)
    made = [await add_finding(api, image_id) for _ in range(21)]
    shown = (await api.client.get(f"/v2/images/{image_id}")).json()
    assert [found["job_id"] for found in shown["findings"]] == [str(job_id) for job_id in reversed(made[1:])]


async def test_a_list_has_the_newest_first_each_with_its_newest_finding(api: Served):
    first, second = await add_photo(api), await add_photo(api)
    await add_finding(api, first, volume=100, found_at=NOON)
    newest = await add_finding(api, first, volume=300, found_at=NOON + timedelta(seconds=1))
    page = (await api.client.get("/v2/images")).json()
    assert [shown["id"] for shown in page["images"]] == [str(second), str(first)]
    assert [shown["finding"] and shown["finding"]["job_id"] for shown in page["images"]] == [None, str(newest)]
    assert page["next"] is None


async def test_a_list_comes_in_pages(api: Served):
    made = [await add_photo(api) for _ in range(5)]
    pages: list[list[UUID]] = []
    cursor: str | None = None
    while not pages or cursor:
        page = (await api.client.get("/v2/images", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        pages.append([UUID(shown["id"]) for shown in page["images"]])
        cursor = page["next"]
    assert pages == [made[4:2:-1], made[2:0:-1], made[:1]]


async def test_a_list_holds_the_owners_own_photos_and_findings_only(api: Served):
    own = await add_photo(api)
    anna_id = await owner_named(api, "anna")
    hers = await add_photo(api, owner_id=anna_id)
    await add_finding(api, own, owner_id=anna_id, container="hers")
    async with await client_of(api, "anna") as anna:
        page = (await anna.get("/v2/images")).json()
        assert [(shown["id"], shown["finding"]) for shown in page["images"]] == [(str(hers), None)]
        assert (await anna.get("/v2/images", params={"said": "hers"})).json()["images"] == []
        for answer in (
            await anna.get(f"/v2/images/{own}"),
            await anna.patch(f"/v2/images/{own}", json={"tags": ["a"]}),
            await anna.patch(f"/v2/images/{uuid4()}", json={"tags": ["a"]}),
        ):
            assert (answer.status_code, answer.json()["detail"]) == (404, "There is no image with this id.")
    mine = (await api.client.get(f"/v2/images/{own}")).json()
    assert (mine["tags"], mine["findings"]) == ([], [])
    assert await listed(api) == [own]
    assert await listed(api, said="hers") == []
    assert await listed(api, analysed="true") == []


async def test_photos_are_found_by_their_device(api: Served):
    device, other = await new_device(api), await new_device(api)
    anna = await new_device(api, owner_name="anna")
    taken = await add_photo(api, device_id=device.id)
    sent = await add_photo(api)
    await add_photo(api, device_id=anna.id, owner_id=anna.owner_id)
    assert await listed(api, device=device.id) == [taken]
    assert await listed(api, device="none") == [sent]
    assert await listed(api, device=other.id) == []
    assert await listed(api, device=anna.id) == []


async def test_photos_are_found_by_time_both_ends_included(api: Served):
    now = datetime.now(UTC)
    early, late = now - timedelta(hours=2), now - timedelta(hours=1)
    first, second = await add_photo(api, created_at=early), await add_photo(api, created_at=late)
    just_after = early + timedelta(microseconds=1)
    assert await listed(api, since=early.isoformat()) == [second, first]
    assert await listed(api, since=just_after.isoformat()) == [second]
    assert await listed(api, until=late.isoformat()) == [second, first]
    assert await listed(api, until=early.isoformat()) == [first]
    zoned = (early + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00")
    assert await listed(api, until=zoned) == [first]
    assert await listed(api, since="0001-01-01T00:00:00+14:00", until="9999-12-31T23:59:59-14:00") == [second, first]
    assert await listed(api, until="1969-12-31T23:59:59Z") == []


async def test_photos_are_found_by_what_people_say(api: Served):
    one = await add_photo(api, tags=["kitchen", "new"], labels={"volume": 200, "kind": "cup", "child": True})
    two = await add_photo(api, tags=["kitchen"], labels={"volume": "200"})
    assert await listed(api, "?tag=kitchen") == [two, one]
    assert await listed(api, "?tag=kitchen&tag=%20new%20") == [one]
    assert await listed(api, "?tag=kitch") == []
    assert await listed(api, "?label=kind") == [one]
    assert await listed(api, "?label=kind:cup&label=child:true") == [one]
    assert await listed(api, "?label=kind:cup&label=child:false") == []
    assert await listed(api, "?label=volume:200") == [two, one]
    assert await listed(api, "?label=volume:200.0") == [one]
    assert await listed(api, "?label=volume:2e2&label=kind") == [one]
    assert await listed(api, "?label=volume:20") == []
    assert await listed(api, "?label=vol") == []


async def test_photos_are_found_by_whether_they_were_opened_or_analysed(api: Served):
    pending = await add_photo(api)
    ready = await add_photo(api, ready_at=NOON, content_sha256=bytes(32))
    await add_finding(api, ready)
    assert (await listed(api, state="pending"), await listed(api, state="ready")) == ([pending], [ready])
    assert (await listed(api, analysed="false"), await listed(api, analysed="true")) == ([pending], [ready])


async def test_photos_are_found_by_what_a_model_said(api: Served):
    found: list[tuple[str, list[UUID]]] = []
    expected: list[tuple[str, list[UUID]]] = []
    for number, (columns, hit, miss) in enumerate(SAID):
        image_id = await add_photo(api, tags=[f"case-{number}"])
        await add_finding(api, image_id, **columns)
        expected += [(hit, [image_id]), (miss, [])]
        found += [(query, await listed(api, f"?tag=case-{number}&{query}")) for query in (hit, miss)]
    assert found == expected


async def test_one_finding_must_match_everything_that_is_said_of_findings(api: Served):
    image_id = await add_photo(api)
    await add_finding(api, image_id, model="demo/a", is_changed=True)
    await add_finding(api, image_id, model="demo/b", is_changed=False)
    assert await listed(api, "?model=demo/a&intervened=true") == [image_id]
    assert await listed(api, "?model=demo/a&intervened=false") == []


async def test_a_wrong_filter_is_refused_by_its_name(api: Served):
    answers = [(query, await api.client.get(f"/v2/images?{query}")) for query, _ in WRONG_FILTERS]
    told = [(query, answer.status_code, answer.json()["field"]) for query, answer in answers]
    assert told == [(query, 422, field) for query, field in WRONG_FILTERS]


async def test_whatever_a_label_is_compared_with_is_no_error(api: Served):
    for value in ("1e99", "-0", "NaN", "Infinity", "9" * 190, "%22", "{}", "%ed%a0%80", "%ff", "\\"):
        assert await listed(api, f"?label=lab:{value}") == []


async def test_tags_are_replaced_and_labels_merged(api: Served):
    image_id = await add_photo(api)
    first = await change(api, image_id, tags=[" kitchen ", "new", "kitchen"], labels={"volume": 200, "kind": "cup"})
    second = await change(api, image_id, labels={"volume": None, "kind": "glass", "child": False, "degree": 79.5})
    third = await change(api, image_id, tags=[])
    assert (first["tags"], first["labels"]) == (["kitchen", "new"], {"volume": 200, "kind": "cup"})
    assert second["tags"] == ["kitchen", "new"]
    assert (third["tags"], third["labels"]) == ([], {"kind": "glass", "child": False, "degree": 79.5})
    assert third["labels"]["child"] is False
    assert (await api.client.get(f"/v2/images/{image_id}")).json()["labels"] == third["labels"]
    repeated = await change(api, image_id, tags=[], labels={"volume": None})
    assert repeated == third


async def test_wrong_tags_and_labels_are_refused_and_change_nothing(api: Served):
    image_id = await add_photo(api, tags=["a"], labels={"b": 1})
    told: list[tuple[str, int, str | None]] = []
    for body, _ in WRONG_CHANGES:
        headers = {"Content-Type": "application/json"}
        answer = await api.client.patch(f"/v2/images/{image_id}", content=body, headers=headers)
        told.append((body, answer.status_code, answer.json().get("field")))
    assert told == [(body, 422, field) for body, field in WRONG_CHANGES]
    shown = (await api.client.get(f"/v2/images/{image_id}")).json()
    assert (shown["tags"], shown["labels"]) == (["a"], {"b": 1})


async def test_there_are_at_most_32_tags_and_labels(api: Served):
    image_id = await add_photo(api)
    full = await change(api, image_id, tags=[f"t{n}" for n in range(32)], labels={f"l{n}": n for n in range(32)})
    assert (len(full["tags"]), len(full["labels"])) == (32, 32)
    swapped = await change(api, image_id, labels={"l0": None, "more": "x"})
    assert len(swapped["labels"]) == 32
    refused = await api.client.patch(f"/v2/images/{image_id}", json={"labels": {"l0": 0}})
    assert (refused.status_code, refused.json()["field"]) == (422, "labels")


async def test_a_photo_cannot_be_tagged_beyond_the_limit_by_uploading_it_again(api: Served):
    image_id = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()["id"]
    await change(api, image_id, tags=[f"t{n}" for n in range(32)])
    known = await api.client.post("/v2/images?tag=t0", content=photo(), headers=JPEG)
    refused = await api.client.post("/v2/images?tag=more", content=photo(), headers=JPEG)
    assert (known.status_code, refused.status_code, refused.json()["field"]) == (200, 422, "tags")


async def test_a_change_as_merge_patch_is_taken_and_as_text_refused(api: Served):
    image_id = await add_photo(api)
    headers = {"Content-Type": "application/merge-patch+json"}
    taken = await api.client.patch(f"/v2/images/{image_id}", content='{"tags": ["a"]}', headers=headers)
    text = await api.client.patch(f"/v2/images/{image_id}", content="tags=a", headers={"Content-Type": "text/plain"})
    half = await api.client.patch(f"/v2/images/{image_id}", content='{"tags"', headers=headers)
    assert (taken.status_code, taken.json()["tags"]) == (200, ["a"])
    assert (text.status_code, half.status_code, half.json()["code"]) == (422, 400, "malformed_request")


async def test_unknown_parameters_are_refused_everywhere(api: Served):
    path = f"/v2/images/{await add_photo(api)}"
    answers = [await api.client.get(f"{path}{what}?size=1") for what in ("", "/content", "/thumbnail", "/link")]
    answers.append(await api.client.patch(f"{path}?size=1", json={"tags": ["a"]}))
    answers.append(await api.client.delete(f"{path}?size=1"))
    assert [(answer.status_code, answer.json()["field"]) for answer in answers] == [(422, "size")] * 6
