"""Chat completions, pictures and models as OpenAI serves them, for its SDKs and all that speak to them.

Every request wants a credential: an API key or a user's token as `Authorization: Bearer …`, or in the path's prefix.
Intentional differences: one choice, no log probabilities, images as data URLs unless a setting allows others; a client
that leaves stops its answer.
"""

from typing import Final

from fastapi import APIRouter, Depends
from starlette.requests import HTTPConnection

from api.dialect import Dialect, RenderedError
from api.dialects.openai import image_routes, routes
from api.dialects.openai.errors import error_body, headers_of, status_of
from api.dialects.openai.frame import encode
from shared.domain.errors import ErrorInfo


async def _speak(connection: HTTPConnection) -> None:
    connection.scope["dialect"] = OPENAI


def _render_error(error: ErrorInfo) -> RenderedError:
    return RenderedError(
        status=status_of(error),
        body=encode(error_body(error)),
        media_type=routes.JSON,
        headers=headers_of(error),
    )


_router = APIRouter(dependencies=[Depends(_speak)])
_router.include_router(routes.router)
_router.include_router(image_routes.router)
_router.include_router(routes.other_router)

OPENAI: Final = Dialect(name="openai", router=_router, render_error=_render_error)
