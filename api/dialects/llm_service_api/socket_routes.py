"""`WS /ws/{session_id}`: text in, frames out."""

from fastapi import APIRouter, WebSocket

from api.access import admit
from api.dependencies import FrontDep
from api.dialects.llm_service_api.parse import parse_session_id
from api.dialects.llm_service_api.session_socket import SessionSocket
from api.routes.websockets import agreed_subprotocol, check_handshake
from api.scopes import Scope

router = APIRouter(tags=["llm-service-api"])


@router.websocket("/ws/{session_id}")
async def converse(websocket: WebSocket, session_id: str, front: FrontDep) -> None:
    """Serve a session's socket. What is refused before the handshake is an HTTP answer.

    A page of a browser, which cannot send headers, comes with `?ticket=` (`POST /v2/tickets` with the `session_id`).
    """
    session_id = parse_session_id(session_id)
    access = front.settings.dialects.llm_service_api
    caller = await admit(websocket, front, access=access, scope=Scope.JOBS, session_id=session_id)
    check_handshake(websocket, front, known={*websocket.query_params})  # unknown ones mean nothing to this dialect
    front.hub.claim_stream(caller.owner_id)
    try:
        await websocket.accept(agreed_subprotocol(websocket))
        await SessionSocket(websocket, front, caller, session_id).serve()
    finally:
        front.hub.release_stream(caller.owner_id)
