"""OpenAI's paths: chat completions, and the models that can be asked. Everything wants a credential."""

import asyncio
from collections.abc import Sequence
from io import BytesIO
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import HTTPConnection
from starlette.routing import Match
from starlette.types import Scope as ConnectionScope

from api.answers import CLIENT_CLOSED_REQUEST, answer_with_stream, whole_answer
from api.auth import Caller, current_caller, require
from api.body import read_body
from api.dependencies import FrontDep
from api.dialects.openai import wire
from api.dialects.openai.frame import ChatFramer, Completion, encode, render
from api.dialects.openai.parse import Asked, Attachment, parse
from api.dialects.openai.wire_answers import Model, ModelPage
from api.errors import refused
from api.front import Front
from api.media_body import ReceivedFile
from api.preferences import idempotency_key
from api.scopes import Scope
from api.services.images import SMALL_BYTES, store_image
from api.services.media import store_media
from api.services.models import KnownModel
from api.services.room import check_room
from api.services.submit import prepare
from api.services.watch import ClientLeft
from shared.database.submissions import NewJob
from shared.domain.commands import StoredImage
from shared.domain.errors import ModelNotFound, NotFound
from shared.domain.jobs import QUEUE_OF, Kind, OnDisconnect
