"""`smartsip import`: take over what an older system kept. Needs the database and the S3 server, not a running api."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from compose.errors import CannotStart

app = typer.Typer(name="import", help="Take over what an older system kept.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Take over what an older system kept."""


@app.command("lite-llm-chat")
def lite_llm_chat(
    file: Annotated[Path, typer.Argument(help="Its SQLite file, as in chat_history.db.", metavar="FILE")],
    *,
    owner: Annotated[str, typer.Option(help="Whose the chats become: a user, or another owner.")] = "local",
    uploads: Annotated[
        Path | None, typer.Option(help="Its directory of uploads; without it, files are kept as addresses only.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Data directory of the local stack, if it is not in its usual place.")
    ] = None,
) -> None:
    """Take over the sessions of Lite-LLM-Chat, with their messages and files. The file is only read.

    A session that was taken over before is left as it is, so that it is safe to repeat. What is broken in the file is
    named with its id, and left out.

    Example: smartsip import lite-llm-chat chat_history.db --uploads uploads --owner anna
    """
    from compose.import_chats import Import, import_file
    from compose.running import settings_in_use
    from compose.screen import Screen
    from shared.domain.errors import SmartSipError
    from shared.observability import set_up_logging

    if uploads is not None and not uploads.is_dir():
        raise CannotStart(f"There is no directory {uploads}.")
    settings = settings_in_use(data)
    set_up_logging(log_format=settings.log_format, log_level="error")
    wanted = Import(file=file, owner_name=owner, uploads=uploads, is_dry=dry_run)
    try:
        done = asyncio.run(import_file(settings, wanted, Screen(sys.stderr)))
    except SmartSipError as error:
        raise CannotStart(
            f"The import stopped: {error} What was taken over stays; run it again for the rest."
        ) from error
    typer.echo(done.sentence)
