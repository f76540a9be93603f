"""Reading lists of models: each provider's own members, and whatever else may come."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.commands import MODEL_PATTERN
from shared.domain.errors import ProviderError
from shared.domain.models import ListedModel
from workers.providers.model_lists import MAX_MODELS, USUAL, Listing, read_list
from workers.providers.table import ROWS, row_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
ENTRIES = st.lists(
    JSON
    | st.fixed_dictionaries(
        {"id": st.text() | st.integers()},
        optional={
            "name": JSON,
            "context_length": JSON,
            "max_model_len": st.integers(),
            "capabilities": JSON,
            "meta": JSON,
            "active": JSON,
        },
    ),
    max_size=8,
)


def read(answer: object, listing: Listing = USUAL) -> list[ListedModel]:
    return read_list(json.dumps(answer).encode(), listing, provider="p")


def listing_of(name: str) -> Listing:
    listing = row_of(name).listing
    assert listing is not None
    return listing


@pytest.mark.parametrize(
    ("provider", "entry", "expected"),
    [
        ("openai", {"id": "gpt-4o", "object": "model", "created": 1}, ListedModel("gpt-4o", "gpt-4o")),
        ("openai", {"id": "gpt-4o-mini-tts"}, None),
        ("deepseek", {"id": "deepseek-flash", "owned_by": "deepseek"}, ListedModel("deepseek-flash", "deepseek-flash")),
        (
            "groq",
            {"id": "openai/gpt-oss-120b", "active": True, "context_window": 131072},
            ListedModel("openai/gpt-oss-120b", "openai/gpt-oss-120b", 131072),
        ),
        ("groq", {"id": "whisper-large-v3", "active": True}, None),
        ("groq", {"id": "llama-old", "active": False}, None),
        (
            "mistral",
            {"id": "m-latest", "name": "m-2604", "max_context_length": 9, "capabilities": {"completion_chat": True}},
            ListedModel("m-latest", "m-2604", 9),
        ),
        ("mistral", {"id": "mistral-embed", "capabilities": {"completion_chat": False}}, None),
        (
            "openrouter",
            {"id": "anthropic/claude", "name": "Anthropic: Claude", "context_length": 1_000_000},
            ListedModel("anthropic/claude", "Anthropic: Claude", 1_000_000),
        ),
        ("gemini", {"id": "models/gemini-3.8-flash"}, ListedModel("gemini-3.8-flash", "gemini-3.8-flash")),
        ("gemini", {"id": "models/gemini-embedding-001"}, None),
        ("nvidia", {"id": "nvidia/nv-embed-v1"}, None),
        (
            "elsewhere",
            {"id": "Qwen/Qwen3-8B", "max_model_len": 8192},
            ListedModel("Qwen/Qwen3-8B", "Qwen/Qwen3-8B", 8192),
        ),
        ("elsewhere", {"id": "a.gguf", "meta": {"n_ctx_train": 32768}}, ListedModel("a.gguf", "a.gguf", 32768)),
        ("elsewhere", {"id": "a", "context_length": True}, ListedModel("a", "a")),
        ("elsewhere", {"id": "a", "name": " A\x00\n b "}, ListedModel("a", "A b")),
        ("elsewhere", {"id": "two words"}, None),
        ("elsewhere", {"id": "nul\x00"}, None),
        ("elsewhere", {"id": "a" * 201}, None),
        ("elsewhere", {"object": "model"}, None),
        ("elsewhere", "just-a-name", ListedModel("just-a-name", "just-a-name")),
    ],
)
def test_an_entry_is_what_its_provider_means_by_it(provider: str, entry: object, expected: ListedModel | None) -> None:
    assert read({"object": "list", "data": [entry]}, listing_of(provider)) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    "answer",
    [{"data": [{"id": "a"}, {"id": "b"}, {"id": "a"}]}, [{"id": "a"}, {"id": "b"}], {"models": [{"name": "a"}, "b"]}],
)
def test_the_list_is_found_wherever_it_stands_and_names_each_model_once(answer: object) -> None:
    assert read(answer) == [ListedModel("a", "a"), ListedModel("b", "b")]


def test_no_models_are_a_list_too() -> None:
    assert [read({"data": None}), read({"data": []}), read([])] == [[], [], []]


def test_no_more_models_are_kept_than_anybody_can_look_through() -> None:
    assert len(read([{"id": f"model-{number}"} for number in range(MAX_MODELS + 5)])) == MAX_MODELS


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"7", b'{"error": "no"}', b'{"data": "a"}', b"\xff"])
def test_anything_else_is_no_list(content: bytes) -> None:
    with pytest.raises(ProviderError, match="p did not answer with a list of models"):
        read_list(content, USUAL, provider="p")


@given(answer=JSON | ENTRIES | ENTRIES.map(lambda entries: {"data": entries}), row=st.sampled_from(ROWS))
def test_whatever_comes_every_model_can_be_asked_for_and_stored(answer: Any, row: Any) -> None:
    try:
        models = read(answer, row.listing or USUAL)
    except ProviderError:
        return
    assert all(re.fullmatch(MODEL_PATTERN, f"p/{model.id}") for model in models)
    texts = [text for model in models for text in (model.id, model.name)]
    assert all(text.isprintable() and text.encode() for text in texts)
    assert all(model.context_length is None or 0 < model.context_length < 2**31 for model in models)
    assert len({model.id for model in models}) == len(models)
