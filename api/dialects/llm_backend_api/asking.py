"""What the routes of this dialect share: who asks, what was sent, and which conversation and model are meant."""

from typing import Annotated, Final

import structlog
from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from api.auth import Caller, caller_by_path, caller_with, offered_by_header
from api.body import read_body
from api.dependencies import FrontDep
from api.dialects.llm_backend_api.parse import is_reference, parse_id, provider_of
from api.front import Front
from api.scopes import Scope
from api.services.chats import ChatView, Origin
from shared.domain.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated

ORIGIN: Final = Origin.LLM_BACKEND_API
MAX_TOLD_CHARS: Final = 200


async def _admitted(connection: HTTPConnection, front: FrontDep) -> Caller:
    """Return who is calling; each of the old system's three refusals in its own words."""
    if connection.headers.get("authorization"):
        offered = offered_by_header(connection)
        if offered is None:
            raise Unauthenticated("Invalid token format")
        caller = await caller_with(front, offered)
    elif "path_token" in connection.scope:
        caller = await caller_by_path(front, connection)
    else:
        raise Unauthenticated("Authorization header missing")
    if caller is None:
        raise Unauthenticated("Invalid or expired token")
    if not caller.may(Scope.JOBS):
        raise Forbidden(f"The credential needs the scope {Scope.JOBS}.")
    structlog.contextvars.bind_contextvars(owner_id=caller.owner_id)
    return caller


CallerDep = Annotated[Caller, Depends(_admitted)]


async def body_of(request: Request, front: Front) -> bytes:
    """Return the body, whatever type it says it has; raises what `read_body` does."""
    return await read_body(request, limit=front.settings.limits.body_bytes)


async def conversation(front: Front, caller: Caller, conversation_id: str) -> ChatView:
    """Return one of the caller's conversations by the id in a path.

    Raises:
        MalformedRequest: if it can be none.
        NotFound: if there is none of this caller's, made through this dialect.
    """
    number = parse_id(conversation_id)
    try:
        return await front.chats.find(caller.owner_id, number=number, origin=ORIGIN)
    except NotFound:
        raise no_such_conversation() from None


def no_such_conversation() -> NotFound:
    """Return the one error for a conversation that does not exist, is another's, or of another surface."""
    return NotFound("Conversation not found")


async def model_for(front: Front, name: str, *, brings_key: bool) -> str:
    """Return the `provider/model` that a name means; one that could never answer is refused.

    A provider that this server has no key of will do if the caller brings one.

    Raises:
        InvalidRequest: if there is nobody to ask for it.
        Unavailable: if PostgreSQL is away.
    """
    settings = front.settings
    callable_here = {*settings.configured_providers, *(settings.endpoints if brings_key else ())}
    provider, slash, _ = name.partition("/")
    for owner, reference in ((provider if slash else None, name), (provider_of(name), f"{provider_of(name)}/{name}")):
        if owner in callable_here and is_reference(reference):
            return reference
    listed = await _listed(front, name)
    if listed is None:
        raise _unsupported(front, name)
    return listed


async def _listed(front: Front, name: str) -> str | None:
    """Return the model of that name that some provider lists."""
    references = {ref for model in await front.models.all() for ref in model.refs}
    try:
        reference = await front.models.resolve(name)
    except InvalidRequest:
        return None
    return reference if reference in references else None


def _unsupported(front: Front, name: str) -> InvalidRequest:
    provider = provider_of(name) or name.partition("/")[0]
    if provider in front.settings.endpoints and provider not in front.settings.configured_providers:
        return InvalidRequest(f"{provider} is not configured on this server: give an api_key of it", field="model")
    return InvalidRequest(f"unsupported keyword: {name[:MAX_TOLD_CHARS]}")
