"""The SmartSip dispenser's firmware as it is in the field: `PUT /<bucket>/<name>.jpg`, then `POST /smartsip/upload`.

Both constants the firmware has for addresses are set to `http://host:port/d/<the device's token>`. Intentional
differences from the old system: each device has photos of its own, commands are inside the safety envelope, values are
always strings, and an error never repeats an address or a credential.
"""

from typing import Final

from fastapi import APIRouter, Depends
from starlette.requests import HTTPConnection

from api.dialect import Dialect, RenderedError
from api.dialects.smartsip import routes
from api.dialects.smartsip.frame import render_error
from shared.domain.errors import ErrorInfo


async def _speak(connection: HTTPConnection) -> None:
    connection.scope["dialect"] = SMARTSIP


def _render_error(error: ErrorInfo) -> RenderedError:
    status, line = render_error(error)
    return RenderedError(status=status, body=line, media_type=routes.PLAIN)


_router = APIRouter(dependencies=[Depends(_speak)])
_router.include_router(routes.router)
_router.include_router(routes.bucket_router)

SMARTSIP: Final = Dialect(name="smartsip", router=_router, render_error=_render_error)
