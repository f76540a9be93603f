"""`smartsip batch report`: what a batch shows, on the terminal or in files."""

import json as json_text
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from compose.batch_names import find_batch
from compose.batch_options import Json, Named
from compose.errors import CannotStart
from compose.server import LOCAL, Data, Server, TokenFile, Url, find_server

SILENCE_S: Final = 600.0
"""The server reads every answer of the batch before the first byte of a page: for 100,000 photos that takes minutes."""


def report(
    batch: Named,
    *,
    html: Annotated[Path | None, typer.Option(help="Write one page to read and mail.", metavar="FILE")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write a row per photo and variant, for a spreadsheet.", metavar="FILE")
    ] = None,
    jsonl: Annotated[
        Path | None, typer.Option(help="Write a line of JSON per photo and variant.", metavar="FILE")
    ] = None,
    json: Json = False,
    against: Annotated[
        str | None, typer.Option(help="An earlier batch: what changed since.", metavar="BATCH", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Show how a batch's variants compare, with confidence intervals, for what has ended so far; or write it to files.

    Example: smartsip batch report latest --html report.html --csv rows.csv
    """
    files = {form: file for form, file in (("html", html), ("csv", csv), ("jsonl", jsonl)) if file is not None}
    _check(files, force=force)
    server = find_server(url, token_file, data)
    found = find_batch(server, batch)
    query = {"against": find_batch(server, against)["id"]} if against is not None else {}
    path = f"/v2/batches/{found['id']}/report"
    for form, file in files.items():
        size_bytes = download(server, path, query | {"format": form}, file, force=force)
        typer.echo(f"{file}: {size_bytes:,} bytes.", err=True)
    if json or not files:
        _show(server.ask("GET", path, params=query | {"format": "json"}, timeout=SILENCE_S), is_json=json)


def download(server: Server, path: str, query: Mapping[str, str], file: Path, *, force: bool) -> int:
    """Write an answer to a file as it comes and return its size in bytes; the file is there whole, or not at all.

    Raises:
        CannotStart: if the server refuses or breaks off, or the file cannot be written.
    """
    import httpx

    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        with server.streamed(path, silence_s=SILENCE_S, params=query) as answer, part.open("xb") as output:
            for chunk in answer.iter_bytes():
                output.write(chunk)
            output.flush()
            os.fsync(output.fileno())
            size_bytes = output.tell()
        _check({"": file}, force=force)  # it may have come to be meanwhile
        part.replace(file)
    except httpx.TransportError as error:
        raise CannotStart(f"The report broke off ({type(error).__name__}): {file} was not written.") from error
    except OSError as error:
        raise CannotStart(f"{file} cannot be written ({error.strerror}).") from error
    finally:
        part.unlink(missing_ok=True)
    return size_bytes


def _check(files: Mapping[str, Path], *, force: bool) -> None:
    for file in files.values():
        if file.is_dir():
            raise CannotStart(f"{file} is a folder: name a file in it.")
        if file.exists() and not force:
            raise CannotStart(f"{file} exists: name another file, or replace it with --force.")


def _show(document: dict[str, Any], *, is_json: bool) -> None:  # JSON
    if is_json:
        typer.echo(json_text.dumps(document, ensure_ascii=False, indent=2))
        return
    import msgspec

    from compose.batch_findings import findings_table, heading, sentences
    from compose.batch_view import print_out
    from shared.domain.comparison.findings import Findings

    try:
        findings = msgspec.convert(document["findings"], Findings)
    except (msgspec.ValidationError, KeyError) as error:
        raise CannotStart(f"This version does not understand the server's report ({error}): take --json.") from error
    print_out(heading(document, findings), "", findings_table(findings), "", *sentences(document, findings))
