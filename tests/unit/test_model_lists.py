"""Reading lists of models: each provider's own members, and whatever else may come."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ProviderError
from shared.domain.models import MODEL_PATTERN, Abilities, ListedModel
from workers.providers.gemini.provider import LISTING as GEMINIS
from workers.providers.listed_abilities import abilities_said
from workers.providers.model_lists import MAX_ALIASES, MAX_MODELS, USUAL, Listing, next_page, read_list
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
            "aliases": JSON | st.lists(st.text(max_size=3), max_size=3),
            "architecture": JSON | st.fixed_dictionaries({"input_modalities": JSON, "output_modalities": JSON}),
            "supported_parameters": JSON,
            "supportedGenerationMethods": JSON,
            "thinking": JSON,
            "top_provider": JSON,
            "model_info": JSON,
        },
    ),
    max_size=8,
)


def read(answer: object, listing: Listing = USUAL) -> list[ListedModel]:
    return read_list(json.dumps(answer).encode(), listing, provider="p")


def listing_of(name: str) -> Listing:
    listing = GEMINIS if name == "gemini" else row_of(name).listing
    assert listing is not None
    return listing


def listed(model_id: str, name: str | None = None, **said: Any) -> ListedModel:
    return ListedModel(model_id, name or model_id, Abilities(**said))


CLAUDE = {
    "id": "anthropic/claude-sonnet-4.5",
    "name": "Anthropic: Claude Sonnet 4.5",
    "context_length": 1_000_000,
    "architecture": {"input_modalities": ["text", "image", "file"], "output_modalities": ["text"], "tokenizer": "?"},
    "pricing": {"prompt": "0.000003"},
    "top_provider": {"context_length": 1_000_000, "max_completion_tokens": 64_000},
    "per_request_limits": None,
    "supported_parameters": ["max_tokens", "reasoning", "response_format", "structured_outputs", "tools"],
}
MEDIUM = {
    "id": "m-latest",
    "name": "m-2604",
    "max_context_length": 9,
    "aliases": ["m"],
    "capabilities": {
        "completion_chat": True,
        "function_calling": True,
        "reasoning": True,
        "vision": True,
        "audio": False,
        "ocr": False,
    },
}
FLASH = {
    "name": "models/gemini-9-flash",
    "displayName": "Gemini 9 Flash",
    "inputTokenLimit": 1_048_576,
    "outputTokenLimit": 65_536,
    "supportedGenerationMethods": ["generateContent", "countTokens"],
    "thinking": True,
}


@pytest.mark.parametrize(
    ("provider", "entry", "expected"),
    [
        ("openai", {"id": "gpt-4o", "object": "model", "created": 1}, listed("gpt-4o")),
        ("openai", {"id": "gpt-image-1"}, listed("gpt-image-1")),
        ("openai", {"id": "gpt-4o-mini-tts"}, None),
        ("openai", {"id": "sora-2"}, None),
        ("deepseek", {"id": "deepseek-flash", "owned_by": "deepseek"}, listed("deepseek-flash")),
        (
            "groq",
            {"id": "openai/gpt-oss-120b", "active": True, "context_window": 131072, "max_completion_tokens": 65536},
            listed("openai/gpt-oss-120b", context_length=131072, max_output_tokens=65536),
        ),
        ("groq", {"id": "whisper-large-v3", "active": True}, None),
        ("groq", {"id": "meta-llama/llama-guard-4-12b", "active": True}, None),
        ("groq", {"id": "llama-old", "active": False}, None),
        (
            "mistral",
            MEDIUM,
            ListedModel(
                "m-latest",
                "m-2604",
                Abilities(vision=True, audio=False, reasoning=True, tools=True, makes=("answer",), context_length=9),
                ("m",),
            ),
        ),
        ("mistral", {"id": "mistral-embed", "capabilities": {"completion_chat": False}}, None),
        (
            "openrouter",
            CLAUDE,
            listed(
                "anthropic/claude-sonnet-4.5",
                "Anthropic: Claude Sonnet 4.5",
                vision=True,
                audio=False,
                video=False,
                reasoning=True,
                tools=True,
                schema_mode="json_schema",
                makes=("answer",),
                context_length=1_000_000,
                max_output_tokens=64_000,
            ),
        ),
        (
            "openrouter",
            {"id": "a/b", "architecture": {"output_modalities": ["image", "text"]}, "supported_parameters": ["seed"]},
            listed("a/b", reasoning=False, tools=False, schema_mode="prompt", makes=("answer", "images")),
        ),
        ("openrouter", {"id": "a/embed", "architecture": {"output_modalities": ["embeddings"]}}, None),
        ("gemini", {"id": "models/gemini-3.8-flash"}, listed("gemini-3.8-flash")),
        (
            "gemini",
            FLASH,
            listed(
                "gemini-9-flash", "Gemini 9 Flash", reasoning=True, context_length=1_048_576, max_output_tokens=65_536
            ),
        ),
        ("gemini", {"name": "models/new-embedder", "supportedGenerationMethods": ["embedContent"]}, None),
        ("gemini", {"id": "models/imagen-4.0-generate-001"}, None),
        ("nvidia", {"id": "nvidia/nv-embed-v1"}, None),
        ("nvidia", {"id": "baai/bge-m3"}, None),
        ("elsewhere", {"id": "Qwen/Qwen3-8B", "max_model_len": 8192}, listed("Qwen/Qwen3-8B", context_length=8192)),
        ("elsewhere", {"id": "a.gguf", "meta": {"n_ctx_train": 32768}}, listed("a.gguf", context_length=32768)),
        (
            "elsewhere",
            {
                "id": "a.gguf",
                "meta": {"n_ctx_train": 32768, "n_ctx": 4096},
                "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
            },
            listed("a.gguf", vision=True, audio=False, video=False, makes=("answer",), context_length=4096),
        ),
        ("elsewhere", {"id": "a", "capabilities": ["completion", "multimodal"]}, listed("a", makes=("answer",))),
        ("elsewhere", {"id": "a", "capabilities": ["chat", "vision"]}, listed("a", vision=True, makes=("answer",))),
        ("elsewhere", {"id": "a", "context_length": True}, listed("a")),
        ("elsewhere", {"id": "a", "thinking": "yes", "capabilities": {"vision": 1}}, listed("a")),
        ("elsewhere", {"id": "a", "architecture": {"input_modalities": []}, "aliases": None}, listed("a")),
        ("elsewhere", {"id": "a", "name": " A\x00\n b "}, listed("a", "A b")),
        ("elsewhere", {"id": "two words"}, None),
        ("elsewhere", {"id": "nul\x00"}, None),
        ("elsewhere", {"id": "a" * 201}, None),
        ("elsewhere", {"object": "model"}, None),
        ("elsewhere", "just-a-name", listed("just-a-name")),
    ],
)
def test_an_entry_is_what_its_provider_means_by_it(provider: str, entry: object, expected: ListedModel | None) -> None:
    content = json.dumps({"object": "list", "data": [entry]}).encode()
    assert read_list(content, listing_of(provider), provider=provider) == ([] if expected is None else [expected])


def test_what_ollama_shows_of_a_model_is_all_it_can_do() -> None:
    shown = {
        "template": "{{ .Prompt }}",
        "model_info": {"general.architecture": "qwen3vl", "qwen3vl.context_length": 262144, "general.file_type": 15},
        "capabilities": ["completion", "vision", "tools", "thinking"],
    }
    assert [abilities_said(shown), abilities_said({"capabilities": ["embedding"]})] == [
        Abilities(vision=True, audio=False, reasoning=True, tools=True, makes=("answer",), context_length=262144),
        Abilities(vision=False, audio=False, reasoning=False, tools=False, makes=()),
    ]


@pytest.mark.parametrize(
    "entries",
    [
        [{"id": "m", "aliases": ["m-latest", "m-2604"]}, {"id": "m-latest", "aliases": ["m", "m-2604"]}],
        [{"id": "m", "aliases": ["m-latest"]}, {"id": "m-2604", "aliases": ["m", "m-latest"]}],
        [{"id": "m", "aliases": ["m-latest", "m-2604", 7, "a b"]}],
    ],
    ids=["each names all others", "one is named by the other", "one is listed"],
)
def test_a_model_with_many_names_is_listed_once_and_keeps_them(entries: list[object]) -> None:
    others = [{"id": "n", "aliases": ["m-latest-2"]}]
    assert read([*entries, *others]) == [
        ListedModel("m", "m", aliases=("m-latest", "m-2604")),
        ListedModel("n", "n", aliases=("m-latest-2",)),
    ]


@pytest.mark.parametrize(
    ("answer", "token"),
    [
        ({"models": [], "nextPageToken": "abc"}, "abc"),
        ({"models": [], "nextPageToken": ""}, None),
        ({"models": [], "nextPageToken": 7}, None),
        ({"models": [], "nextPageToken": "a" * 2001}, None),
        ({"models": []}, None),
        ([], None),
    ],
)
def test_where_a_list_goes_on_is_read(answer: object, token: str | None) -> None:
    assert next_page(json.dumps(answer).encode()) == token


@pytest.mark.parametrize(
    "answer",
    [{"data": [{"id": "a"}, {"id": "b"}, {"id": "a"}]}, [{"id": "a"}, {"id": "b"}], {"models": [{"name": "a"}, "b"]}],
)
def test_the_list_is_found_wherever_it_stands_and_names_each_model_once(answer: object) -> None:
    assert read(answer) == [listed("a"), listed("b")]


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
    texts = [text for model in models for text in (model.id, model.name, *model.aliases)]
    assert all(text.isprintable() and text.encode() for text in texts)
    counts = [count for one in models for count in (one.abilities.context_length, one.abilities.max_output_tokens)]
    assert all(count is None or 0 < count < 2**31 for count in counts)
    assert all(len(model.aliases) <= MAX_ALIASES and model.abilities.makes != () for model in models)
    assert len({model.id for model in models}) == len(models)
