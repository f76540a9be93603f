"""The photo library of a running server over HTTP: every request is repeated until it is answered, or given up."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

import httpx

from compose.analysis import Failure
from compose.errors import CannotStart
from compose.label_cells import LabelValue
from compose.server import PAGE, Server, complaint

AT_ONCE: Final = 8
OPENING_WAIT_S: Final = 20
_SILENCE_S: Final = 60.0
"""Above `OPENING_WAIT_S`, and above what a server takes to wait for a store that is slow."""
_BUSY: Final = frozenset({429, 502, 503, 504})
_BROKEN: Final = 5
"""Connections in a row that break, before the server is taken for gone."""
_PAUSE_S: Final = 0.5
_SHORTEST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 30.0
PATIENCE_S: Final = 600.0
"""How long a server may say that it is busy before a photo is given up: as long as opening one may take."""


class Gone(Failure):
    """The server has no such photo, or not any more."""


class Library:
    """What lets us into the library, and its requests."""

    def __init__(self, server: Server, *, patience_s: float = PATIENCE_S) -> None:
        self._url = server.url
        self._patience_s = patience_s
        # The proxies of the environment are for providers in the cloud and would keep us from our own machine.
        self._http = httpx.AsyncClient(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.token}", "User-Agent": "smartsip-photos"},
            timeout=httpx.Timeout(_SILENCE_S, connect=5.0, pool=None),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def upload(
        self, content: bytes, media_type: str, *, tags: Sequence[str], waits: bool
    ) -> tuple[dict[str, Any], bool]:  # JSON
        """Store a photo and return it, and whether it is new. A photo that is there already gets the tags too.

        `waits` is for whether to wait until it was opened, for `OPENING_WAIT_S` at most.

        Raises:
            Failure: if the server refuses it.
            CannotStart: if the server is away, or lets nobody in.
        """
        headers = {"Content-Type": media_type} | ({"Prefer": f"wait={OPENING_WAIT_S}"} if waits else {})
        query = {"tag": list(tags)}
        answer = await self._send("POST", "/v2/images", params=query, content=content, headers=headers)
        return _json(answer), answer.status_code == 201

    async def label(self, image_id: str, labels: Mapping[str, LabelValue]) -> None:
        """Add labels to a photo. Raises what `upload` does."""
        await self._send("PATCH", f"/v2/images/{image_id}", json={"labels": dict(labels)})

    async def opened(self, image_id: str) -> None:
        """Return once a photo was opened. Raises what `upload` does, also where it turned out to be none."""
        await self._send("GET", f"/v2/images/{image_id}/thumbnail")

    async def names(self, image_id: str) -> list[str]:
        """Return what devices call a photo, the newest name first. Raises what `upload` does."""
        return [name["name"] for name in _json(await self._send("GET", f"/v2/images/{image_id}"))["names"]]

    async def content(self, image_id: str) -> bytes:
        """Return a photo as it is shown. Raises what `upload` does."""
        return (await self._send("GET", f"/v2/images/{image_id}/content")).content

    async def pages(self, query: Mapping[str, Any]) -> AsyncIterator[list[dict[str, Any]]]:  # JSON
        """Yield the photos of a list, a page at a time, newest first. Raises what `upload` does."""
        cursor: dict[str, str] = {}
        while True:
            page = _json(await self._send("GET", "/v2/images", params={"limit": PAGE, **query, **cursor}))
            yield page["images"]
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}

    async def _send(self, method: str, path: str, **parts: Any) -> httpx.Response:  # httpx's keyword arguments
        deadline, broken = time.monotonic() + self._patience_s, 0
        while True:
            try:
                answer = await self._http.request(method, path, **parts)
            except httpx.TransportError as error:
                broken += 1
                if broken == _BROKEN:
                    raise CannotStart(
                        f"No server answers at {self._url} ({type(error).__name__}): start it with ./smartsip up."
                    ) from error
                await asyncio.sleep(_PAUSE_S)
                continue
            pause_s = _retry_after(answer)
            if answer.status_code not in _BUSY or time.monotonic() + pause_s > deadline:
                return _accepted(answer)
            await asyncio.sleep(pause_s)


async def several(tasks: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run tasks together; the first that cannot go on ends all of them."""
    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
    except BaseExceptionGroup as several:
        stops, others = several.split(CannotStart)
        if stops is None or others is not None:
            raise
        raise stops.exceptions[0] from None


def _accepted(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    if answer.status_code in (401, 403, 405):  # as it would be for every other photo
        raise CannotStart(complaint(answer))
    try:
        problem = answer.json()
        said = problem.get("detail") or problem["title"]
    except (ValueError, KeyError, AttributeError):
        raise CannotStart(complaint(answer)) from None
    raise (Gone if answer.status_code == 404 else Failure)(str(said))


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        document: Any = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CannotStart(complaint(answer))
    return document  # pyright: ignore[reportUnknownVariableType] - JSON


def _retry_after(answer: httpx.Response) -> float:
    try:
        return min(max(float(answer.headers["Retry-After"]), _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
    except (KeyError, ValueError):
        return _PAUSE_S
