"""The report as one self-contained page: nothing is fetched, nothing is run, whatever users wrote is escaped."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.reports import words
from api.reports.conclusions import LEVEL, conclusions, is_significant, ranking
from api.reports.plots import LEFT, RIGHT, ROW, WIDTH, plots_of
from api.services.batches.report_head import Head
from api.services.batches.report_thumbnails import MAX_THUMBNAILS
from shared.domain.comparison import (
    ChangedPhoto,
    Disputed,
    Findings,
    Mistaken,
    Pair,
    Truth,
    Verdict,
    Violations,
    decision_of,
)

EXAMPLES: Final = 10
"""Of changed photos that are shown for each variant; the JSON has more."""
ANSWERS: Final = 120
"""About disputed photos, of all variants together, and as many about mistaken ones; the JSON has more."""
FEWEST: Final = 6
"""Of the disputed photos and of the mistaken ones, however many answers each has."""
PAIRS: Final = 45
"""Of variants that are listed, as many as ten variants make; the JSON has all."""
POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The page says it itself, too, for whoever opens it from a disk."""

_jinja: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that the page shows; `thumbnails` are JPEGs by image."""

    head: Head
    earlier: Head | None
    findings: Findings
    thumbnails: Mapping[UUID, bytes]
    made_at: datetime


def render_page(report: Report) -> bytes:
    """Return the page (UTF-8). Takes some ten milliseconds: call it in a thread."""
    findings = report.findings
    ranked = ranking(findings)
    return (
        _jinja.get_template("page.html")
        .render(
            report=report,
            head=report.head,
            findings=findings,
            policy=POLICY,
            best=ranked.leader.number if ranked and ranked.is_clear else None,
            conclusions=conclusions(findings),
            plots=plots_of(findings.variants),
            plot={"width": WIDTH, "left": LEFT, "right": RIGHT, "row": ROW},
            disputed=shown_disputed(findings),
            mistaken=shown_mistaken(findings),
            pairs=shown_pairs(findings.pairs),
            agreement={(pair.first, pair.second): pair for pair in findings.pairs}
            | {(pair.second, pair.first): pair for pair in findings.pairs},
            names={variant.number: variant.name for variant in findings.variants},
            thumbnails={image_id: _data_url(content) for image_id, content in report.thumbnails.items()},
            level=LEVEL,
        )
        .encode("utf-8", "replace")
    )


def pictured(findings: Findings) -> list[UUID]:
    """Return the photos that the page shows, in its order."""
    photos = (*shown_disputed(findings), *shown_mistaken(findings), *_shown_changed(findings))
    return list(dict.fromkeys(photo.image_id for photo in photos))


def shown_disputed(findings: Findings) -> Sequence[Disputed]:
    """Return the disputed photos that are shown: fewer where each has many answers."""
    return findings.disputed[: _most(findings)]


def shown_mistaken(findings: Findings) -> Sequence[Mistaken]:
    """Return the mistaken photos that are shown: none twice, and few enough to leave the others their thumbnails."""
    above = {photo.image_id for photo in shown_disputed(findings)}
    room = MAX_THUMBNAILS - len(above | {photo.image_id for photo in _shown_changed(findings)})
    others = [photo for photo in findings.mistaken if photo.image_id not in above]
    return others[: max(FEWEST, min(_most(findings), room))]


def shown_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that are listed: all, or those that differ most surely."""
    if len(pairs) <= PAIRS:
        return list(pairs)
    return sorted(pairs, key=lambda pair: 1.0 if pair.p_value is None else pair.p_value)[:PAIRS]


def _most(findings: Findings) -> int:
    return max(FEWEST, ANSWERS // len(findings.variants))


def _shown_changed(findings: Findings) -> list[ChangedPhoto]:
    return [photo for change in findings.changes for photo in _shown_examples(change.examples)]


def _data_url(content: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def _is_right(verdict: Verdict, truth: Truth) -> bool | None:
    """Return whether an answer agrees with the label; None where there is no answer or no label."""
    if verdict.outcome != "succeeded" or truth.can_receive_water is None:
        return None
    return decision_of(verdict) == truth.can_receive_water


def _instant(moment: datetime | None) -> str:
    return words.NOTHING if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _harms(violations: Violations) -> str:
    kinds = (
        (violations.onto_nothing, "onto nothing"),
        (violations.hot_for_child, "hot for a child"),
        (violations.beyond_device, "beyond the device"),
    )
    return ", ".join(f"{number} {kind}" for number, kind in kinds if number)


def _shown_examples(examples: Sequence[ChangedPhoto]) -> Sequence[ChangedPhoto]:
    return examples[:EXAMPLES]


_FILTERS: Final[dict[str, Any]] = {  # Any: jinja2's type for filters is that of those it brings
    "percent": words.percent,
    "interval": words.interval,
    "points": words.points,
    "p_value": words.p_value,
    "duration": words.duration,
    "money": words.money,
    "plural": words.plural,
    "yes_or_no": words.yes_or_no,
    "command": words.command,
    "labels": words.labels,
    "decision": decision_of,
    "is_right": _is_right,
    "is_significant": is_significant,
    "harms": _harms,
    "examples": _shown_examples,
    "instant": _instant,
    "as_json": _as_json,
}
_jinja.filters.update(_FILTERS)
