"""Structured answers without a provider: JSON found in text, checked against schemas, and schemas made strict."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.commands import Parameters
from shared.domain.models import SchemaMode
from workers.providers.base import Prompt, PromptMessage, PromptText, ResponseSchema
from workers.providers.chat_completions.asked import Asking
from workers.providers.chat_completions.given_schema import IN_WORDS, to_strict
from workers.providers.chat_completions.wire import schema_in_words, to_wire
from workers.providers.parameter_notes import Notes
from workers.providers.refusal import Refusal, is_object
from workers.providers.table import row_of
from workers.services.answers.answer_form import ANY_OBJECT, Checked, WantedForm, check_form, wanted_form
from workers.services.answers.json_in_text import json_in
from workers.services.answers.json_schema import MAX_STEPS, TooMuch, first_problem

SCHEMA = {
    "type": "object",
    "properties": {"ml": {"type": "integer", "minimum": 1}, "note": {"type": "string"}},
    "required": ["ml"],
    "additionalProperties": False,
}
FORM = WantedForm(SCHEMA, is_binding=True)
HI = PromptMessage("user", (PromptText("Hi"),))
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=20)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
prose = st.text(st.characters(exclude_characters="{[`"), max_size=30)


def given_format(schema: object, **named: object) -> Parameters:
    return Parameters(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema} | named})


def same(one: object, other: object) -> bool:
    return json.dumps(one) == json.dumps(other)


@settings(max_examples=150)
@given(value=json_values, before=prose, after=st.text(max_size=30), tag=st.sampled_from(["", "json", "JSON "]))
def test_any_json_is_found_in_a_fence_whatever_stands_around_it(value: Any, before: str, after: str, tag: str) -> None:
    written = json.dumps(value, ensure_ascii=False, indent=1)
    found = next(json_in(f"{before}\n```{tag}\n{written}\n```{after}"))
    assert (found.text, same(found.value, value)) == (written, True)


@settings(max_examples=150)
@given(
    value=st.lists(json_values, max_size=4) | st.dictionaries(st.text(max_size=5), json_values, max_size=4),
    before=prose,
    after=st.text(max_size=30),
)
def test_an_object_or_a_list_is_found_between_sentences(value: Any, before: str, after: str) -> None:
    written = json.dumps(value)
    found = next(json_in(before + written + after))
    assert (found.text, same(found.value, value)) == (written, True)


@settings(max_examples=100)
@given(value=json_values, spaces=st.text(" \t\r\n", max_size=3))
def test_json_alone_is_found_as_it_is(value: Any, spaces: str) -> None:
    written = json.dumps(value)
    assert [found.text for found in json_in(spaces + written + spaces)] == [written]


@settings(max_examples=100)
@given(st.text(max_size=80) | st.text('{}[]",:`\n1aN', max_size=80))
def test_whatever_a_model_writes_is_read_without_a_crash(text: str) -> None:
    for found in json_in(text):
        assert same(json.loads(found.text), found.value)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 100_000, "```\n" * 50_000, "9" * 5000, "NaN", "[Infinity]"])
def test_what_is_meant_to_keep_a_reader_busy_is_no_json_and_soon_done(text: str) -> None:
    began = time.process_time()
    assert (list(json_in(text)), time.process_time() - began < 1) == ([], True)


@pytest.mark.parametrize(
    ("text", "is_whole", "expected"),
    [
        ('{"ml": 200}', False, Checked('{"ml": 200}')),
        ('{"ml": 200}', True, Checked('{"ml": 200}')),
        (' {"ml": 200} \n', True, Checked('{"ml": 200}')),
        ('```json\n{"ml": 200}\n```', False, Checked('{"ml": 200}')),
        ('{"ml": 200}\nEnjoy!', False, Checked('{"ml": 200}')),
        ('{"ml": 200}\nEnjoy!', True, Checked('{"ml": 200}\nEnjoy!', "$ is no JSON")),
        ('As in [1]: {"ml": 200}', False, Checked('{"ml": 200}')),
        ('{"ml": "much"} or {}', False, Checked('{"ml": "much"}', "$.ml is not of type integer")),
        ("{}", False, Checked("{}", "$.ml is missing")),
        ('{"ml": 200, "note": null}', False, Checked('{"ml": 200, "note": null}')),
        ('{"ml": null}', False, Checked('{"ml": null}', "$.ml is not of type integer")),
        ('{"ml": 1, "a b\\u0000": 2}', False, Checked('{"ml": 1, "a b\\u0000": 2}', '$["a b\\u0000"] is not allowed')),
        ("200", False, Checked("200", "$ is not of type object")),
        ("A cup.", False, Checked("A cup.", "$ is no JSON")),
        ("", False, Checked("", "$ is no JSON")),
        ('{"ml": 20', False, Checked('{"ml": 20', "$ is no JSON")),
    ],
)
def test_an_answer_is_looked_at_as_a_reader_would(text: str, is_whole: bool, expected: Checked) -> None:
    assert check_form(text, FORM, is_whole=is_whole) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": ["json_object"]}, None),
        ({"type": "json_object"}, WantedForm(ANY_OBJECT, is_binding=True)),
        ({"type": "json_schema", "json_schema": {"schema": SCHEMA, "strict": True}}, FORM),
        ({"type": "json_schema", "json_schema": {"schema": SCHEMA}}, WantedForm(SCHEMA, is_binding=False)),
        ({"type": "json_schema", "json_schema": {"strict": True}}, WantedForm(True, is_binding=True)),
        ({"type": "json_schema"}, WantedForm(True, is_binding=False)),
    ],
)
def test_the_form_is_read_as_openai_has_it(wanted: dict[str, Any] | None, expected: WantedForm | None) -> None:
    assert wanted_form(Parameters(response_format=wanted)) == expected


RULES: list[tuple[dict[str, Any], list[Any], list[Any]]] = [  # a schema, JSON that fits, JSON that does not
    ({"type": "integer"}, [1, 1.0, -(2**70)], [True, 1.5, "1", None]),
    ({"type": ["string", "null"]}, ["", None], [0, False, []]),
    ({"type": "number"}, [1, 0.5], [True, "1"]),
    ({"type": "boolean"}, [True], [0, 1]),
    ({"enum": [1, "a", None, [1]]}, [1.0, "a", None, [1]], [True, "b", [True], {}]),
    ({"const": {"a": 1}}, [{"a": 1.0}], [{"a": True}, {}, {"a": 1, "b": 1}]),
    ({"minimum": 1, "exclusiveMaximum": 3}, [1, 2.9, "x"], [0.9, 3]),
    ({"exclusiveMinimum": 1, "maximum": 3}, [1.1, 3], [1, 3.1]),
    ({"multipleOf": 0.1}, [0.3, 2, "x"], [0.35]),
    ({"multipleOf": 5}, [10, 10**30], [7]),
    ({"minLength": 1, "maxLength": 2}, ["a", "äö", 5], ["", "abc"]),
    ({"items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, [[1], {}], [[], [1, "a"], [1, 2, 3]]),
    ({"prefixItems": [{"type": "string"}], "items": False}, [["a"], []], [[1], ["a", "b"]]),
    ({"items": [{"type": "string"}], "additionalItems": False}, [["a"]], [[1], ["a", "b"]]),
    ({"uniqueItems": True}, [[1, True, "1"]], [[1, 1.0], [{"a": 1}, {"a": 1}]]),
    ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, ["a", 5], [4]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 5}]}, [4, 5.5], [5, 4.5]),
    ({"allOf": [{"type": "integer"}, {"minimum": 5}]}, [5], [4, 5.5]),
    ({"not": {"type": "null"}}, [0], [None]),
    ({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}, ["ab", 2], ["a", 1]),
    ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}, []], [{}, {"a": 1, "b": 1}]),
    ({"additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "1"}]),
    ({"patternProperties": {"^a": True}, "additionalProperties": False}, [{"a": 1}, {"b": 1}], []),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "string"}}}, ["a"], [1]),
    (
        {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"]},
        [{"next": {"next": None}}],
        [{"next": {"next": {}}}],
    ),
]


@pytest.mark.parametrize(("schema", "fitting", "wrong"), RULES)
def test_what_a_schema_says_is_checked(schema: dict[str, Any], fitting: list[Any], wrong: list[Any]) -> None:
    assert [value for value in fitting if first_problem(value, schema) is not None] == []
    assert [value for value in wrong if first_problem(value, schema) is None] == []


def test_the_first_error_is_told_with_its_path() -> None:
    schema = {"properties": {"cups": {"items": {"properties": {"ml": {"maximum": 500}}}}}}
    assert first_problem({"cups": [{"ml": 1}, {"ml": 900}]}, schema) == "$.cups[1].ml is above its maximum"


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(a+)+$"},
        {"patternProperties": {"(a+)+$": False}},
        {"$ref": "https://127.0.0.1:9/schema.json"},
        {"$ref": "#/nowhere"},
        {"$ref": "#/allOf/9", "allOf": [True]},
        {"type": 5, "enum": 5, "required": 5, "properties": [], "items": 5, "anyOf": {}, "minimum": "x", "if": 3},
        {"type": "unheard-of", "multipleOf": 0, "required": [5], "$ref": 5},
    ],
)
def test_what_cannot_be_checked_safely_is_let_through_at_once(schema: dict[str, Any]) -> None:
    began = time.process_time()
    for value in ("a" * 40 + "!", {"a" * 40 + "!": 1}, [1], 1e308, None):
        assert first_problem(value, schema) is None
    assert time.process_time() - began < 0.5


def bomb(levels: int) -> dict[str, Any]:
    """A schema whose check doubles with every level."""
    twice = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": twice | {f"d{levels}": True}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (bomb(40), 1),
        ({"$ref": "#"}, 1),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, 1),
        ({"items": True}, [0] * (MAX_STEPS + 1)),
        ({"enum": list(range(1000, 2000))}, "x" * 2),
        ({"items": {"enum": list(range(1000))}}, ["x"] * 1000),
    ],
)
def test_a_check_is_given_up_before_it_takes_long(schema: dict[str, Any], value: Any) -> None:
    began = time.process_time()
    try:
        first_problem(value, schema)
    except TooMuch:
        assert check_form(json.dumps([value]), WantedForm({"items": schema | {"$defs": {}}}, True), is_whole=False)
    assert time.process_time() - began < 2


def test_an_answer_of_many_values_that_each_take_long_is_given_up_soon() -> None:
    slow = {"items": {"enum": list(range(1000))}}
    text = " ".join([json.dumps([999] * 90 + ["x"])] * 90)
    began = time.process_time()
    assert check_form(text, WantedForm(slow, is_binding=True), is_whole=False).problem is not None
    assert time.process_time() - began < 1


def test_an_answer_too_complex_to_check_is_taken_and_said_to_be_unchecked() -> None:
    assert check_form("Here: [1]", WantedForm(bomb(40), True), is_whole=False) == Checked("[1]", is_unchecked=True)


leaves: st.SearchStrategy[Any] = st.sampled_from([{"type": "string"}, {"enum": ["a"]}, {"$ref": "#"}]) | json_values
"""Schemas without parts, and what is none."""


def objects_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas of objects with these as their parts."""
    names = st.sampled_from("abc")
    always: dict[str, st.SearchStrategy[Any]] = {"properties": st.dictionaries(names, inner)}
    mostly: dict[str, st.SearchStrategy[Any]] = {
        "type": st.just("object"),
        "required": st.lists(names),
        "additionalProperties": st.booleans(),
    }
    return st.fixed_dictionaries(always, optional=mostly)


