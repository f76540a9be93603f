"""The fielded ESP32 firmware's HTTP client over a raw socket: its bytes, its timers and its reading of an answer.

Written from a description of arduino-esp32's HTTPClient: connecting has five seconds; a timer of five starts again with
every header line and with every chunk-size line; inside a body or a chunk there is none. It follows no redirect and
asks for no compression. ArduinoJson takes numbers and numeric strings, and nothing but zero from anything else.

It plays the firmware's faults too, so that a server is measured by what stands in kitchens; nothing here is a client
for anything else.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from shared.domain.dispense import frames

TIMEOUT_S: Final = 5.0  # HTTPCLIENT_DEFAULT_TCP_TIMEOUT, and the connect timeout
ACCESS_KEY: Final = "minioadmin"
SECRET_KEY: Final = "minioadmin"  # noqa: S105 - what firmware has in the field whose maker left MinIO's default
BUCKET: Final = "test"
LLM_TYPE: Final = "openai"
MODEL: Final = "gpt-4o"
_PORTS: Final = {"http": 80, "https": 443}
_HEADERS: Final = (
    "User-Agent: ESP32HTTPClient\r\nConnection: keep-alive\r\nAccept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\r\n"
)

_Awaited = TypeVar("_Awaited")


class GaveUp(Exception):
    """The device has no answer: a timer ran out, the connection broke, or what came is not HTTP. It does nothing."""


class Command(NamedTuple):
    """What the firmware reads out of an answer, whatever its status was. A volume of 0 or less moves nothing."""

    volume: int
    degree: int
    type: str


@dataclass
class Answer:
    """What the device read. `arrivals` are the chunks of a chunked body, as they came."""

    status: int
    headers: dict[str, str]
    body: bytes
    arrivals: list[bytes] = field(default_factory=list[bytes])

    @property
    def command(self) -> Command | None:
        """What the device reads in this answer; None if it is no JSON object."""
        return read_command(self.body)

    @property
    def frames(self) -> list[bytes]:
        """The serial frames the device sends because of this answer."""
        return frames(self.command.volume, self.command.degree) if self.command else []

    @property
    def spaces(self) -> int:
        """How many spaces came before the answer, one for each time the server asked for patience."""
        return len(self.body) - len(self.body.lstrip(b" "))


@dataclass
class Device:
    """A dispenser with what is compiled in: one address for both its requests, which may carry `/d/<token>`, and keys.

    `scale` shortens the timers, as tests shorten the server's. `date` is what the device's clock says, in HTTP's form;
    without one the clock is right.
    """

    service_address: str = field(repr=False)
    scale: float = 1.0
    date: str | None = None
    access_key: str = ACCESS_KEY
    secret_key: str = field(default=SECRET_KEY, repr=False)
    bucket: str = BUCKET
    llm_type: str = LLM_TYPE
    model: str = MODEL

    async def touch(self, name: str, photo: bytes, *, llm_type: str | None = None, model: str | None = None) -> Answer:
        """Do what one touch of the screen does: store the photo, whatever the server says to it, then ask.

        Raises:
            GaveUp: if either request got no answer.
        """
        await self.put(name, photo)
        return await self.ask(f"/{name}", llm_type=llm_type, model=model)

    async def put(self, name: str, photo: bytes) -> Answer:
        """Store a photo at what the device takes for MinIO.

        Raises:
            GaveUp: if there was no answer.
        """
        return await self.send(self.put_request(name, photo))

    async def ask(self, image_name: str, *, llm_type: str | None = None, model: str | None = None) -> Answer:
        """Ask for a command about a photo; its name begins with a slash.

        Raises:
            GaveUp: if there was no answer.
        """
        return await self.send(self.ask_request(image_name, llm_type=llm_type, model=model))

    def put_request(self, name: str, photo: bytes) -> bytes:
        """Return the bytes that store a photo. The prefix of the address is no part of what is signed."""
        date = self.date or format_datetime(datetime.now(UTC), usegmt=True)
        signature = sign(self.secret_key, "PUT", "image/jpeg", date, f"/{self.bucket}/{name}")
        head = (
            f"PUT {self._prefix}/{self.bucket}/{name} HTTP/1.1\r\nHost: {self._host}\r\n{_HEADERS}"
            f"Authorization: AWS {self.access_key}:{signature}\r\nDate: {date}\r\n"
            f"Content-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n\r\n"
        )
        return head.encode() + photo

    def ask_request(self, image_name: str, *, llm_type: str | None = None, model: str | None = None) -> bytes:
        """Return the bytes that ask: nothing is encoded, and there is neither a body nor a Content-Length.

        What model is asked is compiled in too; it is given here where one device is to stand for several.
        """
        asked = f"llm_type={llm_type or self.llm_type}&image_name={image_name}&model={model or self.model}"
        target = f"{self._prefix}/smartsip/upload?{asked}"
        return f"POST {target} HTTP/1.1\r\nHost: {self._host}\r\n{_HEADERS}\r\n".encode()

    async def send(self, request: bytes) -> Answer:
        """Send exact bytes on a connection of their own, and read the answer as the device does.

        Raises:
            GaveUp: if there was no answer.
        """
        try:
            reader, writer = await self._in_time(self._connect(), "the server cannot be reached in time")
        except OSError as error:
            raise GaveUp(f"the server cannot be reached ({error.strerror or type(error).__name__})") from error
        try:
            writer.write(request)
            await self._in_time(writer.drain(), "the server does not read on")
            return await self._read(reader)
        except (ConnectionError, EOFError) as error:
            raise GaveUp("the connection broke") from error
        finally:
            await _close(writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = urlsplit(self.service_address)
        port = address.port or _PORTS[address.scheme]
        return await asyncio.open_connection(address.hostname, port, ssl=address.scheme == "https" or None)

    async def _read(self, reader: asyncio.StreamReader) -> Answer:
        first = await self._line(reader)
        match = re.match(r"HTTP/1\.\d (\d{3})", first)
        if match is None:
            raise GaveUp(f"not an HTTP/1 status line: {first[:80]!r}")
        headers: dict[str, str] = {}
        while line := await self._line(reader):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        answer = Answer(int(match[1]), headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            await self._read_chunks(reader, answer)
        elif "content-length" in headers:
            answer.body = await reader.readexactly(int(headers["content-length"]))
        elif answer.status != 204:
            answer.body = await reader.read()
        return answer

    async def _read_chunks(self, reader: asyncio.StreamReader, answer: Answer) -> None:
        while size := await self._chunk_size(reader):
            answer.arrivals.append(await reader.readexactly(size))
            await self._line(reader)
        await self._line(reader)
        answer.body = b"".join(answer.arrivals)

    async def _chunk_size(self, reader: asyncio.StreamReader) -> int:
        line = await self._line(reader)
        try:
            return int(line, 16)
        except ValueError:
            raise GaveUp(f"not the size of a chunk: {line[:80]!r}") from None

    async def _line(self, reader: asyncio.StreamReader) -> str:
        line = await self._in_time(reader.readline(), "no line in time")
        if not line.endswith(b"\n"):
            raise GaveUp("the connection broke")
        return line.decode("latin-1").rstrip("\r\n")

    async def _in_time(self, awaited: Coroutine[Any, Any, _Awaited], otherwise: str) -> _Awaited:
        try:
            return await asyncio.wait_for(awaited, TIMEOUT_S * self.scale)
        except TimeoutError:
            raise GaveUp(otherwise) from None

    @property
    def _host(self) -> str:
        return urlsplit(self.service_address).netloc

    @property
    def _prefix(self) -> str:
        return urlsplit(self.service_address).path.rstrip("/")


async def _close(writer: asyncio.StreamWriter) -> None:
    """Hang up without taking leave: what is still unsent may stay so."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


def sign(secret: str, method: str, media_type: str, date: str, resource: str) -> str:
    """Return the AWS signature, version 2 in its header form, of a request without Content-MD5 and x-amz- headers."""
    text = f"{method}\n\n{media_type}\n{date}\n{resource}"
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def read_command(body: bytes) -> Command | None:
    """Read an answer's body as ArduinoJson does; None if it is no JSON object, which moves nothing."""
    try:
        document: Any = json.loads(body)  # Any: whatever JSON it is
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    fields = cast("dict[str, Any]", document)  # JSON
    kind = fields.get("type")
    return Command(
        _integer(fields.get("volume")), _integer(fields.get("degree")), kind if isinstance(kind, str) else ""
    )


def _integer(value: object) -> int:
    match = re.fullmatch(r"([+-]?\d+)(\.\d*)?", str(value)) if isinstance(value, str | int | float) else None
    return int(match[1]) if match else 0
