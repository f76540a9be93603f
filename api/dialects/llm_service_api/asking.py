"""What all routes of this dialect share: who asks, and refusals as FastAPI lists them."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.access import admit
from api.auth import Caller
from api.body import read_body
from api.dependencies import FrontDep
from api.dialects.llm_service_api.frame import faulty
from api.dialects.llm_service_api.parse import Refused
from api.front import Front
from api.scopes import Scope
from shared.domain.errors import NotFound

JSON: Final = "application/json"
FORM_BYTES: Final = 16 * 1024
FORM_FIELDS: Final = 20


class ServiceRoute(APIRoute):
    """A route whose refusals name every fault, where it is, and of which type."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI's "custom request and APIRoute class"."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except Refused as refused:
                return Response(faulty(refused.faults), 422, media_type=JSON)

        return handler


async def is_spoken(front: FrontDep) -> None:
    """Refuse everybody where this dialect is switched off.

    Raises:
        NotFound: if it is.
    """
    if front.settings.dialects.llm_service_api == "off":
        raise NotFound("Not Found")


async def _admitted(request: Request, front: FrontDep) -> Caller:
    return await admit(request, front, access=front.settings.dialects.llm_service_api, scope=Scope.JOBS)


CallerDep = Annotated[Caller, Depends(_admitted)]


async def body_of(request: Request, front: Front) -> bytes:
    """Return a JSON body; raises what `read_body` does."""
    return await read_body(request, limit=front.settings.limits.body_bytes)


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form, of either kind; none if the body is no form.

    Raises:
        InvalidRequest: as `read_body`.
        HTTPException: if it is a form that cannot be read (400).
    """
    body = await read_body(request, limit=FORM_BYTES)

    async def receive() -> dict[str, Any]:  # an ASGI message
        return {"type": "http.request", "body": body, "more_body": False}

    async with Request(request.scope, receive).form(max_files=0, max_fields=FORM_FIELDS) as form:
        return {name: text for name, text in form.items() if isinstance(text, str)}
