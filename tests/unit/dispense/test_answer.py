"""Reading what models say."""

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.dispense import MAX_RAW_BYTES, Answer, Problem, parse_answer

PLAIN = '{"volume": 200, "degree": 80, "type": "cup"}'
READ = (200.0, 80.0, "cup")


def _core(answer: Answer) -> tuple[float | None, float | None, str]:
    return answer.volume_ml, answer.degree_c, answer.container


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        '{"volume":"200","degree":"80","type":"cup"}',
        '{"volume": 200.0, "degree": "80.0", "type": " cup "}',
        '{"Volume": " 200 ml ", "DEGREE": "80°C", "Type": "cup"}',
        '{"volume": "0.2 L", "degree": "176 °F", "type": "cup"}',
        '{"volume": "20cl", "degree": "80 degrees Celsius", "type": "cup"}',
        f"```json\n{PLAIN}\n```",
        f"Here is the answer you asked for:\n\n{PLAIN}\n\nI hope {{this}} helps!",
        f"{{not json}} {PLAIN}",
        f'{{"thought": "a cup"}} {PLAIN}',
        f'<think>perhaps {{"volume": 500, "degree": 95}}?</think>{PLAIN}',
        f"{PLAIN} and once more: {PLAIN}",
        '{"volume": 200, "degree": 80, "type": "cup\n"}',
        '{"volume": 200, "degree": 80, "type": "cup", "note": "a } in \\" a {string"}',
        f"[{PLAIN}]",
        "\ufeff" + PLAIN,
    ],
)
def test_an_answer_is_read_in_whatever_it_is_wrapped(text: str) -> None:
    answer = parse_answer(text)
    assert (_core(answer), answer.problems, answer.is_plain) == (READ, (), True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot help with that.",
        "null",
        "200",
        "[]",
        "{}",
        '"{\\"volume\\": 200}"',
        PLAIN[:-1],
        '{"volume": 200, "degree": 80, "type": "cu',
        "{'volume': 200, 'degree': 80}",
        '{"volume": 200, "degree": 80,}',
        '{"result": {"volume": 200, "degree": 80}}',
        '{"result": {"volume": 200, "degree": 80}',
        "{" * 100_000,
        '{"a":' * 5000 + PLAIN + "}" * 5000,
        '{"a": ' + "[" * 50_000 + "]" * 50_000 + "}",
        " " * 70_000 + PLAIN,
    ],
)
def test_what_is_no_whole_answer_is_a_problem(text: str) -> None:
    answer = parse_answer(text)
    reason = "the model's answer holds no complete JSON object of ours"
    assert (_core(answer), answer.problems) == ((None, None, ""), (Problem("answer", reason),))


def test_answers_that_differ_are_none() -> None:
    label = 'The label says {"volume": 500, "degree": 95}. My answer: '
    assert parse_answer(label + PLAIN).problems == (Problem("answer", "the model gave several answers that differ"),)


@pytest.mark.parametrize(
    ("volume", "complaint"),
    [
        ("NaN", "cannot be read: NaN"),
        ("-Infinity", "cannot be read: -Infinity"),
        ("1e999", "cannot be read: inf"),
        ("1e7", "cannot be read: 10000000.0"),
        ("9" * 30, "cannot be read: a number of 30 digits"),
        ("9" * 6000, "cannot be read: " + "9" * 40),
        ("true", "cannot be read: True"),
        ("null", "is missing"),
        ("[200]", "cannot be read: a list or an object"),
        ('{"ml": 200}', "cannot be read: a list or an object"),
        ('""', "holds nothing readable"),
        ('"two hundred"', "cannot be read: two hundred"),
        ('"200-300 ml"', "cannot be read: 200-300 ml"),
        ('"1,5 l"', "cannot be read: 1,5 l"),
        ('"7 oz"', "cannot be read: 7 oz"),
        ('"٢٠٠"', "cannot be read: ٢٠٠"),
    ],
)
def test_a_volume_that_is_no_quantity_is_a_problem(volume: str, complaint: str) -> None:
    answer = parse_answer(f'{{"volume": {volume}, "degree": 80}}')
    assert (answer.volume_ml, answer.problems) == (None, (Problem("volume", f"volume {complaint}"),))


def test_a_field_given_twice_is_unknown() -> None:
    answer = parse_answer('{"volume": 0, "volume": 500, "degree": 80}')
    assert (answer.volume_ml, answer.problems) == (None, (Problem("volume", "volume is given 2 times"),))


def test_a_full_answer_is_read_whole() -> None:
    text = json.dumps(
        {
            "receivable": "Yes",
            "container": "glass <b>cup</b>",
            "contents": "green tea",
            "fill_level": "25%",
            "child_present": False,
            "confidence": 0.9,
            "volume": 150,
            "degree": 80.5,
        }
    )
    assert parse_answer(text) == Answer(
        volume_ml=150.0,
        degree_c=80.5,
        container="glass b cup /b",
        contents="green tea",
        receivable=True,
        child_present=False,
        fill_level=0.25,
        confidence=0.9,
        is_plain=False,
        given={
            "receivable": "Yes",
            "container": "glass b cup /b",
            "contents": "green tea",
            "fill_level": "25%",
            "child_present": False,
            "confidence": 0.9,
            "volume": 150,
            "degree": 80.5,
        },
        problems=(),
        raw=text,
    )


@pytest.mark.parametrize("field", ["receivable", "container", "contents", "fill_level", "child_present", "confidence"])
def test_any_field_of_the_full_form_makes_the_others_expected(field: str) -> None:
    answer = parse_answer(json.dumps({"volume": 200, "degree": 80, field: None}))
    assert (answer.is_plain, {problem.field for problem in answer.problems}) == (
        False,
        {"receivable", "child_present", "fill_level", "confidence"},
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("receivable", 1),
        ("receivable", "maybe"),
        ("child_present", 0),
        ("confidence", 85),
        ("confidence", "high"),
        ("confidence", True),
        ("fill_level", -0.1),
        ("fill_level", "half"),
    ],
)
def test_a_judgement_that_is_not_clear_is_unknown(field: str, value: object) -> None:
    answer = parse_answer(json.dumps({"volume": 200, "degree": 80, field: value}))
    assert getattr(answer, field) is None


def test_a_name_is_fit_to_be_shown_anywhere() -> None:
    name = "cup\u202e\x07<script>alert('x')</script>\u2028" + "é" * 100
    shown = parse_answer(json.dumps({"volume": 0, "degree": 0, "type": name})).container
    assert shown == ("cup script alert('x') /script " + "é" * 100)[:60]


def test_the_models_words_are_kept_short_and_storable() -> None:
    raw = parse_answer("\0\ud800" + "é" * 5000).raw
    assert raw.startswith("\ufffd?é")
    assert len(raw.encode()) <= MAX_RAW_BYTES


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.text() | st.text(alphabet='{}[]":,\\ \nvolume0129.e-NaI'))
def test_every_text_is_read_to_something_that_can_be_stored(text: str) -> None:
    answer = parse_answer(text)
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Answer) == answer


@given(st.dictionaries(st.sampled_from(["volume", "degree", "type", "receivable", "confidence", "x"]), json_values))
def test_every_json_object_is_read_to_something_that_can_be_stored(value: dict[str, object]) -> None:
    answer = parse_answer(json.dumps(value))
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Answer) == answer


@pytest.mark.parametrize("unit", ["{", '{"', "{}", '{"volume":', '"', "\\", "[", '{"a":"\\', "{x} "])
def test_a_long_text_made_to_be_slow_is_read_in_linear_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    parse_answer(text)
    assert time.process_time() - started < 1
