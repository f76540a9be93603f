"""What happens to every request before a route sees it: an id, a log line, a count, a limit. Pure ASGI: one call each.

Neither a query nor the key in a path's prefix is ever logged.
"""

import re
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import observe_request
from shared.domain.errors import PayloadTooLarge
from shared.domain.ids import uuid7
from shared.settings import Limits

REQUEST_ID_HEADER: Final = "X-Request-Id"
UPLOAD_OVERHEAD_BYTES: Final = 64 * 1024
"""What a multipart form may add to an image."""
EXPOSED_HEADERS: Final = (
    *("Location", "Retry-After", "Idempotency-Replayed", "Preference-Applied"),
    *("X-Request-Id", "Content-Range", "Accept-Ranges"),
)
"""What a page of another origin may read beside the body. Cookies are never used: every request shows its credential
itself, and no page can make a browser send one."""
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PATH_TOKEN: Final = re.compile(r"/d/([^/]+)(/.*)?", re.DOTALL)
_RAW_PATH_TOKEN: Final = re.compile(rb"/d/[^/]+(/.*)?", re.DOTALL)
_LOGGED_PATH_CHARS: Final = 200
_QUIET_PATHS: Final = ("/health", "/metrics")

_log = structlog.get_logger(__name__)


def add_middleware(
    app: FastAPI, limits: Limits, *, file_paths: Iterable[str] = (), allowed_origins: Sequence[str] = ()
) -> None:
    """Put all of it around an app; the first to see a request is added last.

    `file_paths` are where videos and audio files may be posted, which are larger than anything else.
    """
    app.add_middleware(BodyLimit, limits=limits, file_paths=file_paths)
    app.add_middleware(RequestLog)
    app.add_middleware(PathToken)
    if allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=allowed_origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
            allow_headers=("*",),
            expose_headers=EXPOSED_HEADERS,
        )


class PathToken:
    """Takes `/d/<token>` off a path and leaves the token in `scope["path_token"]`.

    The scope is changed in place, so that a server that logs requests itself has nothing left to give away.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] in ("http", "websocket"):
            match = _PATH_TOKEN.fullmatch(scope["path"])
            if match is not None:
                scope["path_token"] = match[1]
                scope["path"] = match[2] or "/"
                raw = _RAW_PATH_TOKEN.fullmatch(scope.get("raw_path") or b"")
                scope["raw_path"] = (raw[1] if raw else None) or b"/"
        await self._app(scope, receive, send)


class RequestLog:
    """Gives every request an id (the caller's, if it is a decent one), one log line at its end, and its counts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["request_id"] = request_id
        began, status = time.monotonic(), 500 if scope["type"] == "http" else 1006

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
                status = message.get("status", 101)
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            elif message["type"] == "websocket.close":
                status = message.get("code", 1000)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                _note(scope, status, time.monotonic() - began)


class BodyLimit:
    """Refuses bodies no route takes, so that none is read whole by mistake. Routes have smaller limits of their own."""

    def __init__(self, app: ASGIApp, *, limits: Limits, file_paths: Iterable[str] = ()) -> None:
        self._app = app
        self._json_bytes = limits.body_bytes
        self._other_bytes = max(limits.image_bytes, limits.body_bytes) + UPLOAD_OVERHEAD_BYTES
        self._file_bytes = max(self._other_bytes, limits.media_bytes + UPLOAD_OVERHEAD_BYTES)
        self._file_paths = frozenset(f"{path}{slash}" for path in file_paths for slash in ("", "/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit(scope, headers)
        announced = headers.get("content-length", "0")
        size = int(announced) if announced.isascii() and announced.isdigit() else 0
        is_announced_too_large = size > limit
        size = 0

        async def limited() -> Message:
            nonlocal size
            if is_announced_too_large:
                raise BodyTooLarge(limit)
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise BodyTooLarge(limit)
            return message

        await self._app(scope, limited, send)

    def _limit(self, scope: Scope, headers: Headers) -> int:
        if "json" in headers.get("content-type", ""):
            return self._json_bytes
        return self._file_bytes if scope["path"] in self._file_paths else self._other_bytes


class BodyTooLarge(PayloadTooLarge, HTTPException):
    """A body beyond every limit.

    Also one of Starlette's, because FastAPI turns every other exception that is raised while it reads into a 400.
    """

    def __init__(self, limit: int) -> None:
        HTTPException.__init__(self, PayloadTooLarge.status, f"At most {limit} bytes are taken.")
        self.detail: Any = f"At most {limit} bytes are taken."  # str here, anything in the base class
        self.field = None
        self.retry_after_s = None


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID.fullmatch(given) else uuid7().hex


def _note(scope: Scope, status: int, seconds: float) -> None:
    method = scope.get("method", "WEBSOCKET")
    path = scope["path"][:_LOGGED_PATH_CHARS]
    route = getattr(scope.get("route"), "path", None) or "unmatched"
    observe_request(method=method, route=route, status=status, seconds=seconds)
    log = _log.debug if path.startswith(_QUIET_PATHS) else _log.info
    log("request", method=method, path=path, status=status, ms=round(seconds * 1000, 1))
