"""Logging: whole lines, ids, and nothing secret."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from shared.observability import REFUSED_HANDSHAKE, set_up_logging
from shared.redaction import redact, redact_text


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    set_up_logging(log_format="json", stream=stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [{**json.loads(line), "timestamp": "now"} for line in log.getvalue().splitlines()]


def test_a_line_carries_the_ids_of_its_request_and_job(log: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1", job_id="j1"):
        structlog.get_logger("here").info("job_accepted", kind="chat")
    assert lines(log) == [
        {
            "event": "job_accepted",
            "kind": "chat",
            "request_id": "r1",
            "job_id": "j1",
            "level": "info",
            "logger": "here",
            "timestamp": "now",
        }
    ]


def test_lines_of_libraries_take_the_same_form(log: io.StringIO) -> None:
    logging.getLogger("a.library").warning("connection to %s lost", "redis://:hunter2@host:1/0")
    assert lines(log) == [
        {
            "event": "connection to redis://[redacted]@host:1/0 lost",
            "level": "warning",
            "logger": "a.library",
            "timestamp": "now",
        }
    ]


def test_chatty_libraries_are_quiet(log: io.StringIO) -> None:
    for name in ("uvicorn.access", "celery.worker", "alembic.runtime.migration"):
        logging.getLogger(name).info("said at length")
    assert lines(log) == []


def test_a_refused_handshake_is_no_error_of_the_server(log: io.StringIO) -> None:
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.error(REFUSED_HANDSHAKE)
    uvicorn.error("ASGI callable should return None, but returned '%s'.", 1)
    (line,) = log.getvalue().splitlines()
    assert "should return None" in line


def test_a_traceback_is_logged_without_secrets(log: io.StringIO) -> None:
    try:
        raise ValueError("cannot connect to postgresql://app:hunter2@db/x")
    except ValueError:
        structlog.get_logger("here").exception("it_broke")
    [line] = lines(log)
    assert "Traceback" in line["exception"]
    assert "hunter2" not in line["exception"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
        ("key ssk_a1B2_c3 refused", "key [redacted] refused"),
        ("device ssd_a1B2_c3 refused", "device [redacted] refused"),
        ("token eyJhbGciOi.eyJzdWIi.c2ln_- ended", "token [redacted] ended"),
        ("claim 7K2M-9QRD-XW4T-H8VC was used", "claim [redacted] was used"),
        ("Incorrect API key provided: sk-proj-abcdef123456.", "Incorrect API key provided: [redacted]."),
        (
            "GET /test/a.jpg?X-Amz-Signature=0a1b&X-Amz-Date=2",
            "GET /test/a.jpg?X-Amz-Signature=[redacted]&X-Amz-Date=2",
        ),
        ("AWS AKID:frJIUN8DYpKDtOLCwo//yllqDzg=", "AWS [redacted]"),
        ("PUT /d/secret-token/test/a.jpg", "PUT /d/[redacted]/test/a.jpg"),
        ("/v2/ws?ticket=abc&after=1.2", "/v2/ws?ticket=[redacted]&after=1.2"),
        ("redis://:pw@127.0.0.1:6379/0", "redis://[redacted]@127.0.0.1:6379/0"),
        ("https://user:pw@proxy:3128", "https://[redacted]@proxy:3128"),
        ("nothing to hide at http://host:8888/docs", "nothing to hide at http://host:8888/docs"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_values_under_secret_names_are_taken_out_at_any_depth() -> None:
    assert redact(
        {"headers": [{"X-Api-Key": "k", "Accept": "x"}], "output_tokens": 3, "error": OSError("sk-123456")}
    ) == {
        "headers": [{"X-Api-Key": "[redacted]", "Accept": "x"}],
        "output_tokens": 3,
        "error": "OSError: [redacted]",
    }


@given(st.text(alphabet="abcXYZ019._~+/=-", min_size=1))
def test_a_bearer_token_never_survives(token: str) -> None:
    assert redact_text(f"Authorization: Bearer {token}") == "Authorization: Bearer [redacted]"
