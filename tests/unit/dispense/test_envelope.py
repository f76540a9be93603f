"""No answer leaves the envelope: what the hardware would pour is safe, whatever a model says."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.dispense import (
    SAFE,
    SCHEMA,
    SMARTSIP_V01,
    Answer,
    DeviceProfile,
    Dispense,
    Intervention,
    Observation,
    as_data,
    as_strings,
    enforce,
    frames,
    parse_answer,
    pour_nothing,
)
from tests.unit.dispense.hardware import NOTHING, execute
from tests.unit.dispense.profiles import executed_c, safe_profiles

FULL = {
    "receivable": True,
    "container": "ceramic cup",
    "contents": "tea leaves",
    "fill_level": 0.1,
    "child_present": False,
    "confidence": 0.9,
    "volume": 200,
    "degree": 80,
}
COLD = "at most 29 °C, because this device executes more as 50 °C or hotter"
UNHEATED = Intervention("degree", 80, 0, "nothing is poured, so nothing is heated")
UNLOCKABLE = SMARTSIP_V01.model_copy(update={"may_unlock": True})


thorough = settings(max_examples=1000, deadline=None)  # this is the promise the whole system rests on


def _answered(text: str) -> Dispense:
    return enforce(parse_answer(text), SMARTSIP_V01)


def _full(**changes: Any) -> Dispense:
    return _answered(json.dumps({name: value for name, value in (FULL | changes).items() if value != "absent"}))


def test_a_good_answer_is_left_alone() -> None:
    text = json.dumps(FULL)
    assert _answered(text) == Dispense(
        volume=200,
        degree=80,
        type="ceramic cup",
        profile="smartsip-v0.1",
        is_safe_default=False,
        interventions=[],
        frames=["69 99 5e 13 0a"],
        raw=text,
        observed=Observation(
            contents="tea leaves", receivable=True, child_present=False, fill_level=0.1, confidence=0.9
        ),
    )


def test_a_command_says_what_was_asked_and_what_was_seen() -> None:
    dispense = enforce(parse_answer('{"volume": 200, "degree": 80, "type": "cup"}'), SMARTSIP_V01, prompt="smartsip@1")
    assert (dispense.prompt, dispense.observed) == ("smartsip@1", Observation())


def test_a_device_without_the_serial_protocol_has_no_frames() -> None:
    device = SMARTSIP_V01.model_copy(update={"serial": None})
    assert enforce(parse_answer(json.dumps(FULL)), device).frames == []


def test_a_child_gets_the_reason_that_is_true_of_the_device() -> None:
    careful = SMARTSIP_V01.model_copy(update={"child_cap_c": 20})
    dispense = enforce(parse_answer(json.dumps(FULL | {"child_present": True})), careful)
    reason = "a child or a child's thing is in the picture: at most 20 °C, as its profile says"
    assert dispense.interventions == [Intervention("degree", 80, 20, reason)]


@pytest.mark.parametrize(
    ("changes", "volume", "degree", "interventions", "is_safe_default"),
    [
        ({"volume": 255}, 250, 80, [Intervention("volume", 255, 250, "this device pours in steps of 10 ml")], False),
        ({"volume": 9999}, 500, 80, [Intervention("volume", 9999, 500, "this device pours at most 500 ml")], False),
        (
            {"volume": 9},
            0,
            0,
            [Intervention("volume", 9, 0, "this device cannot pour less than 10 ml"), UNHEATED],
            False,
        ),
        (
            {"degree": 95},
            200,
            90,
            [Intervention("degree", 95, 90, "at most 90 °C on this device: more would release its child lock")],
            False,
        ),
        ({"degree": 85.7}, 200, 85, [Intervention("degree", 85.7, 85, "whole degrees from 0, rounded down")], False),
        ({"degree": -4}, 200, 0, [Intervention("degree", -4, 0, "whole degrees from 0, rounded down")], False),
        (
            {"child_present": True, "degree": 40},
            200,
            29,
            [Intervention("degree", 40, 29, f"a child or a child's thing is in the picture: {COLD}")],
            False,
        ),
        ({"child_present": True, "degree": 29}, 200, 29, [], False),
        (
            {"child_present": "absent"},
            200,
            29,
            [Intervention("degree", 80, 29, f"the answer does not say whether a child is present: {COLD}")],
            False,
        ),
        (
            {"child_present": "perhaps"},
            200,
            29,
            [Intervention("degree", 80, 29, f"the answer does not say whether a child is present: {COLD}")],
            False,
        ),
        (
            {"container": "Baby bottle"},
            200,
            29,
            [Intervention("degree", 80, 29, f"the container is called 'baby': {COLD}")],
            False,
        ),
        (
            {"receivable": False},
            0,
            0,
            [Intervention("volume", 200, 0, "nothing here can receive water"), UNHEATED],
            False,
        ),
        ({"receivable": False, "volume": 0, "degree": 0}, 0, 0, [], False),
        (
            {"fill_level": 1},
            0,
            0,
            [
                Intervention("volume", 200, 0, "the container is full, or it cannot be seen how full it is"),
                UNHEATED,
            ],
            False,
        ),
        (
            {"confidence": 0.2},
            0,
            0,
            [
                Intervention("volume", 200, 0, "the model is not sure enough (confidence 0.2, needed 0.5)"),
                UNHEATED,
            ],
            True,
        ),
        (
            {"confidence": "absent", "fill_level": None},
            0,
            0,
            [
                Intervention(
                    "volume",
                    200,
                    0,
                    "the answer is not usable: fill_level is missing, confidence is missing",
                ),
                UNHEATED,
            ],
            True,
        ),
        (
            {"receivable": "absent"},
            0,
            0,
            [Intervention("volume", 200, 0, "the answer is not usable: receivable is missing"), UNHEATED],
            True,
        ),
    ],
)
def test_the_envelope_changes_what_it_must_and_says_why(
    changes: dict[str, Any], volume: int, degree: int, interventions: list[Intervention], is_safe_default: bool
) -> None:
    dispense = _full(**changes)
    assert (dispense.volume, dispense.degree, dispense.interventions, dispense.is_safe_default) == (
        volume,
        degree,
        interventions,
        is_safe_default,
    )


# What six models answered to six photos in the first system's test report (FengD/SmartSip 3d99794,
# docs/README-LLM-test-report.md), with what the envelope makes of it.
REPORTED = {
    '{"volume": 300,"degree": 85,"type": "stainless steel thermos"}': (300, 85),
    '{"volume": 0,"degree": 0,"type": "covered or invalid container"}': (0, 0),
    '{"volume":"200","degree":"80","type":"cup"}': (200, 80),
    '{"volume": 0,"degree": 0,"type": "inverted bottle"}': (0, 0),
    '{"volume": 0,"degree": 0,"type": "upside-down thermos with lid"}': (0, 0),
    '{"volume": 0,"degree": 0,"type": "closed milk carton"}': (0, 0),
    '{"volume": 0,"degree": 25,"type": "stainless steel"}': (0, 0),
    '{"volume":"200","degree":"80","type":"ceramic mug"}': (200, 80),
    '{"volume": 1500,"degree": 25,"type": "plastic bottle"}': (500, 25),
    '{"volume": 0,"degree": null,"type": "not capable of receiving water"}': (0, 0),
    '{"volume": 250, "degree": 95, "type": "cup"}': (250, 90),
    '{"volume": 500,"degree": 95,"type": "tea pot"}': (500, 90),
    '{"volume": 500,"degree": 80,"type": "Plastic Bottle"}': (500, 80),
    '{"volume": 250,"degree": 95,"type": "Milk Carton"}': (250, 90),
    '{"volume": 0,"degree": 0,"type": "No container"}': (0, 0),
    '{"volume": 0,"degree": 0,"type": "unknown"}': (0, 0),
}


@pytest.mark.parametrize(("text", "command"), REPORTED.items())
def test_every_answer_of_the_old_report_comes_out_safe(text: str, command: tuple[int, int]) -> None:
    dispense = _answered(text)
    assert (dispense.volume, dispense.degree, dispense.is_safe_default) == (*command, False)
    assert dispense.type == json.loads(text)["type"]
    _assert_harmless(dispense, may_unlock=False)


def test_the_firmware_gets_three_strings() -> None:
    assert as_strings(_answered('{"volume": 200, "degree": 80, "type": "cup"}')) == {
        "volume": "200",
        "degree": "80",
        "type": "cup",
    }
    assert as_strings(SAFE) == {"volume": "0", "degree": "0", "type": "none"}


def test_an_answer_that_cannot_be_read_pours_nothing() -> None:
    reason = "the answer is not usable: the model's answer holds no complete JSON object of ours"
    assert as_data(_answered("I see a cup.")) == {
        "volume": 0,
        "degree": 0,
        "type": "none",
        "profile": "smartsip-v0.1",
        "is_safe_default": True,
        "interventions": [{"field": "volume", "was": None, "now": 0, "reason": reason}],
        "frames": [],
        "raw": "I see a cup.",
        "observed": {
            "contents": "",
            "receivable": None,
            "child_present": None,
            "fill_level": None,
            "confidence": None,
        },
        "prompt": "",
    }


def test_a_late_answer_pours_nothing() -> None:
    assert pour_nothing("the answer came too late") == msgspec.structs.replace(
        SAFE, interventions=[Intervention("volume", None, 0, "the answer came too late")]
    )


def test_the_schema_is_strict() -> None:
    assert SCHEMA["required"] == list(SCHEMA["properties"]) == list(FULL)
    assert SCHEMA["additionalProperties"] is False


@pytest.mark.parametrize("degree", range(101))
def test_the_profile_knows_what_the_hardware_heats_to(degree: int) -> None:
    poured = execute(frames(100, degree))
    assert (SMARTSIP_V01.setpoint_c(degree) or 25) == poured.celsius


def _assert_harmless(dispense: Dispense, *, may_unlock: bool, is_child: bool = False) -> None:
    """What counts is what comes out of the tap."""
    sent = [bytes.fromhex(frame) for frame in dispense.frames]
    assert sent == frames(dispense.volume, dispense.degree)
    poured = execute(sent)
    assert (poured == NOTHING) == (dispense.volume == 0)
    assert poured.millilitres == dispense.volume
    assert poured.millilitres in {0, *range(10, 501, 10)}
    assert may_unlock or not poured.is_unlocked
    assert 0 <= dispense.degree <= (100 if may_unlock else 90)
    assert dispense.volume or not dispense.degree
    assert not is_child or poured.celsius <= 40
    assert not dispense.is_safe_default or poured == NOTHING
    assert dispense.type == "".join(char for char in dispense.type if char.isprintable())[:60]


numbers = st.integers() | st.floats() | st.integers(-50, 1100) | st.floats(-50, 1100)
wild = (
    numbers
    | st.none()
    | st.booleans()
    | st.text()
    | numbers.map(str)
    | numbers.map("{} ml".format)
    | numbers.map("{}°F".format)
    | st.lists(numbers, max_size=2)
)
full_answers = st.fixed_dictionaries({}, optional={name: wild | st.just(value) for name, value in FULL.items()})
profiles = st.sampled_from([SMARTSIP_V01, UNLOCKABLE])


@thorough
@given(st.integers(), st.integers(), profiles)
def test_no_plain_answer_of_integers_leaves_the_envelope(volume: int, degree: int, device: Any) -> None:
    text = f'{{"volume": {volume}, "degree": {degree}, "type": "cup"}}'
    _assert_harmless(enforce(parse_answer(text), device), may_unlock=device.may_unlock)


@pytest.mark.parametrize("degree", [0, 29, 30, 40, 54, 55, 79, 80, 90, 91, 100])
def test_no_volume_leaves_the_envelope(degree: int) -> None:
    for volume in range(-20, 1100):
        answer = Answer(volume_ml=volume, degree_c=degree, is_plain=True)
        _assert_harmless(enforce(answer, SMARTSIP_V01), may_unlock=False)


@thorough
@given(st.dictionaries(st.sampled_from(["volume", "degree", "type"]), wild), profiles)
def test_no_plain_answer_leaves_the_envelope(value: dict[str, object], device: Any) -> None:
    _assert_harmless(enforce(parse_answer(json.dumps(value)), device), may_unlock=device.may_unlock)


@thorough
@given(full_answers, profiles)
def test_no_full_answer_leaves_the_envelope(value: dict[str, object], device: Any) -> None:
    answer = parse_answer(json.dumps(value))
    is_child = not answer.is_plain and answer.child_present is not False
    _assert_harmless(enforce(answer, device), may_unlock=device.may_unlock, is_child=is_child)


@thorough
@given(full_answers)
def test_a_full_answer_pours_only_if_everything_is_known_and_allows_it(value: dict[str, Any]) -> None:
    answer = parse_answer(json.dumps(value))
    if enforce(answer, SMARTSIP_V01).volume and not answer.is_plain:
        assert answer.receivable is True
        assert answer.confidence is not None
        assert answer.confidence >= 0.5
        assert answer.fill_level is not None
        assert answer.fill_level < 0.95


@thorough
@given(st.text() | st.text(alphabet='{}[]":,. \nvolumedgrt0123456789-eNaI'), profiles)
def test_no_text_leaves_the_envelope(text: str, device: Any) -> None:
    _assert_harmless(enforce(parse_answer(text), device), may_unlock=device.may_unlock)


handmade = st.builds(
    Answer,
    volume_ml=st.none() | st.floats(),
    degree_c=st.none() | st.floats(),
    container=st.text(),
    receivable=st.none() | st.booleans(),
    child_present=st.none() | st.booleans(),
    fill_level=st.none() | st.floats(),
    confidence=st.none() | st.floats(),
    is_plain=st.booleans(),
)


@thorough
@given(handmade, profiles)
def test_not_even_an_answer_made_by_hand_leaves_the_envelope(answer: Answer, device: Any) -> None:
    dispense = enforce(answer, device)
    _assert_harmless(dispense, may_unlock=device.may_unlock)
    assert msgspec.json.decode(msgspec.json.encode(as_data(dispense)), type=Dispense)


@thorough
@given(st.text(max_size=200), st.integers(30, 200))
def test_a_childs_thing_by_name_is_never_served_hot(around: str, degree: int) -> None:
    container = f"{around[:10]} baby bottle"
    text = json.dumps({"volume": 200, "degree": degree, "type": container})
    dispense = _answered(text)
    _assert_harmless(dispense, may_unlock=False, is_child=True)


def _assert_within(dispense: Dispense, device: DeviceProfile, *, is_child: bool) -> None:
    """What any device would do, from its profile's numbers alone."""
    assert dispense.volume in {
        0,
        *range(device.min_volume_ml, device.max_volume_ml + 1, device.volume_step_ml),
    }
    assert 0 <= dispense.degree <= device.max_degree_c
    assert dispense.volume or not dispense.degree
    assert not is_child or executed_c(device, dispense.degree) <= 40
    unlocks = device.unlock_above_c is not None and dispense.degree > device.unlock_above_c
    assert not unlocks or (device.may_unlock and not is_child)
    assert not dispense.is_safe_default or not dispense.volume
    if device.serial:
        _assert_harmless(dispense, may_unlock=device.may_unlock, is_child=is_child)
    else:
        assert dispense.frames == []


