"""Labels files: bytes in, rows or everything that is wrong out. Pure: nothing is opened, nothing is asked.

A CSV has a header with `image` and columns of labels; JSON lines have the same names as members. UTF-8, with or
without a byte order mark.
"""

import codecs
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, Final, NoReturn

from compose.label_cells import (
    Column,
    LabelValue,
    WrongValue,
    column_named,
    read_cell,
    read_member,
    read_tags,
    shown,
)

IMAGE: Final = "image"
TAGS: Final = "tags"
MAX_LABELS: Final = 31
"""Of the server's 32 for an image, one is the file's name."""
MAX_TAGS: Final = 32
_ENCODINGS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""What begins like UTF-16 may be UTF-32, hence the order."""
_RANGES: Final = ("volume", "temperature")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What the file says of one image; `line` is where, counted from 1."""

    line: int
    image: str
    labels: Mapping[str, LabelValue]
    tags: Sequence[str] = ()


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, where it stands, and how."""

    line: int | None
    column: str | None
    problem: str

    @property
    def sentence(self) -> str:
        """Say it, place first."""
        place = ", ".join(filter(None, [f"line {self.line}" if self.line else "", self.column]))
        return f"{place}: {self.problem}" if place else self.problem


@dataclass(frozen=True)
class LabelTable:
    """What a file says; where there are faults, the rows are those without one."""

    rows: list[Row] = field(default_factory=list[Row])
    faults: list[Fault] = field(default_factory=list[Fault])


def read_csv(content: bytes) -> LabelTable:
    """Read a CSV with a header."""
    return _read(content, _read_csv)


def read_json_lines(content: bytes) -> LabelTable:
    """Read JSON lines, an object for each image."""
    return _read(content, _read_json_lines)


def _read(content: bytes, read: Callable[[str, LabelTable], None]) -> LabelTable:
    table = LabelTable()
    try:
        text = _decoded(content)
        if not text.strip():
            raise WrongValue("the file is empty")
        read(text, table)
    except WrongValue as wrong:
        table.faults.append(Fault(None, None, str(wrong)))
    _refuse_repeated(table)
    return table


def _read_csv(text: str, table: LabelTable) -> None:
    lines = _csv_rows(text, table)
    head = next(lines, None)
    if head is None:
        return
    columns = _header(*head, table)
    if columns is None:
        return
    for line, cells in lines:
        if len(cells) != len(columns):
            problem = f"it has {_cells(len(cells))}, and the header {len(columns)}"
            table.faults.append(Fault(line, None, problem))
        else:
            _add(table, line, zip(columns, cells, strict=True), read_cell)


def _csv_rows(text: str, table: LabelTable) -> Iterator[tuple[int, list[str]]]:
    """Yield rows that are not blank, each with the line it begins at."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # What follows a broken quote cannot be told apart from what is quoted.
            table.faults.append(Fault(line, None, f"its quotes do not pair up, or it is too long ({error})"))
            return
        if any(cell.strip() for cell in cells):
            yield line, cells


def _header(line: int, cells: Sequence[str], table: LabelTable) -> list[Column | str] | None:
    names = [cell.strip() for cell in cells]
    if len(names) == 1 and (separator := next((one for one in ";\t|" if one in names[0]), None)):
        said = "tabs" if separator == "\t" else f"{separator!r}"
        table.faults.append(Fault(line, None, f"its columns are separated by {said}; save the file with commas"))
        return None
    columns: list[Column | str] = []
    for place, name in enumerate(names):
        try:
            columns.append(_column(name, is_again=name in names[:place], place=place + 1))
        except WrongValue as wrong:
            table.faults.append(Fault(line, name and shown(name)[1:-1], str(wrong)))
    if IMAGE not in names:
        table.faults.append(Fault(line, None, "there is no column image, which names the photo of each row"))
    return columns if len(columns) == len(names) and IMAGE in names else None


def _read_json_lines(text: str, table: LabelTable) -> None:
    for line, one in enumerate(text.split("\n"), 1):
        if not one.strip():
            continue
        try:
            members = _members(one)
        except WrongValue as wrong:
            table.faults.append(Fault(line, None, str(wrong)))
            continue
        _add_members(table, line, members)


