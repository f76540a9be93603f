"""The options that commands about batches share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

INTERRUPTED: Final = 130  # what shells expect of a command ended by Ctrl-C


class State(StrEnum):
    """States of a batch."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


Named = Annotated[
    str,
    typer.Argument(
        help="The batch's number (12, #12), its id or the first 8 characters of it, or latest.", metavar="BATCH"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON, for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OneVariant = Annotated[str | None, typer.Option("--variant", help="Only this one: its number or its name.")]

Ids = Annotated[list[str] | None, typer.Option("--id", help="This photo; may be repeated, instead of a filter.")]
Everything = Annotated[bool, typer.Option("--all", help="Every photo in the library.")]
Limit = Annotated[int | None, typer.Option(help="Only so many, the newest.", min=1)]
Sample = Annotated[int | None, typer.Option(help="Only so many, picked evenly and always the same.", min=1)]

Models = Annotated[
    list[str] | None, typer.Option("--model", help="Model to ask; may be repeated.", metavar="PROVIDER/MODEL")
]
Prompts = Annotated[
    list[str] | None,
    typer.Option("--prompt", help="Stored prompt to ask with, as in smartsip@2; may be repeated.", metavar="NAME"),
]
PromptFiles = Annotated[
    list[Path] | None, typer.Option("--prompt-file", help="File with a prompt; may be repeated.", metavar="FILE")
]
Profile = Annotated[str | None, typer.Option(help="The device whose envelope applies (default: smartsip-v0.1).")]
Variants = Annotated[
    list[str] | None,
    typer.Option(
        "--variant",
        help="Anything else, written out: name=…,model=…,prompt=…,profile=…,temperature=0; may be repeated.",
        metavar="NAME=VALUE,…",
    ),
]
Temperature = Annotated[float | None, typer.Option(help="Of every variant.", min=0, max=2)]
Parameter = Annotated[
    list[str] | None,
    typer.Option(help="Of every variant, as in seed=7; may be repeated.", metavar="NAME=JSON"),
]

BudgetCost = Annotated[float | None, typer.Option(help="Pause when it has cost so much.", min=0)]
BudgetTokens = Annotated[int | None, typer.Option(help="Pause when it has used so many tokens.", min=1)]
