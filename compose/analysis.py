"""Asking a running server, over HTTP alone, what a dispenser should do with a photo."""

import asyncio
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4

import httpx
import msgspec

from compose.sse import SseParser
from shared.domain.dispense import Dispense
from shared.domain.errors import ErrorInfo, InvalidRequest
from shared.domain.events import (
    TERMINAL,
    Cancelled,
    Completed,
    Event,
    Expired,
    Failed,
    Restarted,
    Result,
    Started,
    Text,
)
from shared.domain.images import sniff

MAX_PHOTO_BYTES: Final = 20 * 1024 * 1024
"""What a server takes unless it is told otherwise (`settings.limits.image_bytes`)."""
_SILENCE_S: Final = 45.0
"""Three of the server's heartbeats: then the connection is dead, and a new one goes on where it stopped."""
_FRUITLESS: Final = 5
"""Connections in a row that bring no event, or refusals with `Retry-After`, before a photo is given up."""
_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_event_decoder: Final = msgspec.json.Decoder[Event](Event)  # pyright: ignore[reportArgumentType] - a union of structs

OnText: TypeAlias = Callable[[str], None]
"""Called with each fragment of the model's answer; with an empty one if the answer begins anew."""


class ServerAway(Exception):
    """No server answers; the text says where and what to do."""


class Failure(Exception):
    """One photo has no result; the text says why, in a sentence."""


class Outcome(msgspec.Struct, omit_defaults=True):
    """What became of one photo: a result or an error."""

    photo: str
    job: str | None = None
    model: str | None = None
    seconds: float | None = None
    result: dict[str, Any] | None = None  # JSON as the server gave it: a `Dispense` and whatever it adds to one
    error: str | None = None

    @property
    def dispense(self) -> Dispense | None:
        """The result as what it is."""
        return None if self.result is None else msgspec.convert(self.result, Dispense)


class Server:
    """A SmartSip server: where it is and what lets us in."""

    def __init__(self, url: str, token: str, *, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        # The proxies of the environment are for providers in the cloud and would keep us from our own machine.
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}", "User-Agent": "smartsip-analyze"},
            timeout=httpx.Timeout(30.0, connect=5.0, read=_SILENCE_S, pool=None),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def analyze(self, photo: Path, model: str | None, on_text: OnText, outcome: Outcome) -> None:
        """Have one photo analysed, filling in `outcome` as things become known; never fails but by `ServerAway`."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                content, media_type = await asyncio.to_thread(read_photo, photo)
                outcome.job = await self._submit(content, media_type, model)
                await self._watch(outcome, on_text)
        except Failure as failure:
            outcome.error = str(failure)
        except TimeoutError:
            where = f"; job {outcome.job} goes on at the server" if outcome.job else ""
            outcome.error = f"No result within {self._timeout_s:g} s{where}."
        outcome.seconds = round(time.monotonic() - started, 3)

    async def _submit(self, content: bytes, media_type: str, model: str | None) -> str:
        """Hand the photo in and return the job's id; asking twice with one key makes one job."""
        headers = {"Content-Type": media_type, "Idempotency-Key": str(uuid4())}
        query = {"kind": "vision"} | ({"model": model} if model else {})
        for attempt in range(1, _FRUITLESS + 1):
            try:
                answer = await self._http.post(f"{self.url}/v2/jobs", params=query, content=content, headers=headers)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise self._away() from error
            except httpx.TransportError as error:
                if attempt == _FRUITLESS:
                    raise Failure("The connection to the server broke while the photo was sent.") from error
                await asyncio.sleep(_PAUSE_S)
                continue
            if answer.status_code not in (429, 503) or attempt == _FRUITLESS:
                return _job_id(answer)
            await asyncio.sleep(_retry_after(answer))
        raise AssertionError("the loop always returns or raises")

    async def _watch(self, outcome: Outcome, on_text: OnText) -> None:
        async for event in self._follow(str(outcome.job)):
            match event:
                case Started() | Restarted():
                    outcome.model, outcome.result = f"{event.provider}/{event.model}", None
                    on_text("")
                case Text():
                    on_text(event.text)
                case Result():
                    outcome.result = event.data
                case Completed() | Failed() | Cancelled() | Expired():
                    _conclude(event, outcome)
                case _:
                    pass

    async def _follow(self, job_id: str) -> AsyncIterator[Event]:
        """Yield the job's events to the last one, coming back with the last id as often as the connection breaks."""
        last_id, fruitless = "", 0
        while fruitless < _FRUITLESS:
            fruitless += 1
            try:
                async for event_id, event in self._connection(job_id, last_id):
                    last_id, fruitless = event_id or last_id, 0
                    if event is not None:
                        yield event
                    if isinstance(event, TERMINAL):
                        return
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if fruitless == _FRUITLESS:
                    raise self._away() from error
            except httpx.TransportError:  # a restart of the server, or a network that blinked: come back
                pass
            await asyncio.sleep(_PAUSE_S)
        raise Failure(f"The server's stream ended again and again without a result; job {job_id} may still have one.")

    async def _connection(self, job_id: str, last_id: str) -> AsyncIterator[tuple[str, Event | None]]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        async with self._http.stream("GET", f"{self.url}/v2/jobs/{job_id}/events", headers=headers) as answer:
            if answer.status_code in (429, 503):
                await asyncio.sleep(_retry_after(answer))
                return
            if answer.status_code != 200:
                await answer.aread()
                raise Failure(_complaint(answer))
            parser = SseParser()
            async for chunk in answer.aiter_bytes():
                for event in parser.feed(chunk):
                    yield event.id, _decoded(event.data)

    def _away(self) -> ServerAway:
        return ServerAway(
            f"No SmartSip server answers at {self.url}: start one with `./smartsip up`, or name another with --url."
        )


