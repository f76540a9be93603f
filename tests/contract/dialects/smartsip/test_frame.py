import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.smartsip.frame import NOTHING, render, render_error
from shared.domain import errors
from shared.domain.dispense import Dispense
from shared.domain.errors import ErrorInfo, SmartSipError
from tests.firmware import frames_for


def every_error(branch: type[SmartSipError] = SmartSipError) -> list[type[SmartSipError]]:
    return [branch, *(error for below in branch.__subclasses__() for error in every_error(below))]


def every_domain_error() -> list[type[SmartSipError]]:
    return sorted({error for error in every_error() if error.__module__ == errors.__name__}, key=lambda e: e.__name__)


def test_a_command_is_written_as_the_old_system_wrote_it():
    dispense = Dispense(volume=200, degree=80, type="cup", profile="smartsip-v0.1", is_safe_default=False)
    assert render(dispense) == b'{"volume":"200","degree":"80","type":"cup"}'


def test_the_command_that_does_nothing_moves_nothing():
    assert json.loads(NOTHING) == {"volume": "0", "degree": "0", "type": "none"}
    assert frames_for(NOTHING) == []


@pytest.mark.parametrize("error", every_domain_error(), ids=lambda error: error.__name__)
def test_every_error_is_a_line_of_text_that_moves_nothing(error: type[SmartSipError]):
    status, line = render_error(error('{"volume": "300", "degree": "90"}').info())
    assert 400 <= status < 600
    assert line.startswith(b"error msg: ")
    assert frames_for(line) == []


@given(detail=st.text(max_size=200), status=st.integers(400, 599))
def test_no_detail_of_an_error_can_become_a_command(detail: str, status: int):
    _, line = render_error(ErrorInfo(code="any", title="Any", status=status, detail=detail))
    assert frames_for(line) == []
    assert b"\n" not in line
    assert b"\r" not in line


@pytest.mark.parametrize("error", [errors.ProviderAuth, errors.ModelNotFound, errors.Internal, errors.Unavailable])
def test_what_a_provider_or_this_server_said_of_itself_is_not_told(error: type[SmartSipError]):
    _, line = render_error(error("key sk-1234 at http://127.0.0.1:9000/test/a.jpg?X-Amz-Signature=abc").info())
    assert line == f"error msg: {error.title}".encode()
