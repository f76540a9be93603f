"""Profiles as Hypothesis makes them, and what a device of such a profile would do, read from its numbers alone."""

from typing import Any

from hypothesis import strategies as st

from shared.domain.dispense import SMARTSIP_V01, DeviceProfile

SERIAL = SMARTSIP_V01.model_dump(include={"bands", "unlock_above_c", "serial"})


@st.composite
def safe_profiles(draw: st.DrawFn) -> DeviceProfile:
    """Profiles of any hardware that can be made safe, the SmartSip's two boards among them."""
    document = draw(_with_frames() if draw(st.booleans()) else _without_frames())
    return DeviceProfile.model_validate(
        {"name": "any", "min_confidence": draw(_shares), "full_from": draw(_shares)} | document
    )


_shares = st.floats(0, 1)
any_document = st.fixed_dictionaries(
    {
        "name": st.just("any"),
        **dict.fromkeys(("min_volume_ml", "max_volume_ml", "volume_step_ml"), st.integers(1, 12) | st.integers(1, 600)),
        "child_cap_c": st.integers(0, 100),
    },
    optional={
        "bands": st.lists(
            st.fixed_dictionaries(
                {"below_c": st.integers(1, 120), "setpoint_c": st.none() | st.integers(0, 100)},
            ),
            max_size=4,
        ),
        "max_degree_c": st.integers(0, 100),
        "unlock_above_c": st.none() | st.integers(0, 100),
        "may_unlock": st.booleans(),
        "serial": st.sampled_from([None, "smartsip-v0.1"]),
    },
)
"""Documents that are in order field by field; most are not safe as a whole."""


def executed_c(profile: DeviceProfile, degree: int) -> int:
    """How hot this device pours what it is asked for; unheated water counts as 0."""
    setpoints = [band.setpoint_c for band in profile.bands if degree < band.below_c]
    if profile.bands:
        return setpoints[0] or 0
    return degree


@st.composite
def _with_frames(draw: st.DrawFn) -> dict[str, Any]:
    return SERIAL | {
        **_volumes(draw, step=10 * draw(st.integers(1, 5)), largest=500),
        "max_degree_c": draw(st.integers(29, 100)),
        "may_unlock": draw(st.booleans()),
        "child_cap_c": draw(st.integers(0, 29)),
    }


@st.composite
def _without_frames(draw: st.DrawFn) -> dict[str, Any]:
    top = draw(st.integers(0, 100))
    edges = sorted(draw(st.sets(st.integers(1, top), max_size=4) if top else st.just(set[int]())))
    heats = sorted(draw(st.lists(st.integers(-1, 100), min_size=len(edges) + 1, max_size=len(edges) + 1)))
    bands = [
        {"below_c": edge, "setpoint_c": None if heat < 0 else heat}
        for edge, heat in zip([*edges, top + draw(st.integers(1, 50))], heats, strict=True)
    ]
    is_banded = heats[0] <= 40 and draw(st.booleans())
    harmless = min(
        [40, top] if not is_banded else [top, *(e - 1 for e, h in zip(edges, heats[1:], strict=True) if h > 40)]
    )
    unlock = draw(st.none() | st.integers(0, 100))
    return {
        **_volumes(draw, step=draw(st.integers(1, 300)), largest=10_000),
        "bands": bands if is_banded else [],
        "max_degree_c": top,
        "unlock_above_c": unlock,
        "may_unlock": unlock is not None and draw(st.booleans()),
        "child_cap_c": draw(st.integers(0, harmless if unlock is None else min(harmless, unlock))),
    }


def _volumes(draw: st.DrawFn, *, step: int, largest: int) -> dict[str, int]:
    smallest = draw(st.integers(1, largest // step))
    return {
        "volume_step_ml": step,
        "min_volume_ml": smallest * step,
        "max_volume_ml": draw(st.integers(smallest, largest // step)) * step,
    }
