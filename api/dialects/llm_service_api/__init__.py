"""The LLM Service API: `/token`, `/set-llm`, `/chat` and `WS /ws/{session_id}`.

Intentional differences from the old system: a token that `/token` gave is looked at; sessions are their owner's, and
the same id means another session to another owner; `/chat` and the socket share a session's history; an answer has an
end frame; what a model thinks is not shown; an answer that fails ends in an error frame and never in silence.
"""

from typing import Final

from fastapi import APIRouter, Depends
from starlette.requests import HTTPConnection

from api.dialect import Dialect, RenderedError
from api.dialects.llm_service_api import routes, socket_routes
from api.dialects.llm_service_api.asking import JSON
from api.dialects.llm_service_api.frame import render_error
from shared.domain.errors import ErrorInfo


async def _speak(connection: HTTPConnection) -> None:
    connection.scope["dialect"] = LLM_SERVICE_API


def _render_error(error: ErrorInfo) -> RenderedError:
    status, body = render_error(error)
    return RenderedError(status=status, body=body, media_type=JSON)


_router = APIRouter(dependencies=[Depends(_speak)])
for _part in (routes.router, socket_routes.router, routes.refusing_router):
    _router.include_router(_part)

LLM_SERVICE_API: Final = Dialect(name="llm_service_api", router=_router, render_error=_render_error)
