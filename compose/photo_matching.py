"""Which row of a labels file belongs to which photo. Pure."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compose.label_cells import shown
from compose.label_file import IMAGE, Fault, Row
from compose.photo_sources import FoundPhoto


@dataclass
class Matched:
    """Rows by the place of their photo; `strays` are rows whose photo is not there."""

    rows: dict[int, Row] = field(default_factory=dict[int, Row])
    faults: list[Fault] = field(default_factory=list[Fault])
    strays: list[Row] = field(default_factory=list[Row])


def match_rows(rows: Sequence[Row], photos: Sequence[FoundPhoto]) -> Matched:
    """Find each row's photo: by its path below the folder it was found in, or by its file's name alone."""
    matched = Matched()
    by_path, by_name = _places(photos)
    for row in rows:
        key = _key(row.image)
        places = by_path.get(key) or by_name.get(key, [])
        match places:
            case []:
                matched.strays.append(row)
            case [place] if place in matched.rows:
                problem = f"{shown(row.image)} is the photo of line {matched.rows[place].line} already"
                matched.faults.append(Fault(row.line, IMAGE, problem))
            case [place]:
                matched.rows[place] = row
            case [first, second, *_]:
                problem = _ambiguous(row.image, photos[first], photos[second], len(places))
                matched.faults.append(Fault(row.line, IMAGE, problem))
            case _:
                raise AssertionError("a list is empty, or has one member, or more")
    return matched


def _places(photos: Sequence[FoundPhoto]) -> tuple[Mapping[str, list[int]], Mapping[str, list[int]]]:
    by_path, by_name = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for place, photo in enumerate(photos):
        key = _key(photo.name)
        by_path[key].append(place)
        by_name[key.rpartition("/")[2]].append(place)
    return by_path, by_name


def _ambiguous(image: str, first: FoundPhoto, second: FoundPhoto, count: int) -> str:
    said = f"{count} photos are called {shown(image)} ({first.place}, {second.place})"
    if first.name == second.name:
        return f"{said}; import one folder at a time"
    return f"{said}; give the path, as in {first.name}"


def _key(name: str) -> str:
    """Return a name as it is compared: macOS writes letters and their accents apart."""
    return unicodedata.normalize("NFC", name.removeprefix("./"))
