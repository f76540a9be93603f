"""What all routes of this dialect share: who asks, bodies, and refusals as FastAPI lists them."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.access import admit
from api.auth import Caller
from api.body import read_body
from api.dependencies import FrontDep
from api.dialects.lite_llm_chat.frame import faulty
from api.dialects.lite_llm_chat.parse import Refused, faults_of
from api.front import Front
from api.scopes import Scope

JSON: Final = "application/json"


class LiteRoute(APIRoute):
    """A route whose refusals name every fault, where it is, and of which type."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI's "custom request and APIRoute class"."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except Refused as refused:
                faults = refused.faults
            except RequestValidationError as error:
                faults = faults_of(error.errors())
            return Response(faulty(faults), 422, media_type=JSON)

        return handler


async def _admitted(request: Request, front: FrontDep) -> Caller:
    return await admit(request, front, access=front.settings.dialects.lite_llm_chat, scope=Scope.JOBS)


CallerDep = Annotated[Caller, Depends(_admitted)]


async def body_of(request: Request, front: Front) -> bytes:
    """Return a JSON body; raises what `read_body` does."""
    return await read_body(request, limit=front.settings.limits.body_bytes)
