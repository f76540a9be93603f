"""Every error of the system, as OpenAI would say it, and what the official SDK makes of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.openai import OPENAI
from shared.domain import errors
from shared.domain.errors import ErrorInfo, SmartSipError

EXPECTED = {
    "BadOutput": (502, "server_error", "bad_output", "false"),
    "ChatBusy": (409, "invalid_request_error", "chat_busy", "true"),
    "ClaimExpired": (409, "invalid_request_error", "claim_expired", "false"),
    "ClaimUsed": (409, "invalid_request_error", "claim_used", "false"),
    "Conflict": (409, "invalid_request_error", "conflict", "false"),
    "ContentBlocked": (400, "invalid_request_error", "content_filter", "false"),
    "ContextTooLong": (400, "invalid_request_error", "context_length_exceeded", "false"),
    "DeadLetter": (500, "server_error", "dead_letter", "false"),
    "DeadlineExceeded": (504, "server_error", "deadline_exceeded", "false"),
    "Forbidden": (403, "invalid_request_error", "forbidden", "false"),
    "IdempotencyKeyReused": (400, "invalid_request_error", "idempotency_key_reused", "false"),
    "ImageRefused": (400, "invalid_request_error", "image_refused", "false"),
    "Internal": (500, "server_error", "internal", "false"),
    "InvalidRequest": (400, "invalid_request_error", "invalid_request", "false"),
    "LengthRequired": (411, "invalid_request_error", "length_required", "false"),
    "MalformedRequest": (400, "invalid_request_error", "malformed_request", "false"),
    "MediaRefused": (400, "invalid_request_error", "media_refused", "false"),
    "ModelNotFound": (404, "invalid_request_error", "model_not_found", "false"),
    "NotFound": (404, "invalid_request_error", "not_found", "false"),
    "OrderCancelled": (502, "server_error", "order_cancelled", "false"),
    "OrderExpired": (504, "server_error", "order_expired", "false"),
    "OutcomeUnknown": (502, "server_error", "outcome_unknown", "false"),
    "PayloadTooLarge": (413, "invalid_request_error", "payload_too_large", "false"),
    "ProviderAuth": (502, "server_error", "provider_auth", "false"),
    "ProviderError": (502, "server_error", "provider_error", "false"),
    "ProviderOverloaded": (503, "server_error", "provider_overloaded", "false"),
    "ProviderQuota": (502, "server_error", "provider_quota", "false"),
    "ProviderRateLimited": (503, "server_error", "provider_rate_limited", "false"),
    "ProviderRegion": (502, "server_error", "provider_region", "false"),
    "ProviderRejected": (400, "invalid_request_error", "provider_rejected", "false"),
    "ProviderTimeout": (504, "server_error", "provider_timeout", "false"),
    "ProviderUnreachable": (502, "server_error", "provider_unreachable", "false"),
    "QuotaExceeded": (429, "requests", "rate_limit_exceeded", "true"),
    "RangeNotSatisfiable": (416, "invalid_request_error", "range_not_satisfiable", "false"),
    "RequestTooLarge": (413, "invalid_request_error", "provider_request_too_large", "false"),
    "SmartSipError": (500, "server_error", "error", "false"),
    "StreamIncomplete": (502, "server_error", "stream_incomplete", "false"),
    "TokensSpent": (429, "insufficient_quota", "insufficient_quota", "false"),
    "TooManyLogins": (429, "requests", "rate_limit_exceeded", "true"),
    "TooManyStreams": (429, "requests", "rate_limit_exceeded", "true"),
    "Unauthenticated": (401, "invalid_request_error", "invalid_api_key", "false"),
    "Unavailable": (503, "server_error", "unavailable", "true"),
    "UnsupportedMediaType": (415, "invalid_request_error", "unsupported_media_type", "false"),
    "UsernameTaken": (409, "invalid_request_error", "username_taken", "false"),
}


def every_error(branch: type[SmartSipError] = SmartSipError) -> dict[str, type[SmartSipError]]:
    found = {branch.__name__: branch} if branch.__module__ == errors.__name__ else {}
    for below in branch.__subclasses__():
        found |= every_error(below)
    return found


@pytest.mark.parametrize("name", sorted(every_error()))
def test_every_error_has_openais_shape_and_says_whether_to_try_again(name: str):
    error = every_error()[name]("what happened", field="messages.0.content.1.text")
    rendered = OPENAI.render_error(error.info())
    status, kind, code, try_again = EXPECTED[name]
    said = {"message": "what happened", "type": kind, "param": "messages[0].content[1].text", "code": code}
    assert json.loads(rendered.body) == {"error": said}
    assert (rendered.status, rendered.media_type) == (status, "application/json")
    again = {"Retry-After": "1"} if try_again == "true" else {}
    assert rendered.headers == {"x-should-retry": try_again} | again


def test_an_error_that_says_nothing_of_itself_has_its_title_and_no_place():
    rendered = OPENAI.render_error(errors.Internal().info())
    said = {"message": "An internal error occurred", "type": "server_error", "param": None, "code": "internal"}
    assert json.loads(rendered.body) == {"error": said}


def test_a_pause_that_somebody_named_is_left_to_the_header_that_says_it():
    rendered = OPENAI.render_error(errors.Unavailable(retry_after_s=7).info())
    assert rendered.headers == {"x-should-retry": "true"}


@pytest.mark.parametrize(
    ("field", "param"),
    [
        ("parameters.max_output_tokens", "max_completion_tokens"),
        ("max_output_tokens", "max_completion_tokens"),
        ("input.messages", "messages"),
        ("messages.12.tool_calls.0.function.name", "messages[12].tool_calls[0].function.name"),
        ("stop.3", "stop[3]"),
        ("Idempotency-Key", "Idempotency-Key"),
    ],
)
def test_a_place_is_named_as_openai_names_it(field: str, param: str):
    rendered = OPENAI.render_error(errors.InvalidRequest(field=field).info())
    assert json.loads(rendered.body)["error"]["param"] == param


@given(detail=st.text(), field=st.text(), status=st.integers(400, 599), pause=st.none() | st.floats(0, 1e6))
def test_whatever_an_error_says_is_one_json_document(detail: str, field: str, status: int, pause: float | None):
    info = ErrorInfo(code="any", title="Any", status=status, detail=detail, field=field, retry_after_s=pause)
    said = json.loads(OPENAI.render_error(info).body)["error"]
    assert (said["message"], said["code"]) == (detail or "Any", "any")
