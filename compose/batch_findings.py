"""How a comparison is shown on a terminal: a row per variant, then what can be said of them in sentences. Pure."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from compose.analysis_view import printable
from compose.batch_view import money
from shared.domain.comparison.findings import Change, Findings, Mistaken, Pair, Share, VariantFindings

SIGNIFICANT: Final = 0.05
_SHARES: Final = ("Right (95 %)", "In ml range", "In °C range")
_SHARE_CHARS: Final = len("100 % (70–100)")
"""What a share is of may stand below it where the terminal is narrow."""
_MOST_PAIRS: Final = 10
_MOST_DISPUTED: Final = 5
_MOST_MISTAKEN: Final = 3


def heading(document: Mapping[str, Any], findings: Findings) -> str:
    """Say which batch this is, and what it was measured on."""
    batch, earlier = document["batch"], document.get("against")
    named = f" “{batch['name']}”" if batch["name"] else ""
    compared = f", against batch #{earlier['number']}" if earlier else ""
    labels = f"{findings.labelled:,} of them labelled as able to receive water or not"
    return printable(
        f"Batch #{batch['number']}{named}, {batch['state']}{compared}: {findings.photos:,} photos, {labels}."
    )


def findings_table(findings: Findings) -> Table:
    """Lay the variants out, one row each; what nothing is labelled for has no column."""
    has_volumes = any(variant.volume_in_range.of for variant in findings.variants)
    has_temperatures = any(variant.temperature_in_range.of for variant in findings.variants)
    headings = [*_SHARES, "Harm asked → poured", "Unusable", "Failed", "p50", "p95", "Cost", "A photo"]
    left_out = {name for name, has in zip(_SHARES, (True, has_volumes, has_temperatures), strict=True) if not has}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Variant", overflow="fold")
    for name in headings:
        if name not in left_out:
            table.add_column(name, justify="right", min_width=_SHARE_CHARS if name in _SHARES else None)
    for variant in findings.variants:
        cells = zip(headings, _cells(variant), strict=True)
        table.add_row(Text(printable(variant.name)), *(cell for name, cell in cells if name not in left_out))
    return table


def sentences(document: Mapping[str, Any], findings: Findings) -> Iterator[str]:
    """Yield what else there is to say: what is open, who can be told apart, what changed, what to look at."""
    names = {variant.number: variant.name for variant in findings.variants}
    if still := sum(variant.open for variant in findings.variants):
        yield f"{still:,} {'answer is' if still == 1 else 'answers are'} still to come."
    for variant in findings.variants:
        if variant.failures:
            kinds = ", ".join(f"{count:,} {code}" for code, count in sorted(variant.failures.items()))
            yield printable(f"{variant.name} failed: {kinds}.")
    for pair in islice(findings.pairs, _MOST_PAIRS):
        yield printable(_pair(pair, names))
    if (more := len(findings.pairs) - _MOST_PAIRS) > 0:
        yield f"{more} more pairs are in the whole report."
    yield from (printable(_change(change)) for change in findings.changes)
    if findings.unmatched:
        yield printable(f"Not in the earlier batch: {', '.join(findings.unmatched)}.")
    if findings.disputed:
        yield printable(f"They differ most on {', '.join(one.name for one in findings.disputed[:_MOST_DISPUTED])}.")
    if findings.never_right:
        yield printable(_never_right(findings))
    yield f"The whole report: smartsip batch report {document['batch']['number']} --html report.html"


def share(share: Share) -> str:
    """Say a share with its 95 % interval and what it is of; a dash where there is nothing it could be of."""
    if share.share is None or share.low is None or share.high is None:
        return "–"
    interval = f"{100 * share.low:.0f}–{100 * share.high:.0f}"
    return f"{100 * share.share:.0f} % ({interval}) {share.hits:,}/{share.of:,}"


def _cells(variant: VariantFindings) -> list[Text]:
    asked, executed = variant.asked.photos, variant.executed.photos
    failed = sum(variant.failures.values())
    shares = (variant.accuracy, variant.volume_in_range, variant.temperature_in_range)
    return [
        *(Text(share(one)) for one in shares),
        Text(f"{asked:,} → {executed:,}", style="bold red" if executed else "yellow" if asked else ""),
        Text(f"{variant.unusable.hits:,}"),
        Text(f"{failed:,}", style="red" if failed else ""),
        Text(_seconds(variant.latency_ms.p50)),
        Text(_seconds(variant.latency_ms.p95)),
        Text("–" if variant.cost is None else money(variant.cost) + ("+" if variant.unpriced else "")),
        Text("–" if variant.cost_per_photo is None else money(variant.cost_per_photo)),
    ]


def _pair(pair: Pair, names: Mapping[int, str]) -> str:
    first, second = names[pair.first], names[pair.second]
    if pair.agreement.share is None:
        return f"{first} and {second} have no photo that both answered."
    said = f"{first} and {second} decide alike on {pair.agreement.hits:,} of {pair.agreement.of:,} photos"
    if pair.p_value is None:
        return f"{said}."
    better = f"only {first} is right on {pair.first_better:,}, only {second} on {pair.second_better:,}"
    return f"{said}; {better}: {_told_apart(pair.p_value, first if (pair.difference or 0) > 0 else second)}."


def _told_apart(p_value: float, better: str) -> str:
    if p_value < SIGNIFICANT:
        return f"{better} is better (p = {p_value:.2g})"
    return f"these photos cannot tell which is better (p = {p_value:.2g})"


def _change(change: Change) -> str:
    said = f"Since the earlier batch's {change.earlier}, {change.name} decides otherwise on {change.decisions:,} of"
    said += f" {change.photos:,} photos and pours otherwise on {change.commands:,}"
    return f"{said}: {change.mended:,} mended, {change.broken:,} broken."


def _never_right(findings: Findings) -> str:
    count, variants = findings.never_right, findings.variants
    photos = f"{count:,} {'photo' if count == 1 else 'photos'}"
    said = f"{variants[0].name} is wrong on {photos}" if len(variants) == 1 else f"No answer is right on {photos}"
    names = [photo.name for photo in findings.mistaken if _all_are_wrong(photo)][:_MOST_MISTAKEN]
    if not names:
        return f"{said}."
    return f"{said}{':' if len(names) == count else ', such as'} {', '.join(names)}."


def _all_are_wrong(photo: Mistaken) -> bool:
    return len(photo.wrong) == sum(verdict.outcome == "succeeded" for verdict in photo.verdicts)


def _seconds(milliseconds: float | None) -> str:
    return "–" if milliseconds is None else f"{milliseconds / 1000:.2f} s"
