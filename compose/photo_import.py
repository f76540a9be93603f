"""Bringing photos into the library, a few at a time. Repeating it is harmless: a photo is stored once."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from compose.analysis import Failure
from compose.label_cells import LabelValue, same
from compose.label_file import Row
from compose.photo_library import AT_ONCE, PATIENCE_S, Gone, Library, several
from compose.photo_sources import FoundPhoto
from compose.photo_view import View

FILE: Final = "file"
"""The label that keeps the name a photo was imported under."""
MAX_NAME_CHARS: Final = 200


@dataclass
class Imported:
    """What became of the photos, each counted as new, known or refused."""

    new: int = 0
    known: int = 0
    labelled: int = 0
    refused: int = 0
    unopened: int = 0

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        parts = {
            "new": self.new,
            "already there": self.known,
            "labelled": self.labelled,
            "refused": self.refused,
            "not opened yet": self.unopened,
        }
        return ", ".join(f"{count:,} {what}" for what, count in parts.items() if count) or "nothing"

    @property
    def is_whole(self) -> bool:
        """Whether every photo is in the library."""
        return not self.refused and not self.unopened


@dataclass
class Import:
    """One run: photos with the rows that belong to them."""

    library: Library
    view: View
    photos: Sequence[FoundPhoto]
    rows: Mapping[int, Row]
    tags: Sequence[str] = ()
    waits: bool = True
    patience_s: float = PATIENCE_S
    done: Imported = field(default_factory=Imported)
    _claims: dict[str, tuple[str, Mapping[str, LabelValue]]] = field(
        default_factory=dict[str, tuple[str, Mapping[str, LabelValue]]]
    )
    """Images of this run, by id: the photo that came first, and what its row says."""
    _pending: dict[str, tuple[FoundPhoto, bool]] = field(default_factory=dict[str, tuple[FoundPhoto, bool]])
    """Images that were not opened when they were stored, by id: the photo, and whether it is new."""

    async def run(self) -> None:
        """Import everything, then wait until all of it was opened, if asked to.

        Raises:
            CannotStart: if the server is away, or lets nobody in; what was stored stays.
        """
        places = iter(range(len(self.photos)))
        await several(self._uploads(places) for _ in range(AT_ONCE))
        if not self.waits or not self._pending:
            return
        self.view.say(f"Waiting until {len(self._pending):,} photos are opened …")
        waiting = iter(list(self._pending))
        try:
            async with asyncio.timeout(self.patience_s):
                await several(self._openings(waiting) for _ in range(AT_ONCE))
        except TimeoutError:
            self.done.unopened = len(self._pending)

    async def _uploads(self, places: Iterator[int]) -> None:
        for place in places:
            photo = self.photos[place]
            try:
                await self._bring(photo, self.rows.get(place))
            except Failure as failure:
                self._refuse(photo, failure)
            self.view.step(self.done.sentence)

    async def _bring(self, photo: FoundPhoto, row: Row | None) -> None:
        content, media_type = await asyncio.to_thread(photo.read)
        tags = list(dict.fromkeys([*self.tags, *(row.tags if row else ())]))
        # Once a photo was not opened in time, the next ones are not waited for one by one.
        waits = self.waits and not self._pending
        image, is_new = await self.library.upload(content, media_type, tags=tags, waits=waits)
        del content
        is_first, labels = self._claim(image["id"], photo, row)
        wanted = dict(labels)
        if is_first and FILE not in image["labels"]:
            wanted.setdefault(FILE, photo.name[-MAX_NAME_CHARS:])
        missing = {name: value for name, value in wanted.items() if not same(image["labels"].get(name), value)}
        if missing:
            await self.library.label(image["id"], missing)
        if image["state"] == "pending" and is_first:
            self._pending[image["id"]] = (photo, is_new)
        self.done.new += is_new
        self.done.known += not is_new
        self.done.labelled += bool(labels.keys() & missing.keys())

    def _claim(self, image_id: str, photo: FoundPhoto, row: Row | None) -> tuple[bool, Mapping[str, LabelValue]]:
        """Return whether an image is in this run for the first time, and the labels it is to have.

        Raises:
            Failure: if the same photo was there before under another name, with labels that say otherwise.
        """
        labels: Mapping[str, LabelValue] = row.labels if row else {}
        if image_id not in self._claims:
            self._claims[image_id] = (photo.place, labels)
            return True, labels
        first, said = self._claims[image_id]
        if any(not same(labels[name], value) for name, value in said.items() if name in labels):
            raise Failure(f"It is the same photo as {first}, whose labels say otherwise.")
        self._claims[image_id] = (first, {**said, **labels})
        return False, labels

    async def _openings(self, waiting: Iterator[str]) -> None:
        for image_id in waiting:
            failure: Failure | None = None
            try:
                await self.library.opened(image_id)
            except Gone:
                failure = Failure("It could not be opened as an image, and is not stored.")
            except Failure as refusal:
                failure = refusal
            photo, is_new = self._pending.pop(image_id)
            if failure is not None:
                self.done.new -= is_new
                self.done.known -= not is_new
                self._refuse(photo, failure)

    def _refuse(self, photo: FoundPhoto, failure: Failure) -> None:
        self.done.refused += 1
        self.view.refuse(photo.place, str(failure))
