"""Lite-LLM-Chat: `/api/v1/providers|models|sessions|chat|upload` (the prefix is a setting) and `/uploads/…`.

Its clients send no credential: a token stands in their base URL, as in `http://host:8888/d/<token>`. Intentional
differences from the old system: everything is its owner's; a session is made only with a request that is otherwise
acceptable; nothing comes after `done`, and what it ends is committed by then; an answer that is stopped keeps its
words; no file is read and no address fetched because a message names it; empty answers are errors.
"""

from typing import Final

from fastapi import APIRouter, Depends
from starlette.requests import HTTPConnection

from api.dialect import Dialect, RenderedError
from api.dialects.lite_llm_chat import chat_routes, other_routes, session_routes
from api.dialects.lite_llm_chat.asking import JSON
from api.dialects.lite_llm_chat.frame import render_error
from shared.domain.errors import ErrorInfo


async def _speak(connection: HTTPConnection) -> None:
    connection.scope["dialect"] = LITE_LLM_CHAT


def _render_error(error: ErrorInfo) -> RenderedError:
    status, body = render_error(error)
    return RenderedError(status=status, body=body, media_type=JSON)


def _api(prefix: str) -> APIRouter:
    """Return the routes below the prefix; what is not among them is refused last."""
    routers = (other_routes.router, session_routes.router, chat_routes.router)
    api = APIRouter(prefix=prefix, dependencies=[Depends(_speak)])
    for router in routers:
        api.include_router(router)
    api.include_router(other_routes.refusing_all_but(*routers))
    return api


_uploads = APIRouter(prefix="/uploads", dependencies=[Depends(_speak)])
_uploads.include_router(other_routes.uploads_router)
_uploads.include_router(other_routes.refusing_all_but(other_routes.uploads_router))

LITE_LLM_CHAT: Final = Dialect(name="lite_llm_chat", router=_uploads, api=_api, render_error=_render_error)
