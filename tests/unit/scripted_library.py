"""A photo library that stores nothing: it answers from a script, and notes what it was asked."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID


@dataclass
class Answer:
    """What one request gets; no status breaks the connection."""

    status: int | None
    body: dict[str, Any] = field(default_factory=dict[str, Any])  # JSON
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def busy(status: int) -> Answer:
    return Answer(status, {"title": "Busy", "detail": "Too much to do."}, {"Retry-After": "0"})


def refused(status: int, detail: str) -> Answer:
    return Answer(status, {"title": "No", "detail": detail})


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away, as an interrupted command does."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # pyright: ignore[reportArgumentType] - a socket


class ScriptedLibrary:
    """Answers with what `script` makes of a request, or else as a library does whose photos are `state`."""

    def __init__(self, script: Callable[[Asked], Answer | None] = lambda _: None, *, state: str = "ready") -> None:
        self.asked: list[Asked] = []
        self.script = script
        self.state = state
        self._lock = Lock()
        owner = self

        class Scripted(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output clean."""

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = Asked(self.command, self.path, dict(self.headers), body)
                with owner._lock:
                    owner.asked.append(asked)
                answer = owner.script(asked) or owner._usual(asked)
                if answer.status is None:
                    self.close_connection = True
                    return
                content = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in ({"Content-Length": str(len(content))} | answer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def do_PATCH(self) -> None:
                self._serve()

        self._server = Listener(("127.0.0.1", 0), Scripted)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def count(self, method: str, path: str = "") -> int:
        """Return how many such requests came."""
        return sum(asked.method == method and path in asked.path for asked in self.asked)

    def _usual(self, asked: Asked) -> Answer:
        if asked.method == "POST" and urlsplit(asked.path).path == "/v2/images":
            image_id = str(UUID(bytes=hashlib.md5(asked.body).digest()))  # the same photo is the same image
            return Answer(201, {"id": image_id, "state": self.state, "labels": {}, "tags": []})
        return Answer(200)
