"""No password is in what is refused, shown or printed, whatever it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from api.errors import problem, refused
from api.routes.user_models import LoginIn, PasswordIn, UserChange, UserIn

PASSWORDS = st.text(st.sampled_from("ÄÖÜßЖ漢🍵§"), min_size=4, max_size=90)
"""In letters that no message of ours has."""


def complaint(model: type[BaseModel], document: dict[str, object]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document)
    return json.dumps(problem(refused(caught.value, document)), ensure_ascii=False)


@given(PASSWORDS)
def test_a_refusal_does_not_tell_the_password(password: str):
    documents: list[tuple[type[BaseModel], dict[str, object]]] = [
        (UserIn, {"username": 7, "password": password}),
        (UserIn, {"username": "anna", "password": password * 20}),
        (UserIn, {"username": "anna", "password": [password]}),
        (LoginIn, {"password": password}),
        (LoginIn, {"username": "anna", "password": password * 300}),
        (PasswordIn, {"old_password": password, "new_password": password[:1]}),
        (UserChange, {"password": {"is": password}}),
    ]
    for model, document in documents:
        assert password not in complaint(model, document)


@given(PASSWORDS)
def test_what_was_understood_does_not_show_the_password(password: str):
    understood = LoginIn.model_validate({"username": "anna", "password": password})
    assert password not in f"{understood!r} {understood} {understood.model_dump_json()}"
    assert understood.password.get_secret_value() == password
