"""llm-backend-api's seven routes. Its clients follow no redirect."""

from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import Match
from starlette.types import Scope as ConnectionScope

from api.answers import answer_with_stream
from api.client_address import address_of
from api.dependencies import FrontDep
from api.dialects.llm_backend_api.asking import (
    ORIGIN,
    CallerDep,
    body_of,
    conversation,
    model_for,
    no_such_conversation,
)
from api.dialects.llm_backend_api.frame import BareFramer, go_json
from api.dialects.llm_backend_api.parse import (
    parse_conversation,
    parse_credentials,
    parse_id,
    parse_question,
    shown_model,
)
from api.dialects.llm_backend_api.wire import (
    Conversation,
    Credentials,
    History,
    HistoryMessage,
    ListedConversation,
    NewConversation,
    Question,
)
from api.services.chat_deletion import delete_chat
from api.services.chats import MessageView, NewChat
from api.services.turns import Said, TurnRequest, prepare_turn
from shared.database.statements.chats import made_through
from shared.domain.errors import NotFound, Unauthenticated

JSON: Final = "application/json; charset=utf-8"
SYSTEM_PROMPT: Final = "你是一个乐于回答各种问题的小助手"
MAX_LISTED: Final = 10_000
"""There are no pages there: whoever has more conversations is shown the newest."""
STREAM_HEADERS: Final = {"Content-Type": "text/event-stream", "Connection": "keep-alive"}
SECRET: Final = {"Cache-Control": "no-store"}
EVERY_METHOD: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_BEARER: Final[dict[str, Any]] = {"security": [{"bearer": []}]}  # an OpenAPI fragment


class SlashRoute(APIRoute):
    """A route that is there with and without a slash at its end."""

    def matches(self, scope: ConnectionScope) -> tuple[Match, ConnectionScope]:
        """Match as any route, but for the slash."""
        path: str = scope["path"]
        return super().matches({**scope, "path": path.removesuffix("/")})


router = APIRouter(prefix="/api", tags=["llm-backend-api"], route_class=SlashRoute)
other_router = APIRouter(prefix="/api")


def _takes(model: type[BaseModel]) -> dict[str, Any]:  # an OpenAPI fragment
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


@router.post("/users/register", status_code=201, openapi_extra=_takes(Credentials), summary="Register a user")
async def register(request: Request, front: FrontDep) -> Response:
    """Make an account, where registration is open."""
    wanted = parse_credentials(await body_of(request, front))
    await front.accounts.register(wanted.username, wanted.password.get_secret_value())
    return _answer({"message": "User registered successfully"}, status=201)


@router.post("/users/login", openapi_extra=_takes(Credentials), summary="Log in")
async def log_in(request: Request, front: FrontDep) -> Response:
    """Return a token. Unknown name, wrong password and disabled account get the same answer."""
    wanted = parse_credentials(await body_of(request, front))
    address = address_of(request, proxies=front.settings.trusted_proxies)
    try:
        account = await front.accounts.login(wanted.username, wanted.password.get_secret_value(), address=address)
    except Unauthenticated:
        raise Unauthenticated("invalid username or password") from None
    token = front.accounts.token_for(account, lifetime=front.settings.clocks.user_token)
    return _answer({"token": token.token}, headers=SECRET)


@router.post("/conversations/create", openapi_extra=_BEARER | _takes(NewConversation), summary="Make a conversation")
async def create(request: Request, front: FrontDep, caller: CallerDep) -> Response:
    """Make a conversation. A key that it brings is kept encrypted, used for it alone, and repeated here only."""
    asked = parse_conversation(await body_of(request, front))
    new = NewChat(
        origin=ORIGIN,
        title=asked.title,
        model=await model_for(front, asked.model, brings_key=asked.api_key is not None),
        system_prompt=SYSTEM_PROMPT,
        provider_key=asked.api_key,
    )
    chat, _ = await front.chats.create(caller.owner_id, new)
    made = Conversation(
        conversation_id=chat.number,
        title=chat.title,
        model=asked.model,
        api_key=asked.api_key or "",
        created_time=_unix(chat.created_at),
    )
    return _answer(made, headers=SECRET)


@router.get("/conversations/history/{conversation_id}", openapi_extra=_BEARER, summary="What was said")
async def history(conversation_id: str, front: FrontDep, caller: CallerDep) -> Response:
    """Return a conversation with what the user and the model said."""
    chat = await conversation(front, caller, conversation_id)
    messages = await front.chats.messages(caller.owner_id, chat.id)
    shown = History(
        conversation_id=chat.number,
        title=chat.title,
        model=shown_model(chat.model or front.settings.default_model),
        messages=_shown(messages),
        created_time=_unix(chat.created_at),
    )
    return _answer(shown)


@router.get("/conversations/list", openapi_extra=_BEARER, summary="List conversations")
async def list_conversations(front: FrontDep, caller: CallerDep) -> Response:
    """Return the caller's conversations, the newest first."""
    rows = await front.queries.rows(made_through(caller.owner_id, ORIGIN.value).limit(MAX_LISTED))
    listed = [
        ListedConversation(conversation_id=row.number, title=row.title, created_time=_unix(row.created_at))
        for row in rows
    ]
    return _answer(listed)


@router.post("/conversations/del/{conversation_id}", openapi_extra=_BEARER, summary="Delete a conversation")
async def delete(conversation_id: str, front: FrontDep, caller: CallerDep) -> Response:
    """Delete a conversation with everything that was asked and answered; a running answer is stopped first."""
    chat = await conversation(front, caller, conversation_id)
    try:
        await delete_chat(front, caller.owner_id, chat.id)
    except NotFound:  # deleted in this moment, by the same wish
        raise no_such_conversation() from None
    return _answer({"message": "Conversation deleted successfully"})


@router.post("/chat/{conversation_id}", openapi_extra=_BEARER | _takes(Question), summary="Say something")
async def chat(conversation_id: str, request: Request, front: FrontDep, caller: CallerDep) -> Response:
    """Say something in a conversation; the answer comes as bare JSON frames, and stays if the client leaves."""
    parse_id(conversation_id)
    message = parse_question(await body_of(request, front))
    found = await conversation(front, caller, conversation_id)
    new = await prepare_turn(front, caller, found, TurnRequest(said=[Said(content=message)]))
    return await answer_with_stream(front, request, new, BareFramer(), headers=STREAM_HEADERS)


@other_router.api_route("/users/{path:path}", methods=list(EVERY_METHOD), include_in_schema=False)
@other_router.api_route("/conversations/{path:path}", methods=list(EVERY_METHOD), include_in_schema=False)
@other_router.api_route("/chat/{path:path}", methods=list(EVERY_METHOD), include_in_schema=False)
async def refuse() -> Response:
    """Say that there is nothing else here; the old system also said so of a wrong method."""
    raise no_such_page()


def no_such_page() -> NotFound:
    """Return the error of a path that is not there."""
    return NotFound("404 page not found")


def _shown(messages: list[MessageView]) -> list[HistoryMessage]:
    said = (message for message in messages if message.role in ("user", "assistant"))
    return [
        HistoryMessage(role=message.role, content=message.content, message_id=number)
        for number, message in enumerate(said, 1)
    ]


def _answer(document: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(go_json(document), status, headers, JSON)


def _unix(instant: datetime) -> int:
    return int(instant.timestamp())
