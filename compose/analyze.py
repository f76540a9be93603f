"""`smartsip analyze`: photos in, what the dispenser would do out. Speaks only HTTP, to a server that is running."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from compose.credentials import find_token

if TYPE_CHECKING:
    from compose.analysis import Outcome, Server
    from compose.analysis_view import JsonView, ManyView, SingleView

AT_ONCE: Final = 8
INTERRUPTED: Final = 130  # what shells expect of a command ended by Ctrl-C


def analyze(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO…", help="JPEG, PNG or WebP files.")],
    *,
    model: Annotated[
        str | None, typer.Option(help="provider/model to ask (default: the server's).", metavar="PROVIDER/MODEL")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON per photo, for scripts.")] = False,
    url: Annotated[str, typer.Option(help="Where the server is.")] = "http://127.0.0.1:8888",
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a token (default: SMARTSIP_TOKEN or SMARTSIP_ADMIN_TOKEN, else the local stack's).",
            metavar="FILE",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data directory of the local stack, where its token is.", metavar="DIRECTORY")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each photo.", min=1, max=86_400)] = 150.0,
) -> None:
    """Ask a model what a dispenser should do with each photo, and show the safe command that comes out.

    Exit code 0 if every photo has a result, 1 if not, 130 after Ctrl-C (the jobs go on at the server).

    Example: smartsip analyze photos/*.jpg --model ollama/llava --json
    """
    if model is not None and not all(model.partition("/")):
        raise typer.BadParameter("give provider/model, as in openai/gpt-4o", param_hint="--model")
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("must begin with http:// or https://", param_hint="--url")
    token = find_token(token_file, data)
    raise typer.Exit(_run(photos, model, url, token, is_json=json, timeout_s=timeout))


def _run(photos: list[Path], model: str | None, url: str, token: str, *, is_json: bool, timeout_s: float) -> int:
    from compose.analysis import Outcome, ServerAway

    outcomes = [Outcome(photo=str(photo)) for photo in photos]
    view = _view(len(photos), is_json=is_json)
    try:
        asyncio.run(_analyze_all(photos, model, url, token, timeout_s, outcomes, view))
    except ServerAway as away:
        view.close(outcomes)
        sys.stderr.write(f"{away}\n")
        return 1
    except KeyboardInterrupt:
        view.close(outcomes)
        sys.stderr.write(_farewell(outcomes))
        return INTERRUPTED
    view.close(outcomes)
    return 1 if any(outcome.error for outcome in outcomes) else 0


async def _analyze_all(
    photos: list[Path],
    model: str | None,
    url: str,
    token: str,
    timeout_s: float,
    outcomes: "list[Outcome]",
    view: "JsonView | SingleView | ManyView",
) -> None:
    from compose.analysis import Server, ServerAway

    server = Server(url, token, timeout_s=timeout_s)
    slots = asyncio.Semaphore(AT_ONCE)
    try:
        async with asyncio.TaskGroup() as group:
            for photo, outcome in zip(photos, outcomes, strict=True):
                group.create_task(_analyze_one(server, slots, photo, model, outcome, view))
    except BaseExceptionGroup as several:
        away, others = several.split(ServerAway)
        if away is None or others is not None:
            raise
        raise away.exceptions[0] from None
    finally:
        await server.close()


async def _analyze_one(
    server: "Server",
    slots: asyncio.Semaphore,
    photo: Path,
    model: str | None,
    outcome: "Outcome",
    view: "JsonView | SingleView | ManyView",
) -> None:
    async with slots:
        await server.analyze(photo, model, view.text(outcome), outcome)
    view.done(outcome)


def _view(count: int, *, is_json: bool) -> "JsonView | SingleView | ManyView":
    from rich.console import Console

    from compose.analysis_view import JsonView, ManyView, SingleView

    if is_json:
        return JsonView()
    return SingleView(Console()) if count == 1 else ManyView(Console(), Console(stderr=True), count)


def _farewell(outcomes: "list[Outcome]") -> str:
    open_jobs = [outcome.job for outcome in outcomes if outcome.job and outcome.seconds is None]
    if not open_jobs:
        return "\nStopped. No job is left open at the server.\n"
    jobs = "".join(f"  {job}\n" for job in open_jobs)
    return f"\nStopped watching. These jobs go on at the server (GET /v2/jobs/<id> has their results):\n{jobs}"
