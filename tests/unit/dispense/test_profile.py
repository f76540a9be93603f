"""A profile that could hurt somebody is refused, by the field that is wrong and with what the hardware would do."""

from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from shared.domain.dispense import BUILT_IN_PROMPTS, DEFAULT_PROFILE, DEFAULT_PROMPT, PROFILES, SMARTSIP_V01
from shared.domain.dispense import DeviceProfile as Profile
from tests.unit.dispense.profiles import any_document, executed_c, safe_profiles

thorough = settings(max_examples=1000, deadline=None)

KETTLE: dict[str, Any] = {
    "name": "kettle",
    "min_volume_ml": 20,
    "max_volume_ml": 400,
    "volume_step_ml": 20,
    "bands": [
        {"below_c": 35, "setpoint_c": None},
        {"below_c": 70, "setpoint_c": 60},
        {"below_c": 101, "setpoint_c": 92},
    ],
    "unlock_above_c": 90,
    "child_cap_c": 34,
}
SERIAL = SMARTSIP_V01.model_dump()


def faults(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        Profile.model_validate(document)
    return {".".join(map(str, fault["loc"])): fault["msg"] for fault in caught.value.errors()}


def judged(document: dict[str, Any]) -> tuple[Profile | None, set[str | int]]:
    try:
        return Profile.model_validate(document), set()
    except ValidationError as refused:
        return None, {fault["loc"][0] for fault in refused.errors()}


def test_a_safe_profile_is_taken_and_survives_its_row() -> None:
    profile = Profile.model_validate(KETTLE)
    assert Profile.model_validate(profile.model_dump(mode="json")) == profile
    assert Profile.model_validate_json(profile.model_dump_json()) == profile
    assert (profile.degree_cap_c, profile.setpoint_c(34), profile.setpoint_c(35)) == (90, None, 60)


def test_what_every_server_has_is_there() -> None:
    assert PROFILES[DEFAULT_PROFILE] is SMARTSIP_V01
    assert DEFAULT_PROMPT in BUILT_IN_PROMPTS


@pytest.mark.parametrize(
    ("change", "refusals"),
    [
        (
            {"child_cap_c": 40},
            {
                "child_cap_c": "is too high: this device executes it at up to 60 °C, and 40 °C is the most for a child;"
                " give at most 34"
            },
        ),
        (
            {"bands": [], "child_cap_c": 41},
            {
                "child_cap_c": "is too high: this device executes it at up to 41 °C, and 40 °C is the most for a child;"
                " give at most 40"
            },
        ),
        (
            {"bands": [{"below_c": 101, "setpoint_c": 50}], "child_cap_c": 0},
            {
                "child_cap_c": "is too high: this device executes it at up to 50 °C, and 40 °C is the most for a child;"
                " this device has no request that is harmless to a child"
            },
        ),
        (
            {"unlock_above_c": 20},
            {"child_cap_c": "must not be more than unlock_above_c: above 20 °C this device releases its child lock"},
        ),
        (
            {"max_degree_c": 30},
            {"child_cap_c": "must not be more than max_degree_c (30)"},
        ),
        (
            {"may_unlock": True, "unlock_above_c": None},
            {
                "unlock_above_c": "is needed with may_unlock: above which request does this device release its lock?",
            },
        ),
        (
            {"min_volume_ml": 500, "volume_step_ml": 100},
            {"max_volume_ml": "must not be less than min_volume_ml (500): this device could pour nothing"},
        ),
        (
            {"max_volume_ml": 410},
            {"max_volume_ml": "must be a multiple of volume_step_ml: this device pours 400 ml instead"},
        ),
        (
            {"min_volume_ml": 30},
            {"min_volume_ml": "must be a multiple of volume_step_ml: this device pours 20 ml instead"},
        ),
        (
            {"bands": [{"below_c": 50, "setpoint_c": None}, {"below_c": 50, "setpoint_c": 60}], "max_degree_c": 40},
            {
                "bands.1.below_c": "must be higher than 50, where the band before ends: no request would come here",
            },
        ),
        (
            {"bands": [{"below_c": 50, "setpoint_c": 40}, {"below_c": 101, "setpoint_c": None}]},
            {
                "bands.1.setpoint_c": "must not be colder than the band before (40 °C): this device executes a lower"
                " request hotter, so that cutting a request would heat the water",
            },
        ),
        (
            {"bands": [{"below_c": 100, "setpoint_c": None}]},
            {
                "bands.0.below_c": "must be above max_degree_c (100): nothing says how this device executes what is not"
                " below it",
            },
        ),
    ],
)
def test_what_is_not_safe_is_refused_with_what_the_hardware_would_do(
    change: dict[str, Any], refusals: dict[str, str]
) -> None:
    assert faults(KETTLE | change) == refusals


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"min_volume_ml": 5, "volume_step_ml": 5}, "min_volume_ml", "1 to 9 ml underflow to 0xFF"),
        ({"max_volume_ml": 510}, "max_volume_ml", "more is sent as 0x0F, which pours 160 ml"),
        ({"volume_step_ml": 5}, "volume_step_ml", "the last digit of a volume is lost"),
        ({"bands": []}, "bands", "below 30: unheated, below 55: 50 °C, below 80: 85 °C, below 1000: 94 °C"),
        ({"unlock_above_c": 95}, "unlock_above_c", "releases its child lock above it"),
        ({"unlock_above_c": None}, "unlock_above_c", "releases its child lock above it"),
    ],
)
def test_a_profile_with_frames_says_what_the_two_boards_do(change: dict[str, Any], field: str, reason: str) -> None:
    assert reason in faults(SERIAL | change)[field]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Kettle"}, "name"),
        ({"colour": "red"}, "colour"),
        ({"min_volume_ml": 0}, "min_volume_ml"),
        ({"min_volume_ml": "20"}, "min_volume_ml"),
        ({"min_volume_ml": True}, "min_volume_ml"),
        ({"max_volume_ml": 10_001}, "max_volume_ml"),
        ({"bands": [{"below_c": "35", "setpoint_c": 1}]}, "bands.0.below_c"),
        ({"bands": [{"below_c": 35}]}, "bands.0.setpoint_c"),
        ({"bands": [{"below_c": 101, "setpoint_c": 101}]}, "bands.0.setpoint_c"),
        ({"max_degree_c": 101}, "max_degree_c"),
        ({"child_cap_c": -1}, "child_cap_c"),
        ({"may_unlock": "yes"}, "may_unlock"),
        ({"min_confidence": float("nan")}, "min_confidence"),
        ({"full_from": float("inf")}, "full_from"),
        ({"serial": "modbus"}, "serial"),
        ({"prompt": "../mine"}, "prompt"),
        ({"source": "a\0b"}, "source"),
        ({"source": "\ud800"}, "source"),
    ],
    ids=str,
)
def test_a_field_that_is_wrong_by_itself_is_named(change: dict[str, Any], field: str) -> None:
    assert list(faults(KETTLE | change)) == [field]


@thorough
@given(any_document)
def test_whatever_is_taken_is_safe_and_whatever_is_refused_names_a_field(document: dict[str, Any]) -> None:
    profile, refused = judged(document)
    assert refused <= Profile.model_fields.keys()
    if profile is None:
        assert refused
        return
    requests = range(profile.max_degree_c + 1)
    heats = [executed_c(profile, degree) for degree in requests]
    assert heats == sorted(heats)
    assert profile.child_cap_c in requests
    assert heats[profile.child_cap_c] <= 40
    assert profile.unlock_above_c is None or profile.child_cap_c <= profile.unlock_above_c
    assert profile.degree_cap_c >= profile.child_cap_c
    assert profile.min_volume_ml <= profile.max_volume_ml
    assert not profile.min_volume_ml % profile.volume_step_ml
    assert not profile.max_volume_ml % profile.volume_step_ml


@thorough
@given(safe_profiles())
def test_the_profile_knows_what_every_request_is_executed_at(profile: Profile) -> None:
    for degree in range(profile.max_degree_c + 1):
        assert (profile.setpoint_c(degree) or 0) == executed_c(profile, degree)
