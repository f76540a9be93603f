"""The only place where an error becomes HTTP: RFC 9457 problems for our API, a dialect's own shape on its routes."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.websockets import WebSocket

from api.dialect import Dialect
from api.invalid_fields import InvalidField, invalid_fields
from shared.domain.errors import ErrorInfo, Internal, InvalidRequest, MalformedRequest, SmartSipError

PROBLEM: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:smartsip:error:"

_log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()


class RefusedFields(InvalidRequest):
    """The request has fields or parameters that are wrong, each named."""

    def __init__(self, fields: Sequence[InvalidField]) -> None:
        first = fields[0]
        super().__init__(f"{first.field}: {first.message}" if first.field else first.message, field=first.field or None)
        self.fields = tuple(fields)


class Reported(SmartSipError):
    """An error of a job, as its runner reported it, told to the caller who waits for the job's answer."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.detail, field=info.field, retry_after_s=info.retry_after_s)
        self._info = info

    def info(self) -> ErrorInfo:
        """Return the error as it was reported."""
        return self._info


def refused(error: ValidationError, document: object) -> InvalidRequest:
    """Return what pydantic says of a request as one of our errors; `document` is what was sent, where it was JSON."""
    errors = error.errors(include_url=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return MalformedRequest(f"The body is not JSON: {errors[0]['msg'].removeprefix('Invalid JSON: ')}.")
    return RefusedFields(invalid_fields(errors, document))


def add_error_handlers(app: FastAPI) -> None:
    """Let every exception that leaves a route of this app be answered here."""
    app.add_exception_handler(SmartSipError, _http(_expected))
    app.add_exception_handler(RequestValidationError, _http(_invalid))
    app.add_exception_handler(HTTPException, _http(_of_starlette))
    app.add_exception_handler(Exception, _http(_unexpected))


def problem(error: SmartSipError | ErrorInfo, *, request_id: str | None = None) -> dict[str, Any]:  # JSON
    """Return an error as a problem document (RFC 9457 section 3.1), with our extension members."""
    info = error.info() if isinstance(error, SmartSipError) else error
    members = {
        "type": TYPE_PREFIX + info.code,
        "title": info.title,
        "status": info.status,
        "detail": info.detail,
        "code": info.code,
        "field": info.field,
        "retryable": info.retryable,
        "retry_after": _seconds(info.retry_after_s),
        "errors": [field._asdict() for field in error.fields] if isinstance(error, RefusedFields) else None,
        "request_id": request_id,
    }
    return {name: value for name, value in members.items() if value is not None}


def error_response(
    scope: Mapping[str, Any], error: SmartSipError, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer for an error, in the shape of the dialect whose route was asked."""
    info = error.info()
    headers = dict(headers or {})
    if info.retry_after_s is not None:
        headers["Retry-After"] = str(_seconds(info.retry_after_s))
    if info.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")  # RFC 9110 section 15.5.2: a 401 must have one
    dialect = cast("Dialect | None", scope.get("dialect"))
    if dialect is not None:
        rendered = dialect.render_error(info)
        headers |= rendered.headers
        return Response(rendered.body, rendered.status, headers, rendered.media_type)
    body = _encoder.encode(problem(error, request_id=scope.get("request_id")))
    return Response(body, info.status, headers, PROBLEM)


def _http(
    handle: Callable[[Request, Any], Response],
) -> Callable[[Request | WebSocket, Exception], Awaitable[Response]]:
    async def handler(request: Request | WebSocket, error: Exception) -> Response:
        return handle(cast("Request", request), error)

    return handler


def _expected(request: Request, error: SmartSipError) -> Response:
    info = error.info()
    if info.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request_failed", code=info.code, detail=error.detail, cause=repr(error.__cause__))
    return error_response(request.scope, error, headers=getattr(error, "headers", None))


def _invalid(request: Request, error: RequestValidationError) -> Response:
    errors = cast("Sequence[dict[str, Any]]", error.errors())  # pydantic's error dictionaries
    if errors and errors[0]["type"] == "json_invalid":
        reason = errors[0].get("ctx", {}).get("error", "it ends too early")
        return error_response(request.scope, MalformedRequest(f"The body is not JSON: {reason}."))
    return error_response(request.scope, RefusedFields(invalid_fields(errors, error.body)))


def _of_starlette(request: Request, error: HTTPException) -> Response:
    return error_response(request.scope, _PlainStatus(error.status_code, error.detail), headers=error.headers)


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("request_crashed", exc_info=error)
    return error_response(request.scope, Internal())


class _PlainStatus(SmartSipError):
    """A refusal by the framework itself: no such route, no such method, a form it cannot read."""

    def __init__(self, status: int, detail: str | None) -> None:
        title = HTTPStatus(status).phrase
        super().__init__(None if detail == title else detail)
        self._status, self._title = status, title

    def info(self) -> ErrorInfo:
        """Return this error as data; its code is the status' name."""
        code = self._title.lower().replace(" ", "_").replace("-", "_")
        return ErrorInfo(code=code, title=self._title, status=self._status, detail=self.detail)


def _seconds(duration_s: float | None) -> int | None:
    return None if duration_s is None else max(1, math.ceil(duration_s))