def _add_members(table: LabelTable, line: int, members: Sequence[tuple[str, object]]) -> None:
    pairs: list[tuple[Column | str, object]] = []
    before = len(table.faults)
    names = [name for name, _ in members]
    for place, (name, value) in enumerate(members):
        try:
            pairs.append((_column(name, is_again=name in names[:place], place=place + 1), value))
        except WrongValue as wrong:
            table.faults.append(Fault(line, shown(name)[1:-1], str(wrong)))
    if IMAGE not in names:
        table.faults.append(Fault(line, None, "there is no member image, which names the photo"))
    elif len(table.faults) == before:
        _add(table, line, pairs, read_member)


def _members(line: str) -> list[tuple[str, object]]:
    """Return the members of the object in a line, also those whose name comes twice."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number")

    try:
        found: Any = json.loads(line, object_pairs_hook=_Members, parse_constant=refuse)
    except RecursionError:
        raise WrongValue("it is nested too deeply") from None
    except ValueError as error:
        raise WrongValue(f"it is not JSON ({error})") from error
    if not isinstance(found, _Members):
        raise WrongValue('it is no JSON object, as in {"image": "cup.jpg", "can_receive_water": true}')
    return found


class _Members(list[tuple[str, object]]):
    """The members of a JSON object, in their order."""


def _column(name: str, *, is_again: bool, place: int) -> Column | str:
    if not name:
        raise WrongValue(f"column {place} has no name")
    if is_again:
        raise WrongValue("this column is there twice")
    return name if name in (IMAGE, TAGS) else column_named(name)


def _add(
    table: LabelTable,
    line: int,
    cells: Iterable[tuple[Column | str, Any]],  # Any: text of a CSV, any member of JSON
    read: Callable[[Column, Any], LabelValue | None],
) -> None:
    """Add a row, or what is wrong with it."""
    image, tags, labels = "", list[str](), dict[str, LabelValue]()
    before = len(table.faults)
    for column, cell in cells:
        try:
            if column == IMAGE:
                image = _image(cell)
            elif column == TAGS:
                tags = _at_most(MAX_TAGS, read_tags(cell))
            elif isinstance(column, Column) and (value := read(column, cell)) is not None:
                if column.label in labels:
                    raise WrongValue("this label has a value in another column")
                labels[column.label] = value
        except WrongValue as wrong:
            name = column.name if isinstance(column, Column) else column
            table.faults.append(Fault(line, name, str(wrong)))
    table.faults.extend(_wrong_together(line, labels))
    if len(table.faults) == before:
        table.rows.append(Row(line=line, image=image, labels=labels, tags=tags))


def _image(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"{shown(value)} is not the name of a file")
    if not value.strip():
        raise WrongValue("it is empty")
    return value.strip()


def _at_most(most: int, tags: list[str]) -> list[str]:
    if len(tags) > most:
        raise WrongValue(f"these are {len(tags)} tags; a photo has at most {most}")
    return tags


def _wrong_together(line: int, labels: Mapping[str, LabelValue]) -> Iterator[Fault]:
    for name in _RANGES:
        low, high = labels.get(f"{name}_min"), labels.get(f"{name}_max")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            yield Fault(line, f"{name}_min", f"{low} is more than {name}_max, {high}")
    if len(labels) > MAX_LABELS:
        yield Fault(line, None, f"these are {len(labels)} labels; a photo has at most {MAX_LABELS} and its file's name")


def _refuse_repeated(table: LabelTable) -> None:
    lines: dict[str, int] = {}
    for row in table.rows:
        if row.image in lines:
            problem = f"{shown(row.image)} is in line {lines[row.image]} already"
            table.faults.append(Fault(row.line, IMAGE, problem))
        lines.setdefault(row.image, row.line)


def _decoded(content: bytes) -> str:
    for mark, name in _ENCODINGS:
        if content.startswith(mark):
            raise WrongValue(f"the file is {name}; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise WrongValue(
            f"the file is not UTF-8 but perhaps Windows-1252 (line {line} has the byte 0x{content[error.start]:02x});"
            " save it as UTF-8"
        ) from error
    if "\0" in text:
        looks = "perhaps UTF-16" if content.count(0) * 3 > len(content) else "no text"
        raise WrongValue(f"the file is {looks}: it has NUL characters; save it as UTF-8")
    return text


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
