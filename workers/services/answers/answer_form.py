"""The form a caller wants a chat's answer in, and whether an answer has it. Pure."""

from itertools import islice
from typing import Any, Final, NamedTuple

from shared.domain.commands import Parameters
from workers.providers.refusal import is_object
from workers.services.answers.json_in_text import Found, is_json, json_in
from workers.services.answers.json_schema import TooMuch, first_problem

ANY_OBJECT: Final = {"type": "object"}
MAX_CHECKED: Final = 10
"""Values of one answer: each may take all the steps there are."""
NO_JSON: Final = "$ is no JSON"


class WantedForm(NamedTuple):
    """A JSON schema (True: any JSON); `is_binding`, if a provider that can be held to it keeps it to the letter."""

    schema: Any  # a JSON schema
    is_binding: bool


class Checked(NamedTuple):
    """What was found in an answer: the JSON in it, and what is wrong with that."""

    text: str
    problem: str | None = None
    is_unchecked: bool = False
    """Whether the schema was too much to be checked."""


def wanted_form(parameters: Parameters) -> WantedForm | None:
    """Return the form; None where any answer will do."""
    wanted = parameters.response_format or {}
    match wanted.get("type"):
        case "json_object":
            return WantedForm(ANY_OBJECT, is_binding=True)
        case "json_schema":
            named: object = wanted.get("json_schema")
            schema = named.get("schema") if is_object(named) else None
            is_strict = is_object(named) and named.get("strict") is True
            return WantedForm(schema if is_object(schema) else True, is_binding=is_strict)
        case _:
            return None


def check_form(text: str, form: WantedForm, *, is_whole: bool) -> Checked:
    """Look for JSON of this form in an answer, which must be nothing else where `is_whole`. Takes 1 s at most.

    Of several that do not fit, the first is what is wrong.
    """
    if is_whole and not is_json(text):
        return Checked(text, NO_JSON)
    first: Checked | None = None
    for found in islice(json_in(text), MAX_CHECKED):
        checked = _checked(found, form)
        if checked.problem is None:
            return checked
        first = first or checked
    return first or Checked(text, NO_JSON)


def _checked(found: Found, form: WantedForm) -> Checked:
    try:
        return Checked(found.text, first_problem(found.value, form.schema))
    except TooMuch:
        return Checked(found.text, is_unchecked=True)
