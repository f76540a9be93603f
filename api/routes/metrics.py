"""Metrics for Prometheus, behind a credential: they tell who uses what, and how much."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.metrics import render
from api.scopes import Scope
from api.services.queue_state import QueueState

router = APIRouter(tags=["operation"])


@router.get("/metrics", summary="Metrics in Prometheus' text format", response_class=Response)
async def get_metrics(
    request: Request, front: FrontDep, caller: Annotated[Caller, Depends(require(Scope.METRICS))]
) -> Response:
    """Return the state of the queues, and what this api process (label `instance`) counted."""
    text = render(subscriptions=front.subscriber.subscriptions, state=await _queue_state(request).metrics(front))
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _queue_state(request: Request) -> QueueState:
    """Return what this app remembers of the queues."""
    kept = request.app.state
    if not hasattr(kept, "queue_state"):
        kept.queue_state = QueueState()
    return kept.queue_state
