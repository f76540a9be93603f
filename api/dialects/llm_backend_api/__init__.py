"""llm-backend-api: `/api/users`, `/api/conversations` and `/api/chat`, for clients that log in with a password.

Its users are this server's users, and their tokens, like API keys, are good on every surface. Intentional differences
from the old system: a conversation is its owner's alone, its provider key is kept encrypted, a model nobody could be
asked for is refused when the conversation is made, unknown conversations are 404, and `settings.registration` says who
may register.
"""

from typing import Final

from fastapi import APIRouter, Depends
from starlette.requests import HTTPConnection

from api.dependencies import FrontDep
from api.dialect import Dialect, RenderedError
from api.dialects.llm_backend_api import routes
from api.dialects.llm_backend_api.frame import BareFramer, render_error
from shared.domain.errors import ErrorInfo


async def _speak(connection: HTTPConnection, front: FrontDep) -> None:
    connection.scope["dialect"] = LLM_BACKEND_API
    if front.settings.dialects.llm_backend_api == "off":
        raise routes.no_such_page()


def _render_error(error: ErrorInfo) -> RenderedError:
    status, body = render_error(error)
    return RenderedError(status=status, body=body, media_type=routes.JSON)


_router = APIRouter(dependencies=[Depends(_speak)])
_router.include_router(routes.router)
_router.include_router(routes.other_router)

LLM_BACKEND_API: Final = Dialect(
    name="llm_backend_api", router=_router, render_error=_render_error, new_framer=BareFramer
)
