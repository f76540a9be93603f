"""All rows of a batch as CSV (RFC 4180) and JSONL: one per photo and variant, under the same names in both."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

from api.services.batches.report_head import Asked
from api.services.batches.report_photos import FILE_LABEL, Item, ReportPhoto

Row: TypeAlias = dict[str, Any]  # values of several types, as JSON has them

RESULT: Final = tuple(name for name in Item.__dataclass_fields__ if name != "state")
COLUMNS: Final = (
    *("position", "image_id", "file", "variant", "variant_name", "model", "prompt", "profile", "state"),
    *RESULT,
)
"""Of every row; the labels follow."""
LABEL: Final = "label_"
_encoder: Final = msgspec.json.Encoder(decimal_format="number")
RISKY: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def csv_header(labels: Sequence[str]) -> bytes:
    """Return the first line; `labels` are names of labels, `file` not among them."""
    return _lines([[*COLUMNS, *(LABEL + name for name in labels)]])


def csv_rows(photos: Iterable[ReportPhoto], asked: Sequence[Asked], labels: Sequence[str]) -> bytes:
    """Return lines for some photos. Texts that a spreadsheet would execute begin with an apostrophe."""
    columns = [*COLUMNS, *(LABEL + name for name in labels)]
    rows = (row | {"interventions": " ".join(row["interventions"] or ())} for row in rows_of(photos, asked))
    return _lines([_cell(row.get(column)) for column in columns] for row in rows)


def jsonl_rows(photos: Iterable[ReportPhoto], asked: Sequence[Asked]) -> bytes:
    """Return lines for some photos, each a JSON object with every label that the photo has."""
    return b"".join(_encoder.encode(row) + b"\n" for row in rows_of(photos, asked))


def rows_of(photos: Iterable[ReportPhoto], asked: Sequence[Asked]) -> Iterator[Row]:
    """Yield a row per photo and variant, photo by photo."""
    for photo in photos:
        labels = {LABEL + name: value for name, value in photo.labels.items() if name != FILE_LABEL}
        of_photo: Mapping[str, Any] = {
            "position": photo.position,
            "image_id": photo.image_id,
            "file": photo.name or None,
        }
        for way, item in zip(asked, photo.items, strict=True):
            yield {**of_photo, **_of_variant(way), "state": item.state, **_result(item), **labels}


def _of_variant(asked: Asked) -> Row:
    variant = asked.variant
    return {
        "variant": variant.number,
        "variant_name": variant.name,
        "model": variant.model,
        "prompt": variant.prompt,
        "profile": variant.profile.name,
    }


def _result(item: Item) -> Row:
    return {name: getattr(item, name) for name in RESULT}


def _lines(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> object:  # a row's value
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return "'" + value if value.startswith(RISKY) else value
        case Decimal():
            return f"{value.normalize():f}"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
