"""Photos, answered by the provider directly and as safe commands by the system; every answer is checked."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from PIL import Image

from benchmarks.connection import Response, http_request
from benchmarks.plan import Plan
from benchmarks.script import PHOTO_DEGREE, PHOTO_VOLUME
from benchmarks.work import Outcome, refusal

SIDE_PIXELS: Final = 240
"""What the fielded camera sends: 240 × 240, about 4 KB."""
_NUMBER_BYTES: Final = 12
_PLACE: Final = "@" * 16
"""Stands where the number goes, as long as the base64 of its twelve bytes, so that the length is right."""
WAIT_S: Final = 30


class _Command(msgspec.Struct):
    """What is read of a direct answer's text and of a job's result alike."""

    volume: int
    degree: int


class _Job(msgspec.Struct):
    state: str
    result: _Command | None = None


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


_decode_job = msgspec.json.Decoder(_Job).decode
_decode_command = msgspec.json.Decoder(_Command).decode
_decode_completion = msgspec.json.Decoder(_Completion).decode


def photo() -> bytes:
    """Return a JPEG of the size the fielded camera sends: a light round thing on a dark, grainy ground."""
    ground = Image.effect_noise((SIDE_PIXELS, SIDE_PIXELS), 12)
    cup = Image.radial_gradient("L").crop((0, 0, SIDE_PIXELS, SIDE_PIXELS))
    content = io.BytesIO()
    Image.merge("RGB", (ground, cup, Image.blend(ground, cup, 0.5))).save(content, "JPEG", quality=55)
    return content.getvalue()


class _NumberedPhotos:
    """A request's bytes with a photo that differs every time: bytes after a JPEG's end belong to no picture."""

    def __init__(self, path: str, body: Callable[[str], dict[str, Any]], *, token: str, headers: str = "") -> None:
        content = photo()
        content += bytes(-len(content) % 3)  # so that more base64 can follow it
        encoded = msgspec.json.encode(body(base64.b64encode(content).decode() + _PLACE))
        whole = http_request("POST", path, token=token, headers=headers, body=encoded)
        self._before, _, self._after = whole.partition(_PLACE.encode())

    def request(self, number: int) -> bytes:
        return self._before + base64.b64encode(number.to_bytes(_NUMBER_BYTES)) + self._after


class DirectPhotos:
    """The provider, asked for one whole answer."""

    def __init__(self, plan: Plan) -> None:
        def body(image: str) -> dict[str, Any]:  # JSON
            picture = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{image}"}}
            question = {"type": "text", "text": "What should the dispenser pour?"}
            return {
                "model": plan.model,
                "messages": [{"role": "user", "content": [question, picture]}],
                "response_format": {"type": "json_object"},
            }

        self._photos = _NumberedPhotos("/v1/chat/completions", body, token=plan.token)

    def requests(self, number: int, client: int) -> Sequence[bytes]:
        return (self._photos.request(number),)

    def judge(self, responses: Sequence[Response]) -> Outcome:
        (response,) = responses
        if problem := refusal(response, expected=200):
            return Outcome(problem)
        (choice,) = _decode_completion(response.body).choices
        return _judged(_decode_command(choice.message.content))


class SystemPhotos:
    """The system's own API: one request with the photo inside, answered when the command is there."""

    def __init__(self, plan: Plan) -> None:
        def body(image: str) -> dict[str, Any]:  # JSON
            return {"kind": "vision", "model": f"openai/{plan.model}", "input": {"image": {"data": image}}}

        headers = f"Prefer: wait={WAIT_S}\r\n"
        self._photos = _NumberedPhotos("/v2/jobs", body, token=plan.token, headers=headers)

    def requests(self, number: int, client: int) -> Sequence[bytes]:
        return (self._photos.request(number),)

    def judge(self, responses: Sequence[Response]) -> Outcome:
        (response,) = responses
        if response.status == 202:
            return Outcome(f"no answer within {WAIT_S} s")
        if problem := refusal(response, expected=200):
            return Outcome(problem)
        job = _decode_job(response.body)
        if job.state != "succeeded":
            return Outcome(f"the job {job.state}: {response.body[:300].decode(errors='replace')}")
        return _judged(job.result)


def _judged(command: _Command | None) -> Outcome:
    if command is None:
        return Outcome("there is no command")
    if (command.volume, command.degree) != (PHOTO_VOLUME, PHOTO_DEGREE):
        return Outcome(f"the wrong command: {command.volume} ml, {command.degree} °C")
    return Outcome(None)
