"""What a cell of a labels file means: which columns there are, and values to text and back. Pure.

A text that would be read as something else (a number, true, blanks at its ends) stands in a cell as a JSON string, in
its double quotes, so that whatever is written is read back.
"""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from io import StringIO
from typing import Final, TypeAlias

LabelValue: TypeAlias = str | bool | int | float

MAX_TEXT_CHARS: Final = 200
MAX_TAG_CHARS: Final = 64
MAX_NUMBER: Final = 2**53
"""Beyond it, a number is not the same for every reader of JSON."""
PREFIX: Final = "label:"
SHOWN_CHARS: Final = 40
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d{0,15})(\.\d{1,400})?([eE][+-]?\d{1,3})?", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""`shared.domain.commands.LabelName`, without the library that checks it there."""
_TRUTHS: Final = {"yes": True, "true": True, "no": False, "false": False}


class WrongValue(Exception):
    """A cell or a column is not what it must be; the text says how, after the name of the column."""


class Kind(Enum):
    """What a column holds."""

    TRUTH = "truth"
    TEXT = "text"
    VOLUME = "volume"
    TEMPERATURE = "temperature"
    ANY = "any"


@dataclass(frozen=True)
class Column:
    """A column of the file, and the label that its cells are about."""

    name: str
    label: str
    kind: Kind


KNOWN: Final = {
    name: Column(name, name, kind)
    for name, kind in {
        "can_receive_water": Kind.TRUTH,
        "child_present": Kind.TRUTH,
        "container": Kind.TEXT,
        "contents": Kind.TEXT,
        "volume_min": Kind.VOLUME,
        "volume_max": Kind.VOLUME,
        "temperature_min": Kind.TEMPERATURE,
        "temperature_max": Kind.TEMPERATURE,
    }.items()
}
"""The labels that comparisons read; millilitres and °C."""


def column_named(name: str) -> Column:
    """Return the column that a header names.

    Raises:
        WrongValue: if there is none of this name.
    """
    if name in KNOWN:
        return KNOWN[name]
    label = name.removeprefix(PREFIX)
    if label != name:
        if not _NAME.fullmatch(label):
            raise WrongValue("a label's name has letters, digits, dots, dashes and underscores, at most 63")
        return Column(name, label, Kind.ANY)
    if name == "file":
        raise WrongValue("this label is the name under which a photo is imported; leave the column out")
    own = f", or {PREFIX}{name} for a label of your own" if _NAME.fullmatch(name) else ""
    raise WrongValue(f"there is no such column: image, tags, {', '.join(KNOWN)}{own}")


def column_for(label: str, value: LabelValue) -> Column:
    """Return the column that takes a label with this value: the known one, unless it could not be read back from it."""
    column = KNOWN.get(label)
    if column is not None:
        try:
            if same(read_member(column, value), value):
                return column
        except WrongValue:
            pass
    return Column(f"{PREFIX}{label}", label, Kind.ANY)


def read_cell(column: Column, cell: str) -> LabelValue | None:
    """Return what a cell of a CSV says; None is not labelled.

    Raises:
        WrongValue: if it says nothing that this column may hold.
    """
    text = cell.strip()
    if not text:
        return None
    if column.kind is Kind.ANY and (value := _spelled(text)) is not None:
        return value
    if column.kind in (Kind.ANY, Kind.TEXT):
        return _checked(_unquoted(text))
    return read_member(column, text)


def read_member(column: Column, value: object) -> LabelValue | None:
    """Return what a member of a JSON object says; None is not labelled.

    Raises:
        WrongValue: if it says nothing that this column may hold.
    """
    if value is None or value == "":
        return None
    match column.kind:
        case Kind.TRUTH:
            return _truth(value)
        case Kind.VOLUME:
            if (volume := _number(value)) < 0:
                raise WrongValue(f"{shown(value)} is less than 0 ml")
            return volume
        case Kind.TEMPERATURE:
            return _number(value)
        case Kind.TEXT:
            return _checked(value)
        case Kind.ANY:
            return _scalar(value)


