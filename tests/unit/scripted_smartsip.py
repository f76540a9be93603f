"""A server that answers `POST /v2/jobs` and a job's event stream from a script, and notes what it was asked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event as Flag
from threading import Thread
from typing import Any, Final, Self

from shared.domain import events
from shared.domain.dispense import SMARTSIP_V01, as_data, enforce, parse_answer

ANSWER: Final = '{"volume": 255, "degree": 95, "type": "ceramic cup"}'
DISPENSE: Final = as_data(enforce(parse_answer(ANSWER), SMARTSIP_V01))
JOB: Final = "0193a0c4-0000-7000-8000-000000000001"
STARTED: Final = events.Started(provider="demo", model="demo")
GOOD: Final[tuple[events.Event, ...]] = (
    STARTED,
    events.Text(text=ANSWER[:20]),
    events.Text(text=ANSWER[20:]),
    events.Result(data=DISPENSE),
    events.Completed(finish_reason="stop"),
)


@dataclass
class Script:
    """What the server answers; `connections` are the event streams of each connection in turn, the last one for all."""

    connections: list[bytes]
    submit_status: int = 202
    submit_body: bytes = json.dumps({"id": JOB, "state": "queued"}).encode()
    stays_open: bool = False
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list[Any])
    is_watched: Flag = field(default_factory=Flag)
    may_end: Flag = field(default_factory=Flag)


class Handler(BaseHTTPRequestHandler):
    script: Script

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._note(body)
        self._answer(self.script.submit_status, "application/json", self.script.submit_body)

    def do_GET(self) -> None:
        self._note(b"")
        served = sum(method == "GET" for method, *_ in self.script.requests)
        stream = self.script.connections[min(served, len(self.script.connections)) - 1]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(stream)
        self.wfile.flush()
        self.script.is_watched.set()
        if self.script.stays_open:
            self.script.may_end.wait(20)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""

    def _note(self, body: bytes) -> None:
        self.script.requests.append((self.command, self.path, dict(self.headers), body))

    def _answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class ScriptedSmartSip:
    """A scripted server on a port of its own."""

    def __init__(self) -> None:
        self.script = Script([stream(GOOD)])
        owner = self

        class Scripted(Handler):
            @property
            def script(self) -> Script:  # pyright: ignore[reportIncompatibleVariableOverride] - read only here
                return owner.script

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.script.may_end.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def stream(reported: Sequence[events.Event], first: int = 1) -> bytes:
    """The events as the server frames them, with a heartbeat in front."""
    frames = [
        f"id: 1.{seq}\nevent: {events.event_type(event)}\ndata: ".encode() + events.encode_event(event) + b"\n\n"
        for seq, event in enumerate(reported, first)
    ]
    return b": beat\n\n" + b"".join(frames)
