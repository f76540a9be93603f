"""Labels, as people and older uploads gave them, read or left alone, never refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.comparison import LabelValue, Truth, truth_of


def test_all_that_people_can_say_is_read() -> None:
    assert truth_of(
        {
            "can_receive_water": True,
            "child_present": False,
            "container": "cup",
            "contents": "tea",
            "volume_min": 100,
            "volume_max": 250.5,
            "temperature_min": 0,
            "temperature_max": 95,
            "file": "a.jpg",
            "rating": 5,
        }
    ) == Truth(
        can_receive_water=True,
        child_present=False,
        volume_min=100.0,
        volume_max=250.5,
        temperature_min=0.0,
        temperature_max=95.0,
    )


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        (True, True),
        ("yes", True),
        (" Yes ", True),
        ("TRUE", True),
        (False, False),
        ("no", False),
        ("False", False),
        (1, None),
        (0.0, None),
        ("", None),
        ("maybe", None),
        ("y", None),
    ],
)
def test_a_claim_is_read_where_it_is_spelled_plainly(label: LabelValue, meant: bool | None) -> None:
    assert truth_of({"can_receive_water": label, "child_present": label}) == Truth(
        can_receive_water=meant, child_present=meant
    )


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        (150, 150.0),
        (-3.5, -3.5),
        ("150", 150.0),
        (" 82.5 ", 82.5),
        (True, None),
        ("150 ml", None),
        ("1e400", None),
        ("nan", None),
        ("", None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
    ],
)
def test_a_quantity_is_read_where_it_is_a_plain_number(label: LabelValue, meant: float | None) -> None:
    assert truth_of({"volume_min": label, "temperature_max": label}) == Truth(volume_min=meant, temperature_max=meant)


def test_a_range_the_wrong_way_round_is_no_label() -> None:
    labels = {"volume_min": 300, "volume_max": 200, "temperature_min": 80, "temperature_max": 80}
    assert truth_of(labels) == Truth(temperature_min=80.0, temperature_max=80.0)


names = st.sampled_from(["can_receive_water", "child_present", "volume_min", "volume_max", "temperature_min"])


@settings(max_examples=50)
@given(st.dictionaries(names | st.text(), st.booleans() | st.text() | st.integers() | st.floats()))
def test_no_label_whatever_is_an_error(labels: dict[str, LabelValue]) -> None:
    truth_of(labels)
