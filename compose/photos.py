"""`smartsip photos`: bring photos with labels into the library, take them out, look at them.

Speaks only HTTP, to a server that is running.
"""

import asyncio
import json as json_text
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from compose.errors import CannotStart
from compose.photo_filters import filtered
from compose.server import LOCAL, Data, TokenFile, Url, find_server

if TYPE_CHECKING:
    from compose.label_file import LabelTable, Row
    from compose.photo_bucket import Store
    from compose.photo_export import Export
    from compose.photo_import import Import
    from compose.photo_sources import FoundPhotos

app = typer.Typer(
    name="photos", help="Bring photos with labels into the library, take them out, list them.", no_args_is_help=True
)

INTERRUPTED: Final = 130  # what shells expect of a command ended by Ctrl-C
FAULTS_SHOWN: Final = 20
OTHERS_SHOWN: Final = 5
MAX_LABELS_BYTES: Final = 64 * 1024 * 1024
JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})


@app.command("import")
def import_(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE…", help="Photos, folders, or s3://bucket/prefix.")],
    *,
    labels: Annotated[
        Path | None, typer.Option(help="CSV, or JSON lines (.jsonl), that names photos in `image`.", metavar="FILE")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag every photo; may be given again.")] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Enter folders in folders.")] = False,
    ignore_missing: Annotated[
        bool, typer.Option("--ignore-missing", help="Let rows pass whose photo is not among the sources.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait until a worker has opened the photos.")
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="S3 server of s3:// sources (default: the system's own); its keys are MINIO_ACCESS_KEY and"
            " MINIO_SECRET_KEY, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            metavar="URL",
        ),
    ] = None,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Store photos in the library, and say of them what a labels file says.

    A photo is stored once, so that it is safe to repeat, also after an interruption. Labels that the file does not
    name stay. Nothing is stored if anything is wrong with the file.

    Exit code 0 if every photo is in the library, 1 if not, 130 after Ctrl-C.

    Example: smartsip photos import photos/ --labels photos/labels.csv --tag kitchen

    Example: smartsip photos import s3://cups/2024/ --recursive --endpoint https://s3.example.org
    """
    from compose.photo_import import Import
    from compose.photo_library import Library
    from compose.photo_view import View

    def open_s3() -> "Store":
        from compose.photo_bucket import open_store

        store = open_store(endpoint, data)
        stores.callback(store.close)
        return store

    server = find_server(url, token_file, data)
    table = None if labels is None else _read_labels(labels)
    with ExitStack() as stores:
        found = _find(sources, labels, open_s3, is_recursive=recursive)
        rows = {} if table is None else _matched(labels, table, found, ignores_missing=ignore_missing)
        if not found.photos:
            raise CannotStart(f"There are no JPEG, PNG or WebP photos in {', '.join(sources)}. {_left_alone(found)}")
        view = View("Importing", len(found.photos))
        for sentence in (_left_alone(found), _unlabelled(found, rows, has_table=table is not None)):
            if sentence:
                view.say(sentence)
        run = Import(Library(server), view, found.photos, rows, tags=tag or (), waits=not no_wait)
        _run(run, stays="What is stored stays")
    raise typer.Exit(0 if run.done.is_whole else 1)


@app.command("export")
@filtered
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if it is missing.")],
    *,
    query: dict[str, Any],
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are other ones.")] = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Write photos into a folder, with a labels.csv that `smartsip photos import` reads.

    A photo gets the name it was imported under, or the first that a device gave it, or else its id. Photos are written
    as they are shown: without metadata. The options choose photos; without any, all are written.

    Exit code 0 if every photo was written, 1 if not, 130 after Ctrl-C.

    Example: smartsip photos export backup/ --tag kitchen --label can_receive_water:true
    """
    from compose.photo_export import Export
    from compose.photo_library import Library
    from compose.photo_view import View

    server = find_server(url, token_file, data)
    run = Export(Library(server), View("Exporting", None), folder, query, is_forced=force)
    _run(run, stays=f"What is in {folder} stays")
    raise typer.Exit(0 if run.done.is_whole else 1)


