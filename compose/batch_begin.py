"""What beginning a batch, or extending one, sends to the server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import typer

from compose.batch_variants import Prompt, VariantBody, parameters_of, product, written_out
from compose.device_names import find_device
from compose.errors import CannotStart
from compose.server import Refused, Server

BEGIN_TIMEOUT_S = 120.0  # selecting 100,000 photos takes seconds, on a busy database many


def variant_bodies(
    *,
    models: Sequence[str],
    prompts: Sequence[str],
    prompt_files: Sequence[Path],
    written: Sequence[str],
    profile: str | None,
    temperature: float | None,
    parameters: Sequence[str],
) -> list[VariantBody]:
    """Return the variants that options name: models × prompts first, then those that are written out.

    Raises:
        typer.BadParameter: if there are none, or one cannot be read.
    """
    shared = parameters_of(temperature, parameters)
    asked = [*(Prompt(name) for name in prompts), *(Prompt(file.stem, _text(file)) for file in prompt_files)]
    if asked and not models:
        raise typer.BadParameter("give --model too: each model is asked with each prompt", param_hint="--prompt")
    variants = product(models, asked, profile, shared) + [written_out(text, profile, shared) for text in written]
    if not variants:
        raise typer.BadParameter("give a model to ask, as in openai/gpt-4o", param_hint="--model")
    return variants


def device_id(server: Server, device: str) -> str:
    """Return the id of the device that a filter names; `none` stands for photos of no device."""
    return device if device == "none" else str(find_device(server, device)["id"])


def begin(server: Server, body: dict[str, Any]) -> Any:  # JSON
    """Begin a batch and return it. Sent twice where the first answer is lost: one key makes one batch.

    Raises:
        Refused: if the server refuses it.
        CannotStart: if there is no server.
    """
    parts: dict[str, Any] = {
        "json": body,
        "headers": {"Idempotency-Key": str(uuid4())},
        "timeout": BEGIN_TIMEOUT_S,
    }
    try:
        return server.ask("POST", "/v2/batches", **parts)
    except Refused:
        raise
    except CannotStart:
        return server.ask("POST", "/v2/batches", **parts)


def budget_of(cost: float | None, tokens: int | None) -> dict[str, float]:
    """Return the budget that options name."""
    return {name: most for name, most in (("cost", cost), ("tokens", tokens)) if most is not None}


def _text(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{file} is not UTF-8 text", param_hint="--prompt-file") from error
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read ({error.strerror})", param_hint="--prompt-file") from error
    if not text:
        raise typer.BadParameter(f"{file} is empty", param_hint="--prompt-file")
    return text
