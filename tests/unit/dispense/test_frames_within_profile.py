"""Whatever a model answers: the frames that a device with the fielded firmware sends are within its profile.

The whole way: the model's text is read and enforced, told to the device as it is told in the field, and read there by
an independent reading of its firmware; the frames are then judged by what the hardware does with them.
"""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from api.dialects.smartsip.frame import render
from shared.domain.dispense import SMARTSIP_V01, DeviceProfile, Dispense, enforce, hex_frames, parse_answer
from shared.domain.dispense.profile import CHILD_LIMIT_C
from tests.firmware import frames_for
from tests.unit.dispense.hardware import NOTHING, ROOM_TEMPERATURE_C, Poured, execute

UNLOCK = bytes.fromhex("69012d3260")
WORDS = ["ceramic cup", "baby bottle", "child's mug", '","volume":"500', "cup\n\u2028", "杯子", "", "none"]

numbers = st.integers(-50, 1100) | st.floats(-50, 1100) | st.integers() | st.floats()
given_values = (
    numbers
    | numbers.map(str)
    | numbers.map("{} ml".format)
    | numbers.map("{}°C".format)
    | st.none()
    | st.booleans()
    | st.text()
    | st.lists(numbers, max_size=2)
)
shares = st.floats(0, 1) | given_values
flags = st.booleans() | given_values
words = st.sampled_from(WORDS) | st.text() | given_values
fields: dict[str, st.SearchStrategy[Any]] = {  # JSON
    "volume": st.integers(0, 600) | given_values,
    "degree": st.integers(0, 110) | given_values,
    "type": words,
    "container": words,
    "contents": words,
    "receivable": flags,
    "child_present": flags,
    "fill_level": shares,
    "confidence": shares,
}
good: dict[str, st.SearchStrategy[Any]] = {  # JSON
    "volume": st.integers(0, 600),
    "degree": st.integers(0, 110),
    "container": st.sampled_from(WORDS),
    "contents": st.text(max_size=5),
    "receivable": st.just(True),
    "child_present": st.booleans(),
    "fill_level": st.floats(0, 0.3),
    "confidence": st.floats(0.9, 1),
}


def with_another(whole: dict[str, Any], name: str, value: object) -> dict[str, Any]:  # JSON
    return {**whole, name: value}


full = st.fixed_dictionaries(good)
plain = st.fixed_dictionaries({"volume": good["volume"], "degree": good["degree"], "type": words})
spoiled = st.builds(with_another, full | plain, st.sampled_from([*fields]), words)
wild = st.fixed_dictionaries({}, optional=fields)
answers = (full | plain | spoiled | wild).map(json.dumps) | st.text()
"""Good ones more often than not: an answer that is not believed pours nothing, which shows little."""


@st.composite
def profiles(draw: st.DrawFn) -> DeviceProfile:
    """Any profile of a device that speaks the fielded serial protocol."""
    tens = st.integers(1, 5)
    step = 10 * draw(tens)
    most = step * draw(st.integers(1, 500 // step))
    highest = draw(st.integers(0, 100))
    return DeviceProfile.model_validate(
        SMARTSIP_V01.model_dump()
        | {
            "name": "drawn",
            "min_volume_ml": step * draw(st.integers(1, most // step)),
            "max_volume_ml": most,
            "volume_step_ml": step,
            "max_degree_c": highest,
            "may_unlock": draw(st.booleans()),
            "child_cap_c": draw(st.integers(0, min(29, highest))),
            "min_confidence": draw(st.floats(0, 0.95)),
            "full_from": draw(st.floats(0.1, 1)),
        }
    )


def poured_for(command: Dispense, profile: DeviceProfile) -> tuple[Poured, list[bytes]]:
    """What comes out of the tap of a device in the field; the result itself must show the very same frames."""
    sent = frames_for(render(command))
    assert command.frames == hex_frames(command.volume, command.degree) == [frame.hex(" ") for frame in sent]
    assert command.profile == profile.name
    return execute(sent), sent


@settings(max_examples=800, deadline=None)
@given(answers, profiles() | st.just(SMARTSIP_V01))
def test_the_frames_for_any_answer_are_within_the_profile(text: str, profile: DeviceProfile) -> None:
    answer = parse_answer(text)
    command = enforce(answer, profile)
    poured, sent = poured_for(command, profile)
    setpoint = profile.setpoint_c(command.degree)
    steps = range(profile.min_volume_ml, profile.max_volume_ml + 1, profile.volume_step_ml)
    assert poured.millilitres == command.volume
    assert poured.millilitres in (0, *steps)
    assert poured == NOTHING or poured.celsius == (ROOM_TEMPERATURE_C if setpoint is None else setpoint)
    assert command.degree <= profile.max_degree_c
    assert (UNLOCK in sent) == (profile.may_unlock and command.volume > 0 and command.degree > 90)
    if answer.child_present or (not answer.is_plain and answer.child_present is None):
        assert poured.celsius <= CHILD_LIMIT_C


@settings(max_examples=300, deadline=None)
@given(full, st.sampled_from([True, None, "perhaps"]), profiles())
def test_a_child_is_never_poured_anything_hot(value: dict[str, object], child: object, profile: DeviceProfile) -> None:
    command = enforce(parse_answer(json.dumps(value | {"child_present": child})), profile)
    assert poured_for(command, profile)[0].celsius <= CHILD_LIMIT_C


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 600), st.integers(0, 110), profiles())
def test_a_sure_answer_is_poured_up_to_what_the_profile_allows(
    volume: int, degree: int, profile: DeviceProfile
) -> None:
    text = json.dumps({"volume": volume, "degree": degree, "type": "cup"})
    command = enforce(parse_answer(text), profile)
    step = profile.volume_step_ml
    fitting = min(volume // step * step, profile.max_volume_ml)
    assert command.volume == (fitting if fitting >= profile.min_volume_ml else 0)
    assert poured_for(command, profile)[0].millilitres == command.volume
    allowed = profile.max_degree_c if profile.may_unlock else min(profile.max_degree_c, 90)
    assert command.degree == (min(degree, allowed) if command.volume else 0)
