"""Jobs' events over WebSockets: one job per socket, or as many as the client names on one.

Messages are JSON text. The server's: `{"job_id": …, "id": "1.5", "type": …}` per event; `{"type": "error", "problem":
…}`; `{"type": "end", …}` for a job of which the client has everything; `{"type": "cancel", …}` in answer to one. The
client's: `{"type": "follow", "job_id": …, "after"?: "1.5"}`, `{"type": "unfollow", "job_id": …}`,
`{"type": "cancel", "job_id": …}`.

Refusals before the handshake are HTTP answers. Close codes: 1000 done, 1001 restart (come back), 1003 not text,
1008 the credential expired, 1009 message too large, 1011 our fault, 1013 too slow (come back).
"""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, WebSocket

from api.auth import Caller, follower, require
from api.cursors import cursor_from
from api.dependencies import FrontDep
from api.front import Front
from api.scopes import Scope
from api.services.watch import open_reader
from api.sockets import JobSocket, Show, whole_entry
from api.tickets import TICKET
from shared.domain.errors import Forbidden, InvalidRequest
from shared.domain.ids import JobId

SUBPROTOCOL: Final = "smartsip"

router = APIRouter(prefix="/v2", tags=["events"])
SocketCaller = Annotated[Caller, Depends(require(Scope.JOBS))]


@router.websocket("/jobs/{job_id}/ws")
async def follow_job(
    websocket: WebSocket, job_id: UUID, front: FrontDep, caller: Annotated[Caller, Depends(follower)]
) -> None:
    """Send one job's events from the beginning, or from `?after=`, and close when it has ended."""
    check_handshake(websocket, front, known={"after", TICKET})
    await serve_job(websocket, front, caller, JobId(job_id))


async def serve_job(
    websocket: WebSocket, front: Front, caller: Caller, job_id: JobId, *, show: Show = whole_entry
) -> None:
    """Serve one job's events over a socket whose handshake was checked.

    Raises:
        NotFound: if there is no such job of this owner.
        InvalidRequest: if there can be no such place in its events.
        TooManyStreams: if the owner has as many open as allowed.
    """
    after = cursor_from(websocket.query_params.get("after"))
    front.hub.claim_stream(caller.owner_id)
    try:
        reader, view = await open_reader(front, caller.owner_id, job_id, after)
        await websocket.accept(agreed_subprotocol(websocket))
        await JobSocket(websocket, front, caller, show=show).serve_one(reader, view)
    finally:
        front.hub.release_stream(caller.owner_id)


@router.websocket("/ws")
async def follow_jobs(websocket: WebSocket, front: FrontDep, caller: SocketCaller) -> None:
    """Send the events of every job the client asks for, until it closes the socket."""
    check_handshake(websocket, front, known=set())
    front.hub.claim_stream(caller.owner_id)
    try:
        await websocket.accept(agreed_subprotocol(websocket))
        await JobSocket(websocket, front, caller).serve_many()
    finally:
        front.hub.release_stream(caller.owner_id)


def check_handshake(websocket: WebSocket, front: Front, *, known: set[str]) -> None:
    """Refuse other sites' pages, and parameters that mean nothing.

    A page of another site cannot read our answers over HTTP, but a WebSocket has no such rule (RFC 6455 section 10.2).

    Raises:
        Forbidden: if it is such a page.
        InvalidRequest: if a parameter is none of `known`.
    """
    origin = websocket.headers.get("origin")
    host = websocket.headers.get("host")
    allowed = front.settings.allowed_origins
    if origin not in (None, f"http://{host}", f"https://{host}") and origin not in allowed and "*" not in allowed:
        raise Forbidden("pages of this origin may not connect", field="Origin")
    for name in websocket.query_params:
        if name not in known:
            raise InvalidRequest("is not known here", field=name)


def agreed_subprotocol(websocket: WebSocket) -> str | None:
    """Return what to agree on: a browser that offers its credential as a subprotocol must be answered with another."""
    return SUBPROTOCOL if SUBPROTOCOL in websocket.scope.get("subprotocols", ()) else None
