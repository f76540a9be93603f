"""The ways of asking that a command names: models × prompts, and whatever is written out. Pure."""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import typer

VariantBody: TypeAlias = dict[str, Any]
"""A variant as `/v2/batches` takes it (JSON)."""
MAX_NAME_CHARS: Final = 100
_OWN: Final = ("name", "model", "prompt", "prompt_text", "profile")


class Prompt(NamedTuple):
    """What photos are asked: a stored prompt's name, or `text` of its own under a name for people."""

    name: str
    text: str | None = None


def parameters_of(temperature: float | None, given: Sequence[str]) -> dict[str, Any]:  # JSON
    """Return the model's parameters: `NAME=JSON` each, where what is no JSON is taken as text.

    Raises:
        typer.BadParameter: if one has no name or no value, or is given twice.
    """
    parameters: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise typer.BadParameter(f"give NAME=JSON, as in seed=7, not {text!r}", param_hint="--parameter")
        if name in parameters:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--parameter")
        parameters[name] = _json_or_text(value)
    return parameters


def product(
    models: Sequence[str], prompts: Sequence[Prompt], profile: str | None, parameters: dict[str, Any]
) -> list[VariantBody]:
    """Return a variant for each model with each prompt; without prompts the server's own is asked."""
    rest: VariantBody = {"profile": profile} if profile else {}
    rest |= {"parameters": parameters} if parameters else {}
    variants: list[VariantBody] = []
    for model in models:
        if not all(model.partition("/")):
            raise typer.BadParameter(f"give provider/model, as in openai/gpt-4o, not {model!r}", param_hint="--model")
        variants += [{"model": model} | asked | rest for asked in _asked(model, prompts)]
    return variants


def written_out(text: str, profile: str | None, parameters: dict[str, Any]) -> VariantBody:
    """Return the variant of `name=…,model=…,prompt=…,profile=…`; any other name is a parameter's.

    Raises:
        typer.BadParameter: if it cannot be read, or has no model.
    """
    variant: VariantBody = {"profile": profile} if profile else {}
    own: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not name or not equals or not value:
            raise typer.BadParameter(f"give NAME=VALUE between commas, not {part!r}", param_hint="--variant")
        if name in _OWN:
            variant[name] = value
        else:
            own[name] = _json_or_text(value)
    if "model" not in variant:
        raise typer.BadParameter("needs a model, as in model=openai/gpt-4o", param_hint="--variant")
    return variant | ({"parameters": parameters | own} if parameters or own else {})


def _asked(model: str, prompts: Sequence[Prompt]) -> list[VariantBody]:
    """Texts of their own are told apart by their names; for stored prompts the server does."""
    if not prompts:
        return [{}]
    return [
        {"prompt": prompt.name}
        if prompt.text is None
        else {"name": f"{model} · {prompt.name}"[:MAX_NAME_CHARS], "prompt_text": prompt.text}
        for prompt in prompts
    ]


def _json_or_text(value: str) -> Any:  # JSON
    try:
        return json.loads(value)
    except ValueError:
        return value
