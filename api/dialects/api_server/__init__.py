"""api-server (GPTDock): `POST /v1/ask`, its health, and what a client of it has used.

The service keeps no conversation: the history comes with each question. Intentional differences from the old system:
who calls is known, and its clients' quotas are its own; what a question may use is reserved before it is asked, and
counted once; errors are JSON, and none looks like an answer.
"""

from typing import Final

from fastapi import APIRouter, Depends
from starlette.requests import HTTPConnection

from api.dialect import Dialect, RenderedError
from api.dialects.api_server import routes
from api.dialects.api_server.frame import render_error
from shared.domain.errors import ErrorInfo


async def _speak(connection: HTTPConnection) -> None:
    connection.scope["dialect"] = API_SERVER


def _render_error(error: ErrorInfo) -> RenderedError:
    status, body = render_error(error)
    return RenderedError(status=status, body=body, media_type=routes.JSON)


_router = APIRouter(dependencies=[Depends(_speak)])
_router.include_router(routes.router)

API_SERVER: Final = Dialect(name="api_server", router=_router, render_error=_render_error)