@thorough
@given(full_answers | st.dictionaries(st.sampled_from(["volume", "degree", "type"]), wild), safe_profiles())
def test_no_answer_leaves_the_envelope_of_any_profile(value: dict[str, object], device: DeviceProfile) -> None:
    answer = parse_answer(json.dumps(value))
    dispense = enforce(answer, device)
    _assert_within(dispense, device, is_child=not answer.is_plain and answer.child_present is not False)
    assert dispense == enforce(parse_answer(json.dumps(value)), device)


@thorough
@given(st.floats(0, 12_000), st.floats(0, 120), st.sampled_from([True, False, None]), safe_profiles())
def test_no_readable_wish_leaves_the_envelope_of_any_profile(
    volume: float, degree: float, child: bool | None, device: DeviceProfile
) -> None:
    answer = parse_answer(
        json.dumps(
            FULL | {"fill_level": 0, "confidence": 1, "volume": volume, "degree": degree, "child_present": child}
        )
    )
    dispense = enforce(answer, device)
    _assert_within(dispense, device, is_child=child is not False)
    assert dispense.volume <= volume
    assert dispense.degree <= degree


@thorough
@given(handmade, safe_profiles())
def test_not_even_an_answer_made_by_hand_leaves_the_envelope_of_any_profile(
    answer: Answer, device: DeviceProfile
) -> None:
    is_child = not answer.is_plain and answer.child_present is not False
    _assert_within(enforce(answer, device), device, is_child=is_child)
