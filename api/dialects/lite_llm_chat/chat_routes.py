"""`POST /chat`: one turn of a session, streamed unless the caller wants it whole."""

from fastapi import APIRouter, Request, Response

from api.dependencies import FrontDep
from api.dialects.lite_llm_chat.asking import CallerDep, LiteRoute, body_of
from api.dialects.lite_llm_chat.chat import answer_chat
from api.dialects.lite_llm_chat.parse import parse_chat
from api.dialects.lite_llm_chat.wire import ChatAnswer, ChatRequest
from api.streaming import EVENT_STREAM

router = APIRouter(tags=["lite-llm-chat"], route_class=LiteRoute)


@router.post(
    "/chat",
    summary="Say something, and have it answered",
    response_class=Response,
    responses={
        200: {
            "model": ChatAnswer,
            "description": "The answer: its events, or all of it with `stream: false`",
            "content": {EVENT_STREAM: {"example": 'data: {"session_id": 1}\\n\\ndata: {"content": "Hello"}\\n\\n'}},
        }
    },
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": ChatRequest.model_json_schema()}}}
    },
)
async def chat(request: Request, front: FrontDep, caller: CallerDep) -> Response:
    """Say something in a session, or in a new one, and send the answer as it comes.

    Events: `session_id` first, then `reasoning`, `search_results` and `content`, then `done`, or `error`. A client that
    leaves stops its answer.
    """
    return await answer_chat(front, request, caller, parse_chat(await body_of(request, front)))
