"""Writing photos of the library into a folder, with a labels file that `smartsip photos import` reads."""

import asyncio
import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final, TypeAlias

import msgspec

from compose.analysis import Failure
from compose.errors import CannotStart
from compose.label_cells import KNOWN, PREFIX, cell_of, column_for, tags_cell
from compose.label_file import IMAGE, TAGS
from compose.photo_import import FILE
from compose.photo_library import AT_ONCE, Gone, Library
from compose.photo_view import View

LABELS_FILE: Final = "labels.csv"
MAX_NAME_BYTES: Final = 200
"""Of one part of a path: file systems take 255 bytes, and a suffix and what tells equal names apart come on top."""
_ENDINGS: Final = {"image/jpeg": (".jpg", ".jpeg"), "image/png": (".png",), "image/webp": (".webp",)}

Cells: TypeAlias = dict[str, str]
Photo: TypeAlias = dict[str, Any]  # JSON


@dataclass
class Exported:
    """What became of the photos."""

    written: int = 0
    known: int = 0
    pending: int = 0
    refused: int = 0

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        parts = {
            "written": self.written,
            "already there": self.known,
            "not opened yet": self.pending,
            "refused": self.refused,
        }
        return ", ".join(f"{count:,} {what}" for what, count in parts.items() if count) or "nothing"

    @property
    def is_whole(self) -> bool:
        """Whether every photo that was opened is in the folder."""
        return not self.refused


@dataclass
class Export:
    """One run: which photos go where."""

    library: Library
    view: View
    folder: Path
    query: Mapping[str, Any]
    is_forced: bool = False
    done: Exported = field(default_factory=Exported)
    _names: set[str] = field(default_factory=set[str])
    """Given out in this run, folded: some file systems take upper and lower case for the same."""
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def run(self) -> None:
        """Write everything, the labels file last: an export that was interrupted has none, and may be run again.

        Raises:
            CannotStart: if the folder cannot be written to, holds a labels file, or the server is away.
        """
        labels = self.folder / LABELS_FILE
        if labels.exists() and not self.is_forced:
            raise CannotStart(f"{labels} is there already: name another folder, or overwrite with --force.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile() as rows:  # what columns there are is known when the last photo was seen
                columns = await self._pages(rows)
                rows.seek(0)
                await asyncio.to_thread(_write_table, labels, columns, rows)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise CannotStart(f"{error.filename} cannot be written to: {error.strerror}.") from error

    async def _pages(self, rows: IO[bytes]) -> set[str]:
        columns = set[str]()
        async for photos in self.library.pages(self.query):
            found: list[Cells | None] = await asyncio.gather(*map(self._take, photos))
            for cells in filter(None, found):
                columns |= cells.keys()
                rows.write(msgspec.json.encode(cells) + b"\n")
        return columns

    async def _take(self, photo: Photo) -> Cells | None:
        """Write one photo, and return its row of the labels file."""
        if photo["state"] != "ready":
            self.done.pending += 1
            return None
        name = str(photo["id"])
        async with self._slots:
            try:
                name = self._own(await self._name(photo), photo["id"])
                content = await self.library.content(photo["id"])
                is_written = await asyncio.to_thread(_write, self.folder / name, content, is_forced=self.is_forced)
                del content
            except Failure as failure:
                self.done.refused += 1
                reason = "It was deleted meanwhile." if isinstance(failure, Gone) else str(failure)
                self.view.refuse(name, reason)
                return None
            finally:
                self.view.step(self.done.sentence)
        self.done.written += is_written
        self.done.known += not is_written
        return row_of(photo, name)

    async def _name(self, photo: Photo) -> str:
        """Return the first name that somebody gave a photo, as a path that leads nowhere else."""
        given = photo["labels"].get(FILE)
        if given is None:
            given = next(reversed(await self.library.names(photo["id"])), None)
        return safe_name(str(given or photo["id"]), photo["media_type"])

    def _own(self, name: str, image_id: str) -> str:
        """Return the name, or one with the image's id where another photo of this run has it."""
        if name.casefold() in self._names:
            stem, dot, suffix = name.rpartition(".")
            name = f"{stem}-{image_id}{dot}{suffix}"
        self._names.add(name.casefold())
        return name


def safe_name(given: str, media_type: str) -> str:
    """Return a name as a path below a folder, with a suffix that fits what is in the file."""
    parts = [_safe_part(part) for part in given.replace("\\", "/").split("/") if part.strip(" .")]
    name = "/".join(parts) or "photo"
    endings = _ENDINGS.get(media_type, ("",))
    return name if name.lower().endswith(endings) else f"{name}{endings[0]}"


def row_of(photo: Photo, name: str) -> Cells:
    """Return a photo's row of the labels file; its `file` label only where the import would not give it that name."""
    cells = {IMAGE: name}
    if photo["tags"]:
        cells[TAGS] = tags_cell(photo["tags"])
    for label, value in photo["labels"].items():
        if label != FILE or value != name:
            column = column_for(label, value)
            cells[column.name] = cell_of(column, value)
    return cells


def _safe_part(part: str) -> str:
    shown = "".join(char if char.isprintable() else "_" for char in part).strip()
    if shown.startswith("."):  # hidden files are no photos to the import
        shown = f"_{shown[1:]}"
    cut = shown.encode("utf-8", "replace")
    return shown if len(cut) <= MAX_NAME_BYTES else cut[-MAX_NAME_BYTES:].decode("utf-8", "ignore")


def _write(file: Path, content: bytes, *, is_forced: bool) -> bool:
    """Write a file whole or not at all; return whether it was not there yet as it is."""
    try:
        if file.is_file() and file.read_bytes() == content:
            return False
        if file.exists() and not is_forced:
            raise Failure("Another file of this name is there already; --force overwrites it.")
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        fresh.write_bytes(content)
        fresh.replace(file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise Failure(f"It cannot be written: {error.strerror}.") from error
    return True


def _write_table(file: Path, columns: set[str], rows: IO[bytes]) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, _ordered(columns), restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow(msgspec.json.decode(row, type=Cells))
    fresh.replace(file)


def _ordered(columns: set[str]) -> Sequence[str]:
    known = [name for name in (IMAGE, *KNOWN, TAGS) if name in columns or name == IMAGE]
    return [*known, *sorted(name for name in columns if name.startswith(PREFIX))]