def cell_of(column: Column, value: LabelValue) -> str:
    """Return the cell of a CSV that `read_cell` reads as this value."""
    if isinstance(value, bool):
        return ("yes" if value else "no") if column.kind is Kind.TRUTH else ("true" if value else "false")
    if not isinstance(value, str):
        return repr(value)
    is_plain = same(read_cell(column, value), value)
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def same(one: LabelValue | None, other: LabelValue | None) -> bool:
    """Say whether two values are the same label; 1 is not true, and 250 is 250.0."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def read_tags(value: object) -> list[str]:
    """Return the tags of a cell, which semicolons separate (a tag with one is put in quotes), or of a JSON list.

    Raises:
        WrongValue: if one is no tag.
    """
    tags = _separated(value or "") if isinstance(value, str | None) else value
    if not isinstance(tags, list):
        raise WrongValue(f"{shown(value)} is no list of tags")
    found: dict[str, None] = dict.fromkeys(map(_tag, tags))  # pyright: ignore[reportUnknownArgumentType] - JSON
    return [tag for tag in found if tag]


def tags_cell(tags: Sequence[str]) -> str:
    """Return the cell of a CSV that `read_tags` reads as these tags."""
    cell = StringIO()
    csv.writer(cell, delimiter=";", lineterminator="").writerow(tags)
    return cell.getvalue() if tags else ""


def shown(value: object) -> str:
    """Return a value as a sentence shows it: quoted, on one line, not too long."""
    if isinstance(value, list | dict):
        return "what is nested"
    text = value if isinstance(value, str) else json.dumps(value)
    text = "".join(char if char.isprintable() else "\ufffd" for char in text[: SHOWN_CHARS + 1])
    text = f"{text[:SHOWN_CHARS]}…" if len(text) > SHOWN_CHARS else text
    return f'"{text}"' if isinstance(value, str) else text


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (truth := _TRUTHS.get(value.strip().lower())) is not None:
        return truth
    raise WrongValue(f"{shown(value)} is neither yes nor no")


def _number(value: object) -> int | float:
    number = _number_in(value.strip()) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or number != number:  # not a number, by IEEE 754
        raise WrongValue(f"{shown(value)} is not a number")
    if abs(number) > MAX_NUMBER:
        raise WrongValue(f"{shown(value)} is too large a number")
    return number


def _scalar(value: object) -> LabelValue:
    if isinstance(value, bool):
        return value
    return _number(value) if isinstance(value, int | float) else _checked(value)


def _checked(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"{shown(value)} is not a text")
    if len(value) > MAX_TEXT_CHARS:
        raise WrongValue(f"{shown(value)} has {len(value)} characters; a label has at most {MAX_TEXT_CHARS}")
    if "\0" in value or not _is_unicode(value):
        raise WrongValue(f"{shown(value)} has a character that no label may have")
    return value


def _separated(cell: str) -> list[str]:
    nothing = list[str]()
    try:
        return next(csv.reader([cell], delimiter=";", skipinitialspace=True, strict=True), nothing)
    except csv.Error as error:
        raise WrongValue(f"{shown(cell)} is no list of tags ({error})") from error


def _tag(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"{shown(value)} is no tag: tags are texts")
    tag = value.strip()
    if len(tag) > MAX_TAG_CHARS:
        raise WrongValue(f"{shown(tag)} has {len(tag)} characters; a tag has at most {MAX_TAG_CHARS}")
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in tag) or not _is_unicode(tag):
        raise WrongValue(f"{shown(tag)} has a character that no tag may have")
    return tag


def _spelled(text: str) -> bool | int | float | None:
    """Return the truth or the number that a text spells, if it spells one."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    number = _number_in(text)
    return number if number is not None and abs(number) <= MAX_NUMBER else None


def _number_in(text: str) -> int | float | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    return float(text) if match[2] or match[3] else int(text)


def _unquoted(text: str) -> str:
    if len(text) < 2 or not text.startswith('"'):
        return text
    try:
        said: object = json.loads(text)
    except ValueError:
        return text
    return said if isinstance(said, str) and said else text


def _is_unicode(text: str) -> bool:
    return not any(0xD800 <= ord(char) < 0xE000 for char in text)  # halves of pairs, which JSON may spell alone
