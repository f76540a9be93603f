"""Providers, models and uploads; and what is none of this dialect's paths."""

from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from api.dependencies import FrontDep
from api.dialects.lite_llm_chat.asking import CallerDep, LiteRoute
from api.dialects.lite_llm_chat.parse import Fault, Refused
from api.dialects.lite_llm_chat.wire import Model, Provider, Upload
from api.media_body import DOCUMENTED, receive_file
from api.served import open_upload
from api.services.uploads import upload_any
from shared.domain.media import upload_id_of, upload_path

EVERY_METHOD: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
FORM: Final = "multipart/form-data"

router = APIRouter(tags=["lite-llm-chat"], route_class=LiteRoute)
uploads_router = APIRouter(tags=["lite-llm-chat"], route_class=LiteRoute)


@router.get("/providers", summary="Configured providers")
async def list_providers(front: FrontDep, caller: CallerDep) -> list[Provider]:
    """Return the providers that can be asked, by id."""
    return [
        Provider(id=provider.id, name=provider.name, description=provider.description, supported=True)
        for provider in front.models.providers()
    ]


@router.get("/models", summary="Models of all providers, or of one")
async def list_models(front: FrontDep, caller: CallerDep, provider: str | None = None) -> list[Model]:
    """Return the models that can be asked; none for a provider that is not configured."""
    return [
        Model(
            id=model.id,
            name=model.name,
            provider=model.provider,
            context_length=model.context_length,
            description=model.name,
        )
        for model in await front.models.all(provider or None)
    ]


@router.post("/upload", summary="Upload an image, a video or an audio file", openapi_extra=DOCUMENTED)
async def upload(request: Request, front: FrontDep, caller: CallerDep) -> Upload:
    """Store the form's field `file`, and return where it is from now on. Its content says what it is, not its name."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refused([Fault(type="missing", loc=["body", "file"], msg="Field required")])
    async with receive_file(request, limit=front.settings.limits.media_bytes) as received:
        uploaded = await upload_any(front, caller.owner_id, received)
    return Upload(url=upload_path(uploaded.id, uploaded.extension))


@uploads_router.get("/{name:path}", summary="A file that was uploaded or made", response_class=Response)
async def get_upload(name: str, request: Request, front: FrontDep, caller: CallerDep) -> Response:
    """Return one of the caller's files; a file that no worker has looked at yet is waited for, 10 s at most."""
    upload_id = upload_id_of(f"/uploads/{name}")
    if upload_id is None:
        raise HTTPException(404)
    return await open_upload(request, front, caller.owner_id, upload_id)


def refusing_all_but(*routers: APIRouter) -> APIRouter:
    """Return a route for every path that none of these has; FastAPI's own answers, in this dialect's shape."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]

    def methods_of(path: str) -> set[str]:
        return {method for route in routes if route.path_regex.match(path) for method in route.methods or ()}

    async def refuse(rest: str, request: Request) -> Response:
        allowed = methods_of(f"/{rest}")
        if allowed:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
        if request.method in methods_of(f"/{rest.removesuffix('/')}"):
            # Relative, because what stands before the prefix (a token, a proxy's path) is not known here.
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"../{rest.removesuffix('/').rpartition('/')[2]}{query}", 307)
        raise HTTPException(404)

    refusing = APIRouter()
    refusing.add_api_route("/{rest:path}", refuse, methods=list(EVERY_METHOD), include_in_schema=False)
    return refusing
