"""The LLM Service API's HTTP paths, each also with a slash at its end, which the old system redirected."""

from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from api.answers import CLIENT_CLOSED_REQUEST, whole_answer
from api.client_address import address_of
from api.dependencies import FrontDep
from api.dialects.llm_service_api.asking import CallerDep, ServiceRoute, body_of, form_of, is_spoken
from api.dialects.llm_service_api.parse import parse_chat, parse_login, parse_session
from api.dialects.llm_service_api.sessions import make_session, new_session_id, session_for, turn_in
from api.dialects.llm_service_api.special_tokens import without_special_tokens
from api.dialects.llm_service_api.wire import (
    ChatAnswer,
    ChatRequest,
    Login,
    SessionMade,
    SessionWanted,
    SimulatedAnswer,
    Token,
)
from api.services.watch import ClientLeft
from shared.domain.errors import Unauthenticated

INCORRECT: Final = "Incorrect username or password"
EVERY_METHOD: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
METHODS: Final = {"/token": "POST", "/set-llm": "POST", "/chat": "POST", "/health2": "GET"}
SIMULATED: Final = (
    "This is a simulated response to: 'health'. In a real implementation, this would be the actual output from your "
    "LLM model. The response would be generated in chunks and streamed back to the client as they become available."
)
CHUNK_CHARS: Final = 10

router = APIRouter(tags=["llm-service-api"], route_class=ServiceRoute)


def _takes(model: type[BaseModel], *, media_type: str = "application/json") -> dict[str, Any]:  # an OpenAPI fragment
    return {"requestBody": {"required": True, "content": {media_type: {"schema": model.model_json_schema()}}}}


@router.post(
    "/token",
    dependencies=[Depends(is_spoken)],
    openapi_extra=_takes(Login, media_type="application/x-www-form-urlencoded"),
    summary="Log in",
)
@router.post("/token/", dependencies=[Depends(is_spoken)], include_in_schema=False)
async def log_in(request: Request, response: Response, front: FrontDep) -> Token:
    """Return a token for a user of this server, good wherever a credential is wanted."""
    login = parse_login(await form_of(request))
    address = address_of(request, proxies=front.settings.trusted_proxies)
    try:
        account = await front.accounts.login(login.username, login.password.get_secret_value(), address=address)
    except Unauthenticated as error:
        raise Unauthenticated(INCORRECT) from error
    response.headers["Cache-Control"] = "no-store"
    token = front.accounts.token_for(account, lifetime=front.settings.dialects.access_token)
    return Token(access_token=token.token)


@router.post("/set-llm", openapi_extra=_takes(SessionWanted), summary="Begin a session with a model")
@router.post("/set-llm/", include_in_schema=False)
async def set_llm(request: Request, front: FrontDep, caller: CallerDep) -> SessionMade:
    """Make a session whose messages this model answers, in this way."""
    asked = parse_session(await body_of(request, front))
    return SessionMade(session_id=await make_session(front, caller, asked))


@router.post(
    "/chat",
    response_model=ChatAnswer,
    openapi_extra=_takes(ChatRequest),
    summary="Say something in a session, and have it answered",
)
@router.post("/chat/", response_model=ChatAnswer, include_in_schema=False)
async def chat(request: Request, front: FrontDep, caller: CallerDep) -> ChatAnswer | Response:
    """Answer a message. What was said in the session before goes along, as far as it fits; so does this, next time."""
    asked = parse_chat(await body_of(request, front))
    session_id = asked.session_id or new_session_id()
    try:
        async with session_for(front, caller, session_id, asked.message) as session:
            new = await turn_in(front, caller, session, asked.message)
            _, reply = await whole_answer(front, request, new)
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return ChatAnswer(response=without_special_tokens(reply.text), session_id=session_id)


@router.get("/health2", dependencies=[Depends(is_spoken)], summary="An answer that no model gave")
@router.get("/health2/", dependencies=[Depends(is_spoken)], include_in_schema=False)
async def simulate() -> SimulatedAnswer:
    """Return the old system's simulated answer, in pieces with blanks between them; no model is asked."""
    chunks = (SIMULATED[start : start + CHUNK_CHARS] for start in range(0, len(SIMULATED), CHUNK_CHARS))
    return SimulatedAnswer(response=" ".join(chunks))


async def _refuse_method(request: Request) -> Response:
    raise HTTPException(405, headers={"Allow": METHODS[request.url.path.removesuffix("/")]})


async def _refuse_path() -> Response:
    raise HTTPException(404)


def _refusing() -> APIRouter:
    """Return routes for everything else at these paths: FastAPI's own answers, in this dialect's shape."""
    refusing = APIRouter()
    for path, method in METHODS.items():
        others = [other for other in EVERY_METHOD if other != method]
        for ending in ("", "/"):
            refusing.add_api_route(f"{path}{ending}", _refuse_method, methods=others, include_in_schema=False)
    refusing.add_api_route("/ws/{rest:path}", _refuse_path, methods=list(EVERY_METHOD), include_in_schema=False)
    return refusing


refusing_router: Final = _refusing()