def read_photo(photo: Path) -> tuple[bytes, str]:
    """Return a photo's bytes and media type.

    Raises:
        Failure: if there is no such file, or it is nothing a server would take.
    """
    try:
        status = photo.stat()
        if stat.S_ISDIR(status.st_mode):
            raise Failure("This is a directory; name the photos in it.")
        if not stat.S_ISREG(status.st_mode):
            raise Failure("This is not a file.")
        size = status.st_size
        if size > MAX_PHOTO_BYTES:
            raise Failure(f"The file has {size:,} bytes; a photo may have {MAX_PHOTO_BYTES:,}.")
        content = photo.read_bytes()
        return content, sniff(content).media_type
    except FileNotFoundError as error:
        raise Failure("There is no such file.") from error
    except OSError as error:
        raise Failure(f"The file cannot be read: {error.strerror}.") from error
    except InvalidRequest as refusal:
        raise Failure(str(refusal)) from refusal


def _conclude(event: Completed | Failed | Cancelled | Expired, outcome: Outcome) -> None:
    """Note how the job ended; a result counts only if the job succeeded with one that can be read."""
    match event:
        case Failed():
            outcome.error = _sentence(event.error)
        case Cancelled():
            outcome.error = "The job was cancelled."
        case Expired():
            outcome.error = "The job's deadline passed before a worker was free."
        case Completed():
            try:
                has_result = outcome.dispense is not None
            except msgspec.ValidationError:
                has_result = False
            outcome.error = None if has_result else "The job ended without a result that this version understands."
    if outcome.error:
        outcome.result = None


def _decoded(data: str) -> Event | None:
    """Return the event; None for one that only a newer server knows."""
    try:
        return _event_decoder.decode(data)
    except msgspec.DecodeError:
        return None


def _job_id(answer: httpx.Response) -> str:
    if answer.status_code not in (200, 201, 202):
        raise Failure(_complaint(answer))
    try:
        return str(answer.json()["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise Failure("The server took the photo but named no job: is this a SmartSip server?") from error


def _complaint(answer: httpx.Response) -> str:
    """Say what the server refused, in its own words (RFC 9457) where it has any."""
    if answer.status_code == 401:
        return "The server does not accept this token: give the right one with --token-file or SMARTSIP_TOKEN."
    try:
        problem: Any = answer.json()  # whatever some server sends
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return f"The server answered with status {answer.status_code} and no explanation."
    said = msgspec.convert(problem, dict[str, Any])
    title, detail = said.get("title") or f"Status {answer.status_code}", said.get("detail")
    return f"{title}: {detail}" if detail else f"{title}."


def _sentence(error: ErrorInfo) -> str:
    return f"{error.title}: {error.detail}" if error.detail else f"{error.title}."


def _retry_after(answer: httpx.Response) -> float:
    try:
        return min(max(float(answer.headers.get("Retry-After", _PAUSE_S)), _PAUSE_S), _LONGEST_PAUSE_S)
    except ValueError:
        return _PAUSE_S
