"""What a refusal says about the form of a request: which of its members the provider does not take."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.chat_completions.refused_members import RefusedMembers, refused_members
from workers.providers.refusal import Refusal

SENT = frozenset({"temperature", "seed", "top_k", "reasoning_effort", "max_tokens", "stream_options"})
PYDANTIC = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 1}
OF_OPENAI: dict[str, Any] = {
    "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'temperature' instead.",
    "type": "invalid_request_error",
    "param": "max_tokens",
    "code": "unsupported_parameter",
}


def found(body: object, status: int = 422) -> RefusedMembers:
    return refused_members(Refusal(status, json.dumps(body).encode()), SENT)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"detail": "body -> top_k\n  Extra inputs are not permitted (type=extra_forbidden)"}, {"top_k"}),
        ({"detail": [PYDANTIC, PYDANTIC | {"loc": ["body", "top_k", "x"]}]}, {"seed", "top_k"}),
        ({"object": "error", "message": {"detail": [PYDANTIC]}, "param": None}, {"seed"}),
        ({"message": "[{'type': 'extra_forbidden', 'loc': ('body', 'top_k'), 'msg': 'Extra inputs'}]"}, {"top_k"}),
        ({"message": "body.seed: property 'body.seed' is unsupported", "param": "validation_error"}, {"seed"}),
        ({"error": {"message": "Unrecognized request argument supplied: top_k", "param": None}}, {"top_k"}),
        ({"error": {"message": "Unknown parameter: 'top_k'.", "param": "top_k"}}, {"top_k"}),
        ({"code": "Bad", "error": "Model grok-4.20 does not support parameter reasoningEffort."}, {"reasoning_effort"}),
        ([{"error": {"message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'}}], {"seed"}),
        ({"code": 20015, "message": "current model does not support parameter `top_k`."}, {"top_k"}),
        ({"error": OF_OPENAI}, {"max_tokens"}),
        ({"error": OF_OPENAI | {"param": "reasoning_effort.x"}}, {"reasoning_effort"}),
    ],
)
def test_each_providers_words_for_it_are_understood(body: object, names: set[str]) -> None:
    assert found(body) == RefusedMembers(frozenset(names), is_lasting=True)


def test_a_value_that_is_refused_once_may_be_taken_with_another_model_of_the_same_name() -> None:
    fault = OF_OPENAI | {"code": "unsupported_value", "param": "temperature"}
    assert found({"error": fault}, 400) == RefusedMembers(frozenset({"temperature"}), is_lasting=False)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "image too small"}},
        {"error": {"message": "temperature must be at most 2", "param": "temperature"}},
        {"error": {"message": "This model's maximum context length is 8192 tokens, with max_tokens 100."}},
        {"detail": [{"type": "missing", "loc": ["body", "seed"], "msg": "Field required", "input": {"top_k": 1}}]},
        {"detail": [PYDANTIC | {"loc": ["body", "messages", 0, "seed"]}]},
        {"error": OF_OPENAI | {"param": "messages[0].content"}},
        "not supported",
        None,
    ],
)
def test_what_is_refused_for_another_reason_names_nothing(body: object) -> None:
    assert found(body).names == frozenset()


def test_only_refusals_of_the_form_are_read() -> None:
    assert [found({"error": OF_OPENAI}, status).names for status in (401, 404, 429, 500)] == [frozenset()] * 4


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.just("is not supported"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "detail", "message", "msg", "loc", "param", "code"]), inner)
    ),
    max_leaves=12,
)


@given(body=anything, raw=st.none() | st.binary(max_size=30))
def test_whatever_is_said_nothing_is_named_that_was_not_sent(body: object, raw: bytes | None) -> None:
    said = json.dumps(body).encode() if raw is None else raw
    assert refused_members(Refusal(400, said), SENT).names <= SENT
