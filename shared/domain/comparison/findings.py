"""What a comparison finds out, as the report carries it: shares with their confidence intervals, never bare numbers."""

from uuid import UUID

import msgspec

from shared.domain.comparison.photos import Truth, Verdict


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """`hits` of `of`, as a share from 0 to 1 with its 95 % interval; without any, share and interval are None."""

    hits: int
    of: int
    share: float | None
    low: float | None
    high: float | None


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """Photos labelled as able (`yes_…`) or unable (`no_…`) to receive water, by what the variant said.

    `…_none` are answers that say neither; they count as wrong.
    """

    yes_yes: int = 0
    yes_no: int = 0
    yes_none: int = 0
    no_yes: int = 0
    no_no: int = 0
    no_none: int = 0


class Violations(msgspec.Struct, frozen=True, kw_only=True):
    """Photos on which water would do harm: `photos` counts each once, of `of` answered photos.

    `onto_nothing`: poured where the label says that nothing can receive it. `hot_for_child`: executed hotter than 40 °C
    where a child is labelled, or, without a label, where the model itself saw one. `beyond_device`: more or hotter than
    the profile allows, which is less hot where a child is, by the same rule. Where no water is wanted, or no volume
    named, there is nothing to be harmed by.
    """

    photos: int
    of: int
    onto_nothing: int
    hot_for_child: int
    beyond_device: int


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of what was measured (nearest rank), None where nothing was."""

    p50: float | None
    p95: float | None


class VariantFindings(msgspec.Struct, frozen=True, kw_only=True):
    """How one variant did.

    `accuracy` is over answered photos that are labelled; `volume_in_range` and `temperature_in_range` over answered
    photos with such a range, by the command after the envelope (a temperature only where something is poured, as
    requested of the device). An answer that is not usable is an answer that says neither and pours nothing.
    `asked` are violations of what the model wanted (also in an answer that is not usable), `executed` of what was left
    after the envelope. `intervened` and `unusable` are shares of answered photos, `answered` of photos whose job has
    ended. `failures` counts the ended ones without an answer by error code, the most frequent first; without a code,
    by `failed` or `cancelled`. `latency_ms` is of answers.

    Tokens and `cost` are of everything that ended, also of what failed, where a price is known; `cost` is None where
    nothing has one. `cost_per_photo` is the mean of the answers that have a price, `unpriced` counts those without.
    """

    number: int
    name: str
    model: str
    prompt: str
    profile: str
    open: int
    answered: Share
    accuracy: Share
    confusion: Confusion
    volume_in_range: Share
    temperature_in_range: Share
    asked: Violations
    executed: Violations
    intervened: Share
    unusable: Share
    failures: dict[str, int]
    latency_ms: Spread
    input_tokens: int
    output_tokens: int
    cost: float | None
    cost_per_photo: float | None
    unpriced: int


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two variants over the photos that both answered.

    `agreement` is the share of photos on which both decide alike whether water can be received, where saying neither
    is a decision of its own; `kappa` is Cohen's, of the same three (None where it is not defined). `first_better` and
    `second_better` are labelled photos that only one of them got right, `difference` the first's accuracy minus the
    second's on photos that both answered, with a 95 % interval for paired shares, and `p_value` of McNemar's exact test
    (two-sided). `volume_gap_ml` and `degree_gap_c` are mean absolute differences of the commands; of degrees only where
    both pour something.
    """

    first: int
    second: int
    photos: int
    agreement: Share
    kappa: float | None
    first_better: int
    second_better: int
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    p_value: float | None
    volume_gap_ml: float | None
    degree_gap_c: float | None


class Disputed(msgspec.Struct, frozen=True, kw_only=True):
    """A photo on which variants differ; `score` (higher is more) is explained where it is computed."""

    position: int
    image_id: UUID
    name: str
    truth: Truth
    score: float
    verdicts: tuple[Verdict, ...]


class Mistaken(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled photo that variants answer otherwise than its label says; saying neither is wrong, too.

    `wrong` has the numbers of those variants, in their order.
    """

    position: int
    image_id: UUID
    name: str
    truth: Truth
    wrong: tuple[int, ...]
    verdicts: tuple[Verdict, ...]


class ChangedPhoto(msgspec.Struct, frozen=True, kw_only=True):
    """A photo that a variant answers otherwise than its counterpart in the earlier batch did."""

    image_id: UUID
    name: str
    truth: Truth
    before: Verdict
    now: Verdict


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A variant against its counterpart in an earlier batch, over the photos that both answered.

    `decisions` counts photos on which they decide otherwise whether water can be received, `commands` those whose
    volume or degree differs at all; `mended` and `broken` are labelled photos that only the newer, only the older got
    right, `difference` the newer's accuracy minus the older's, as in `Pair`. `examples` begin with what was broken,
    then what was mended.
    """

    number: int
    name: str
    earlier: str
    photos: int
    decisions: int
    commands: int
    mended: int
    broken: int
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    p_value: float | None
    examples: tuple[ChangedPhoto, ...]


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole comparison. `labelled` photos say whether they can receive water.

    `never_right` counts those of them that were answered, but by nobody as labelled. `mistaken` are those that most
    variants get wrong; they may be disputed as well.
    """

    photos: int
    labelled: int
    variants: tuple[VariantFindings, ...]
    pairs: tuple[Pair, ...]
    disputed: tuple[Disputed, ...]
    never_right: int
    mistaken: tuple[Mistaken, ...]
    changes: tuple[Change, ...] = ()
    unmatched: tuple[str, ...] = ()
    """Variants without a counterpart in the earlier batch."""
