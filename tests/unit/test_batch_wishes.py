"""What `smartsip batch` asks a server for, and how it finds a batch: against a scripted one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from compose import batches
from compose.batch_begin import begin, variant_bodies
from compose.batch_names import find_batch, find_variant
from compose.batch_selection import count, plan, selection
from compose.batch_variants import written_out
from compose.errors import CannotStart
from compose.server import Server
from tests.scripted_provider import Exchange, Reply, ScriptedProvider, answer
from tests.unit.batches import a_batch

FIRST, SECOND, THIRD = (f"019a5c3e-7b1f-7c55-b0f1-2f4c1d9a8e1{number}" for number in range(3))
OTHER = "029a5c3e-7b1f-7c55-b0f1-2f4c1d9a8e10"


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def server(provider: ScriptedProvider) -> Server:
    return Server(provider.url, "secret")


def wishes(**given: Any) -> list[dict[str, Any]]:
    texts: dict[str, Any] = dict.fromkeys(("models", "prompts", "prompt_files", "written", "parameters"), ())
    nothing: dict[str, Any] = {"profile": None, "temperature": None}
    wanted: dict[str, Any] = texts | nothing | given
    return variant_bodies(**wanted)


def test_each_model_is_asked_with_each_prompt_and_what_is_written_out_comes_last(tmp_path: Path) -> None:
    strict = tmp_path / "strict.txt"
    strict.write_text("Pour nothing.\n")
    assert wishes(
        models=["a/x", "b/y"],
        prompts=["smartsip@2"],
        prompt_files=[strict],
        written=["name=cold, model=c/z, profile=lab, temperature=0, effort=low"],
        profile="kitchen",
        temperature=0.5,
        parameters=["seed=7", 'stop=["a", "b"]'],
    ) == [
        {"model": "a/x", "prompt": "smartsip@2", **SHARED},
        {"model": "a/x", "name": "a/x · strict", "prompt_text": "Pour nothing.", **SHARED},
        {"model": "b/y", "prompt": "smartsip@2", **SHARED},
        {"model": "b/y", "name": "b/y · strict", "prompt_text": "Pour nothing.", **SHARED},
        {
            "name": "cold",
            "model": "c/z",
            "profile": "lab",
            "parameters": {"temperature": 0, "seed": 7, "stop": ["a", "b"], "effort": "low"},
        },
    ]
    assert wishes(models=["a/x"]) == [{"model": "a/x"}]


SHARED = {"profile": "kitchen", "parameters": {"temperature": 0.5, "seed": 7, "stop": ["a", "b"]}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give a model to ask"),
        ({"models": ["gpt-4o"]}, "give provider/model, as in openai/gpt-4o, not 'gpt-4o'"),
        ({"prompts": ["smartsip@2"], "written": ["model=a/x"]}, "each model is asked with each prompt"),
        ({"models": ["a/x"], "parameters": ["seed"]}, "give NAME=JSON"),
        ({"models": ["a/x"], "parameters": ["seed=1", "seed=2"]}, "seed is given twice"),
        ({"models": ["a/x"], "temperature": 1.0, "parameters": ["temperature=2"]}, "temperature is given twice"),
        ({"written": ["name=x"]}, "needs a model"),
        ({"models": ["a/x"], "prompt_files": [Path("/nowhere/p.txt")]}, "cannot be read"),
    ],
)
def test_what_names_no_variant_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        wishes(**given)


@given(st.text())
def test_a_variant_written_out_is_read_or_refused_never_misread(text: str) -> None:
    try:
        variant = written_out(text, None, {})
    except typer.BadParameter:
        return
    assert variant["model"]
    assert variant.keys() <= {"name", "model", "prompt", "prompt_text", "profile", "parameters"}


def test_photos_are_selected_by_filter_or_by_id_and_never_all_by_accident() -> None:
    def selected(filters: dict[str, Any], *ids: str, everything: bool = False, **sizes: int) -> dict[str, Any]:
        given = {"limit": None, "sample": None} | sizes
        return selection(filters, list(ids), everything=everything, limit=given["limit"], sample=given["sample"])

    assert selected({"tag": ["kitchen"]}, sample=20) == {"filter": {"tag": ["kitchen"]}, "sample": 20}
    assert selected({}, everything=True) == {"filter": {}}
    assert selected({}, limit=5) == {"filter": {}, "limit": 5}
    assert selected({}, FIRST, SECOND) == {"ids": [FIRST, SECOND]}
    with pytest.raises(typer.BadParameter, match=r"no photos are selected: give a filter .* or --all"):
        selected({})
    with pytest.raises(typer.BadParameter, match="either a filter or --all"):
        selected({"tag": ["kitchen"]}, everything=True)
    with pytest.raises(typer.BadParameter, match="either --limit or --sample"):
        selected({}, limit=1, sample=1)
    with pytest.raises(typer.BadParameter, match="ids stand alone"):
        selected({"tag": ["kitchen"]}, FIRST)


@pytest.mark.parametrize(
    ("selected", "photos", "said"),
    [
        ({"filter": {}, "sample": 20}, 20, "20 photos × 2 variants = 40 jobs."),
        ({"ids": [FIRST]}, 1, "1 photo × 2 variants = 2 jobs."),
        ({"filter": {}}, 1000, "1,000 photos or more × 2 variants = 2,000 jobs or more."),
        (
            {"filter": {}, "limit": 5000},
            1000,
            "1,000 photos or more × 2 variants = 2,000 jobs or more (at most 5,000 photos).",
        ),
        ({"filter": {}, "limit": 1000}, 1000, "1,000 photos × 2 variants = 2,000 jobs."),
        ({"filter": {}}, None, "The photos that match × 2 variants: so many jobs."),
    ],
)
def test_what_starting_will_do_is_said_in_one_line(selected: dict[str, Any], photos: int | None, said: str) -> None:
    assert plan(selected, photos, 2) == said


def test_photos_are_counted_only_as_far_as_it_matters(provider: ScriptedProvider, server: Server) -> None:
    provider.play(answer({"images": [{}] * 100, "next": FIRST}))
    assert count(server, {"filter": {"tag": ["kitchen"]}}) == 1000
    assert len(provider.exchanges) == 10
    assert count(server, {"filter": {}, "sample": 150}) == 150
    assert [exchange.path for exchange in provider.exchanges[10:]] == [
        "/v2/images?limit=100&state=ready",
        f"/v2/images?limit=100&state=ready&cursor={FIRST}",
    ]
    provider.play(answer({"title": "Forbidden", "detail": "this key may not"}, status=403))
    assert count(server, {"filter": {}}) is None


def test_a_batch_is_found_by_number_id_beginning_or_as_the_latest(provider: ScriptedProvider, server: Server) -> None:
    batches = [a_batch(FIRST, 12), a_batch(SECOND, 11), a_batch(OTHER, 2)]

    def reply(exchange: Exchange) -> Reply:
        if exchange.path.startswith(f"/v2/batches/{THIRD}"):
            return answer(a_batch(THIRD, 1))
        return answer({"batches": batches[: 1 if "limit=1&" in f"{exchange.path}&" else None], "next": None})

    provider.play_with(reply)
    for wanted, number in (("11", 11), ("#12", 12), ("latest", 12), ("029A5C3E", 2), (THIRD, 1)):
        assert find_batch(server, wanted)["number"] == number
    with pytest.raises(CannotStart, match=r"^Several batches begin with 019a5c3e: .* #12 \(.*\), #11 \(.*\)\.$"):
        find_batch(server, "019a5c3e")
    with pytest.raises(CannotStart, match="There is no batch #99"):
        find_batch(server, "99")
    with pytest.raises(CannotStart, match="No batch begins with 0123456789"):
        find_batch(server, "0123456789")
    with pytest.raises(CannotStart, match="'november' names no batch"):
        find_batch(server, "november")


def test_a_variant_is_found_by_number_or_name() -> None:
    batch = a_batch(FIRST, 12, variants=[{"number": 1, "name": "gpt"}, {"number": 2, "name": "3"}])
    assert [find_variant(batch, wanted) for wanted in ("1", "#2", "gpt", "3")] == [1, 2, 1, 2]
    with pytest.raises(CannotStart, match=r"Batch #12 has no variant '4': it has 1 \(gpt\), 2 \(3\)\."):
        find_variant(batch, "4")


def test_a_start_whose_answer_is_lost_is_sent_again_under_the_same_key(
    provider: ScriptedProvider, server: Server
) -> None:
    provider.play(answer({}).reset_after(0), answer(a_batch(FIRST, 12), status=201))
    assert begin(server, {"variants": []})["number"] == 12
    first, second = (exchange.headers["idempotency-key"] for exchange in provider.exchanges)
    assert first == second


def test_every_command_is_explained_by_an_example() -> None:
    explained = [(command.callback and command.callback.__doc__) or "" for command in batches.app.registered_commands]
    assert len(explained) == 14
    assert [text for text in explained if "Example: smartsip batch " not in text] == []
