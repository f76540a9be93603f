"""The fielded ESP32 firmware's HTTP client over a raw socket: its bytes, its timers, its parser and its serial frames.

Written from a description of arduino-esp32's HTTPClient: a timer restarts with every header line and with every
chunk-size line; inside a body or a chunk there is none. ArduinoJson takes numbers and numeric strings, and nothing
but zero from anything else. `scale` shortens the timers, as tests shorten the server's.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

TIMEOUT_S = 5.0
ACCESS_KEY = "minioadmin"
SECRET_KEY = "minioadmin"
BUCKET = "test"
DATE = "Sat, 16 Nov 2024 06:11:07 GMT"
_HEADERS = (
    "User-Agent: ESP32HTTPClient\r\nConnection: keep-alive\r\nAccept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\r\n"
)


class GaveUp(Exception):
    """A timer of the device ran out (HTTPC_ERROR_READ_TIMEOUT): it does nothing."""


@dataclass
class Answer:
    """What the device read. `arrivals` are the chunks of a chunked body, as they came."""

    status: int
    headers: dict[str, str]
    body: bytes
    arrivals: list[bytes] = field(default_factory=list[bytes])

    @property
    def frames(self) -> list[bytes]:
        """The serial frames the device sends because of this answer."""
        return frames_for(self.body)


@dataclass
class Device:
    """A dispenser with two addresses compiled in: both may carry `/d/<key>`."""

    service_address: str
    scale: float = 1.0

    async def touch(self, name: str, photo: bytes, *, llm_type: str = "openai", model: str = "gpt-4o") -> Answer:
        """Do what one touch of the screen does: store the photo, whatever comes of it, then ask."""
        await self.put(name, photo)
        return await self.ask(f"/{name}", llm_type=llm_type, model=model)

    async def put(self, name: str, photo: bytes) -> Answer:
        """Store a photo at what the device takes for MinIO."""
        signature = sign(SECRET_KEY, "PUT", "image/jpeg", DATE, f"/{BUCKET}/{name}")
        head = (
            f"PUT {self._prefix}/{BUCKET}/{name} HTTP/1.1\r\nHost: {self._host}\r\n{_HEADERS}"
            f"Authorization: AWS {ACCESS_KEY}:{signature}\r\nDate: {DATE}\r\n"
            f"Content-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n\r\n"
        )
        return await self.send(head.encode() + photo)

    async def ask(self, image_name: str, *, llm_type: str = "openai", model: str = "gpt-4o") -> Answer:
        """Ask for a command; nothing is encoded, and there is neither a body nor a Content-Length."""
        target = f"{self._prefix}/smartsip/upload?llm_type={llm_type}&image_name={image_name}&model={model}"
        return await self.send(f"POST {target} HTTP/1.1\r\nHost: {self._host}\r\n{_HEADERS}\r\n".encode())

    async def send(self, request: bytes) -> Answer:
        """Send exact bytes and read the answer as the device does."""
        host, port = self._host.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(request)
            await writer.drain()
            return await self._read(reader)
        finally:
            writer.close()
            await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> Answer:
        first = await self._line(reader)
        match = re.match(r"HTTP/1\.\d (\d{3})", first)
        if match is None:
            raise GaveUp(f"not an HTTP/1 status line: {first!r}")
        headers: dict[str, str] = {}
        while line := await self._line(reader):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        answer = Answer(int(match[1]), headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await self._line(reader), 16):
                answer.arrivals.append(await reader.readexactly(size))
                await self._line(reader)
            await self._line(reader)
            answer.body = b"".join(answer.arrivals)
        else:
            answer.body = await reader.readexactly(int(headers.get("content-length", "0")))
        return answer

    async def _line(self, reader: asyncio.StreamReader) -> str:
        try:
            line = await asyncio.wait_for(reader.readline(), TIMEOUT_S * self.scale)
        except TimeoutError:
            raise GaveUp("no line in time") from None
        return line.decode("latin-1").rstrip("\r\n")

    @property
    def _host(self) -> str:
        return urlsplit(self.service_address).netloc

    @property
    def _prefix(self) -> str:
        return urlsplit(self.service_address).path


def sign(secret: str, method: str, media_type: str, date: str, resource: str) -> str:
    """AWS signature version 2, header form."""
    text = f"{method}\n\n{media_type}\n{date}\n{resource}"
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def frames_for(body: bytes) -> list[bytes]:
    """What goes to the dispenser's board for an answer's body, whatever its status was."""
    try:
        document: Any = json.loads(body)  # Any: whatever JSON it is
    except ValueError:
        return []
    if not isinstance(document, dict):
        return []
    fields = cast("dict[str, Any]", document)  # JSON
    volume, degree = _integer(fields.get("volume")), _integer(fields.get("degree"))
    if volume <= 0:
        return []
    code = 0x0F if volume > 500 else (volume // 10 - 1) & 0xFF
    mode, setpoint = _mode(degree)
    pour = bytes([0x69, mode, setpoint, code, (mode + setpoint + code) & 0xFF])
    return [bytes.fromhex("69012d3260"), pour] if degree > 90 else [pour]


def _mode(degree: int) -> tuple[int, int]:
    if degree < 30:
        return 0x66, 0x2D
    if degree < 55:
        return 0x77, 0x32
    if degree < 80:
        return 0x88, 0x55
    return 0x99, 0x5E


def _integer(value: object) -> int:
    match = re.fullmatch(r"[+-]?\d+(\.\d*)?", str(value)) if isinstance(value, str | int | float) else None
    return int(float(match[0])) if match else 0