@app.command("list")
@filtered
def list_(
    *,
    query: dict[str, Any],
    limit: Annotated[int, typer.Option(help="How many, newest first; 0 is all.", min=0)] = 50,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON per photo, for scripts.")] = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """List photos, newest first. The options choose photos.

    Example: smartsip photos list --tag kitchen --not-analysed --limit 0
    """
    server = find_server(url, token_file, data)
    found = server.pages("/v2/images", "images", query | ({"limit": min(limit, 100)} if limit else {}))
    photos = islice(found, limit or None)
    if json:
        for photo in photos:
            typer.echo(json_text.dumps(photo, ensure_ascii=False))
        return
    from compose.photo_view import print_photos

    count = print_photos(photos)
    if not count:
        typer.echo("There are no such photos: smartsip photos import DIR brings some.", err=True)
    elif limit and next(found, None):
        typer.echo(f"These are the newest {count}; --limit 0 lists all.", err=True)


def _run(run: "Import | Export", *, stays: str) -> None:
    """Do the work, and say what became of it, however it ends."""

    async def closing() -> None:
        try:
            await run.run()
        finally:
            await run.library.close()

    try:
        asyncio.run(closing())
    except KeyboardInterrupt:
        run.view.close()
        sys.stderr.write(f"\nStopped: {run.done.sentence}. {stays}; run it again for the rest.\n")
        raise typer.Exit(INTERRUPTED) from None
    except CannotStart as error:
        raise CannotStart(f"{error} So far: {run.done.sentence}. {stays}; run it again for the rest.") from error
    finally:
        run.view.close()
    typer.echo(run.done.sentence)


def _read_labels(file: Path) -> "LabelTable":
    from compose.label_file import read_csv, read_json_lines

    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_LABELS_BYTES + 1)
    except OSError as error:
        raise CannotStart(f"The labels file {file} cannot be read: {error.strerror}.") from error
    if len(content) > MAX_LABELS_BYTES:
        raise CannotStart(f"The labels file {file} is larger than {MAX_LABELS_BYTES:,} bytes.")
    return read_json_lines(content) if file.suffix.lower() in JSON_LINES else read_csv(content)


def _find(
    sources: Sequence[str], labels: Path | None, store: "Callable[[], Store]", *, is_recursive: bool
) -> "FoundPhotos":
    """Return the photos of all sources; `store` opens the S3 server, where one is needed."""
    from compose.photo_sources import BUCKET_SCHEME, find_photos

    buckets = [source for source in sources if source.startswith(BUCKET_SCHEME)]
    files = [source for source in sources if source not in buckets]
    found = find_photos(files, is_recursive=is_recursive, besides=labels)
    if buckets:
        server = store()
        for bucket in buckets:
            server.find(bucket, found, is_recursive=is_recursive)
    return found


def _matched(
    file: Path | None, table: "LabelTable", found: "FoundPhotos", *, ignores_missing: bool
) -> "dict[int, Row]":
    """Return the rows by the place of their photo.

    Raises:
        CannotStart: if anything is wrong with the file.
    """
    from compose.label_cells import shown
    from compose.label_file import IMAGE, Fault
    from compose.photo_matching import match_rows

    matched = match_rows(table.rows, found.photos)
    faults = [*table.faults, *matched.faults]
    if not ignores_missing:
        faults += [Fault(row.line, IMAGE, f"{shown(row.image)} is not among the photos") for row in matched.strays]
    if not faults:
        return matched.rows
    faults.sort(key=lambda fault: fault.line or 0)
    said = [f"{file}: {fault.sentence}" for fault in faults[:FAULTS_SHOWN]]
    said += [f"… and {len(faults) - FAULTS_SHOWN:,} more"] if len(faults) > FAULTS_SHOWN else []
    raise CannotStart("\n".join([*said, "Nothing was imported."]))


def _left_alone(found: "FoundPhotos") -> str:
    parts = [_counted(found.others, "other file", "left alone"), _counted(found.folders, "folder", "not entered")]
    said = " and ".join(filter(None, parts))
    advice = " (--recursive enters folders)" if found.folders else ""
    return f"{said}{advice}." if said else ""


def _counted(names: Sequence[str], what: str, done: str) -> str:
    if not names:
        return ""
    more = f", … {len(names) - OTHERS_SHOWN:,} more" if len(names) > OTHERS_SHOWN else ""
    plural = "s were" if len(names) > 1 else " was"
    return f"{len(names):,} {what}{plural} {done}: {', '.join(names[:OTHERS_SHOWN])}{more}"


def _unlabelled(found: "FoundPhotos", rows: "dict[int, Row]", *, has_table: bool) -> str:
    count = len(found.photos) - len(rows)
    return f"{count:,} of {len(found.photos):,} photos have no row in the labels file." if has_table and count else ""