@settings(max_examples=100)
@given(st.recursive(leaves, objects_of, max_leaves=6))
def test_a_strict_schema_has_all_its_members_required_and_stays_as_it_is(schema: Any) -> None:
    strict = to_strict(schema)
    assert to_strict(strict) == strict
    for part in objects_in(strict):
        assert (part["required"], "additionalProperties" in part) == (list(part["properties"]), True)


def objects_in(schema: Any) -> list[dict[str, Any]]:
    """The parts of a schema that have properties."""
    if not is_object(schema) or not is_object(properties := schema.get("properties")):
        return []
    return [schema, *(part for inner in properties.values() for part in objects_in(inner))]


def test_what_may_be_left_out_may_be_null_in_a_strict_schema() -> None:
    cup = {"type": "object", "properties": {"ml": {"type": "integer"}, "kind": {"enum": ["mug"]}}, "required": ["ml"]}
    schema = {"type": "object", "properties": {"cups": {"type": "array", "items": cup}, "tea": {"type": "string"}}}
    strict_cup = {
        "type": "object",
        "properties": {"ml": {"type": "integer"}, "kind": {"anyOf": [{"enum": ["mug"]}, {"type": "null"}]}},
        "required": ["ml", "kind"],
        "additionalProperties": False,
    }
    assert to_strict(schema) == {
        "type": "object",
        "properties": {
            "cups": {"type": ["array", "null"], "items": strict_cup},
            "tea": {"type": ["string", "null"]},
        },
        "required": ["cups", "tea"],
        "additionalProperties": False,
    }
    answer = {"cups": [{"ml": 200, "kind": None}], "tea": None}
    assert (first_problem(answer, to_strict(schema)), first_problem(answer, schema)) == (None, None)


