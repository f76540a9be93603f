"""Where photos for the library come from: files and folders. Buckets are in `compose/photo_bucket.py`."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from compose.analysis import read_photo
from compose.errors import CannotStart

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
BUCKET_SCHEME: Final = "s3://"

ReadPhoto: TypeAlias = Callable[[], tuple[bytes, str]]
"""Returns the content and its media type; blocks. Raises `compose.analysis.Failure` where there is no photo."""


@dataclass(frozen=True)
class FoundPhoto:
    """A photo that can be imported; `name` is its path below the folder it was found in, `place` where it is."""

    name: str
    place: str
    read: ReadPhoto = field(compare=False)


@dataclass
class FoundPhotos:
    """What the sources hold: photos by name, and names of what was left alone."""

    photos: list[FoundPhoto] = field(default_factory=list[FoundPhoto])
    others: list[str] = field(default_factory=list[str])
    folders: list[str] = field(default_factory=list[str])


def find_photos(sources: Sequence[str], *, is_recursive: bool, besides: Path | None) -> FoundPhotos:
    """Return the photos in files and folders, each once; `besides` is a file that nobody need be told of.

    Raises:
        CannotStart: if there is no such file or folder, or it may not be read.
    """
    found = FoundPhotos()
    seen = set[Path]() if besides is None else {besides.resolve()}
    for source in map(Path, sources):
        try:
            if source.is_dir():
                _enter(source, found, seen, is_recursive=is_recursive)
            elif source.exists():
                _add(source, _text(source.name), found, seen)
            else:
                raise CannotStart(f"There is no file or folder {source}.")
        except OSError as error:
            raise CannotStart(f"{error.filename or source} cannot be read: {error.strerror}.") from error
    return found


def _enter(folder: Path, found: FoundPhotos, seen: set[Path], *, is_recursive: bool) -> None:
    for file, is_folder in _entries(folder, is_recursive=is_recursive):
        name = _text(file.relative_to(folder).as_posix())
        if is_folder:
            found.folders.append(name)
        elif is_photo_name(name):
            _add(file, name, found, seen)
        elif file.resolve() not in seen:
            found.others.append(name)


def is_photo_name(name: str) -> bool:
    """Say whether a file in a folder is taken for a photo; hidden ones (macOS leaves `._cup.jpg`) are not."""
    suffix = os.path.splitext(name)[1]  # noqa: PTH122 - a name in a bucket is no path of this machine
    return suffix.lower() in SUFFIXES and not name.rpartition("/")[2].startswith(".")


def _entries(folder: Path, *, is_recursive: bool) -> Iterator[tuple[Path, bool]]:
    """Yield files, and folders that are not entered, by name."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders.sort()
        yield from ((Path(place, name), False) for name in sorted(files))
        if not is_recursive:
            yield from ((Path(place, name), True) for name in folders)
            return


def _add(file: Path, name: str, found: FoundPhotos, seen: set[Path]) -> None:
    real = file.resolve()
    if real not in seen:
        seen.add(real)
        found.photos.append(FoundPhoto(name, _text(str(file)), lambda: read_photo(file)))


def _text(name: str) -> str:
    """Return a name of the file system as text that can be sent, whatever bytes it has."""
    return name.encode("utf-8", "replace").decode()
