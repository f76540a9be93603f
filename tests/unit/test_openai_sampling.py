"""Models that reason refuse sampling parameters: who is sent which."""

import pytest

from shared.domain.commands import Parameters
from workers.providers.base import Prompt, PromptMessage, PromptText
from workers.providers.chat_completions.wire import to_wire
from workers.providers.parameter_notes import Notes
from workers.providers.table import row_of

GIVEN = {"temperature": 0.0, "top_p": 0.9, "presence_penalty": 0.5, "frequency_penalty": 0.5}


def sampling_sent(provider: str, model: str) -> dict[str, float]:
    """What of the sampling parameters goes to a model; the others must always go."""
    prompt = Prompt(
        model,
        (PromptMessage("user", (PromptText("Hi"),)),),
        Parameters.model_validate(GIVEN | {"max_output_tokens": 64, "seed": 7, "stop": ["x"]}),
    )
    body = to_wire(prompt, row_of(provider), "json_schema_strict", notes=Notes(provider))
    assert (body.get("max_completion_tokens") or body["max_tokens"], body["seed"], body["stop"]) == (64, 7, ["x"])
    return {name: value for name, value in body.items() if name in GIVEN}


@pytest.mark.parametrize(
    "model",
    [
        *("o1", "o1-mini", "o3", "o3-pro-2025-06-10", "o4-mini", "ft:o4-mini-2025-04-16:us::id"),
        *("gpt-5", "gpt-5-mini", "gpt-5-nano-2025-08-07", "gpt-5-codex", "gpt-5-pro"),
        *("gpt-5.1-codex-max", "gpt-5.1-chat-latest", "gpt-5.2-pro", "gpt-5.3-chat-latest", "gpt-5.4-pro"),
        *("gpt-5.5", "gpt-5.6", "gpt-5.6-terra", "gpt-6-astra"),
    ],
)
def test_a_model_of_openai_that_reasons_is_sent_no_sampling_parameters(model: str) -> None:
    assert sampling_sent("openai", model) == {}


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4", "gpt-3.5-turbo", "chatgpt-4o-latest", "ft:gpt-4o:us::id"),
        *("gpt-5-chat-latest", "gpt-5.1", "gpt-5.2-2025-12-11", "gpt-5.3-codex", "gpt-5.4-mini", "omni-something"),
    ],
)
def test_a_model_of_openai_that_does_not_reason_by_itself_is_sent_them(model: str) -> None:
    assert sampling_sent("openai", model) == GIVEN


@pytest.mark.parametrize("model", ["o3", "gpt-5", "openai/gpt-5", "gpt-oss-120b"])
def test_other_providers_are_sent_them_whatever_their_models_are_called(model: str) -> None:
    assert sampling_sent("elsewhere", model) == GIVEN
