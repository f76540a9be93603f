"""A batch's report: what was found as JSON or as a page, and every row as CSV or JSONL."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.front import Front
from api.reports.page import POLICY, Report, pictured, render_page
from api.reports.rows import csv_header, csv_rows, jsonl_rows
from api.reports.streamed import Streamed
from api.routes.answers import CLIENT_CLOSED_REQUEST, PROBLEM, REFUSED, Documented
from api.scopes import Scope
from api.services.batches.report import compared, heads_of
from api.services.batches.report_head import Asked, Head
from api.services.batches.report_photos import label_names, photo_pages
from api.services.batches.report_thumbnails import thumbnails_of
from api.services.watch import ClientLeft, unless_client_leaves

router = APIRouter(prefix="/v2/batches", tags=["batches"])
JobCaller = Annotated[Caller, Depends(require(Scope.JOBS))]
Form: TypeAlias = Literal["json", "html", "csv", "jsonl"]

_MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8; header=present",
    "jsonl": "application/jsonl",
}
_PLAIN: Final = re.compile(r"[^a-z0-9]+")
_text: Final = {"schema": {"type": "string"}}
_DOCUMENTED: Final[Documented] = REFUSED | {
    200: {
        "content": {
            "application/json": {"schema": {"type": "object"}},
            **{kind.partition(";")[0]: _text for kind in _MEDIA_TYPES.values()},
        }
    },
    404: PROBLEM | {"description": "No such batch, or another owner's; or no such earlier one"},
}


class ReportQuery(BaseModel):
    """Which report."""

    model_config = ConfigDict(extra="forbid")

    format: Annotated[Form | None, Field(description="json, unless the caller prefers text/html.")] = None
    against: Annotated[UUID | None, Field(description="An earlier batch: what changed since.")] = None


@router.get(
    "/{batch_id}/report",
    responses=_DOCUMENTED,
    response_class=Response,
    summary="What a batch shows: findings, a page to read and mail, or all rows",
)
async def get_report(
    batch_id: UUID, query: Annotated[ReportQuery, Query()], request: Request, front: FrontDep, caller: JobCaller
) -> Response:
    """Return how the variants compare, with confidence intervals, for what has ended so far.

    `html` is one page that needs nothing else. `csv` and `jsonl` are streamed, one row per photo and variant;
    `against` changes nothing in them.
    """
    form = query.format or _preferred(request)
    head, earlier = await heads_of(front, caller.owner_id, batch_id, against=query.against)
    if form in ("csv", "jsonl"):
        return await _rows(front, head, form)
    try:
        return await unless_client_leaves(request, _report(front, head, earlier, form))
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _report(front: Front, head: Head, earlier: Head | None, form: Form) -> Response:
    findings = await compared(front, head, earlier)
    if form == "json":
        document = {"batch": _shown(head), "against": earlier and _shown(earlier), "findings": findings}
        body = await asyncio.to_thread(msgspec.json.encode, document)
        return Response(body, media_type="application/json", headers={"Vary": "Accept"})
    report = Report(
        head=head,
        earlier=earlier,
        findings=findings,
        thumbnails=await thumbnails_of(front, head.owner_id, pictured(findings)),
        made_at=datetime.now(UTC),
    )
    headers = _headers(head, "html") | {"Content-Security-Policy": f"{POLICY}; sandbox", "Vary": "Accept"}
    return Response(await asyncio.to_thread(render_page, report), media_type=_MEDIA_TYPES["html"], headers=headers)


async def _rows(front: Front, head: Head, form: Literal["csv", "jsonl"]) -> Response:
    pieces = _jsonl(front, head) if form == "jsonl" else _csv(front, head, await label_names(front, head))
    return Streamed(
        pieces,
        media_type=_MEDIA_TYPES[form],
        headers=_headers(head, form),
        send_timeout=front.settings.clocks.send,
    )


async def _csv(front: Front, head: Head, labels: list[str]) -> AsyncGenerator[bytes]:
    yield csv_header(labels)
    async with aclosing(photo_pages(front, head)) as pages:
        async for page in pages:
            yield await asyncio.to_thread(csv_rows, page, head.asked, labels)


async def _jsonl(front: Front, head: Head) -> AsyncGenerator[bytes]:
    async with aclosing(photo_pages(front, head)) as pages:
        async for page in pages:
            yield await asyncio.to_thread(jsonl_rows, page, head.asked)


def _preferred(request: Request) -> Form:
    """Return `html` where the caller says that it takes HTML and does not name JSON before it, as browsers do."""
    accepted = request.headers.get("accept", "")
    html, json = accepted.find("text/html"), accepted.find("application/json")
    return "html" if html >= 0 and (json < 0 or html < json) else "json"


def _headers(head: Head, form: Form) -> dict[str, str]:
    kind = "inline" if form == "html" else "attachment"
    return {
        "Content-Disposition": f'{kind}; filename="{_file_name(head)}.{form}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def _file_name(head: Head) -> str:
    words = _PLAIN.sub("-", head.name.lower()).strip("-")[:60]
    return "-".join(["batch", str(head.number), *([words] if words else [])])


def _shown(head: Head) -> dict[str, Any]:  # JSON
    return {
        "id": head.id,
        "number": head.number,
        "name": head.name,
        "note": head.note,
        "state": head.state,
        "photos": head.photos,
        "created_at": head.created_at,
        "ended_at": head.ended_at,
        "selection": head.selection,
        "variants": [_shown_variant(asked) for asked in head.asked],
    }


def _shown_variant(asked: Asked) -> dict[str, Any]:  # JSON
    variant = asked.variant
    return {
        "number": variant.number,
        "name": variant.name,
        "model": variant.model,
        "prompt": variant.prompt,
        "prompt_text": asked.prompt_text,
        "profile": variant.profile.name,
        "parameters": asked.parameters,
    }