LOOSE = {"type": "object", "properties": {"ml": {"type": "integer"}}}


def put(provider: str, mode: SchemaMode, *, strict: bool | None) -> tuple[dict[str, Any], list[str]]:
    """What is sent for `LOOSE`, and what its caller is told."""
    row = row_of(provider)
    notes = Notes(provider)
    prompt = Prompt("m", (HI,), given_format(LOOSE, strict=strict))
    body = json.loads(msgspec.json.encode(to_wire(prompt, row, mode, notes=notes)))
    return {name: body[name] for name in ("messages", "response_format") if name in body}, [
        it.text for it in notes.told
    ]


def test_a_callers_schema_goes_as_it_came_where_there_is_a_place_for_it() -> None:
    said = {"role": "user", "content": "Hi"}
    for provider, strict in (("openai", None), ("openai", False), ("mistral", True), ("grok", True)):
        named = {"name": "x", "schema": LOOSE} | ({} if strict is None else {"strict": strict})
        wanted = {"messages": [said], "response_format": {"type": "json_schema", "json_schema": named}}
        assert put(provider, row_of(provider).schema_mode, strict=strict) == (wanted, [])


def test_openai_is_given_a_schema_that_is_called_strict_as_a_strict_one() -> None:
    body, told = put("openai", "json_schema_strict", strict=True)
    assert body["response_format"]["json_schema"] == {"name": "x", "schema": to_strict(LOOSE), "strict": True}
    assert [note.split(":")[0] for note in told] == ["response_format"]


@pytest.mark.parametrize(
    ("mode", "form"), [("json_object", {"response_format": {"type": "json_object"}}), ("prompt", {})]
)
def test_a_schema_is_asked_for_in_words_where_there_is_no_place_for_it(mode: SchemaMode, form: dict[str, Any]) -> None:
    words = {"role": "system", "content": schema_in_words(ResponseSchema("x", LOOSE))}
    wanted = form | {"messages": [words, {"role": "user", "content": "Hi"}]}
    assert put("deepseek", mode, strict=True) == (wanted, [f"response_format: deepseek {IN_WORDS}"])


async def test_a_callers_schema_that_is_refused_is_put_into_words_for_this_once() -> None:
    refusal = Refusal(400, b'{"error": {"message": "Invalid schema for response_format"}}', {})
    asking = Asking(row_of("openai"))
    given = Prompt("m", (HI,), given_format(LOOSE, strict=True))
    asked = asking.first(given)
    await asked.body()
    less = asking.less(asked, refusal)
    assert less is not None
    asking.worked(less)
    assert (less.way.mode, asking.first(given).way.mode) == ("json_object", "json_schema_strict")
