"""Celery's messages as kombu's Redis transport would put them into a queue, made without any connection."""

import base64
import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from celery import Celery
from kombu.serialization import dumps

from shared.domain.jobs import Queue

PERSISTENT: Final = 2  # AMQP's delivery mode


def message_for(celery_app: Celery, task: str, args: Sequence[object], *, expires_s: float | None = None) -> Any:
    """Return Celery's own message (a `task_message`, which has no stub); a worker drops it once it has expired."""
    amqp: Any = celery_app.amqp  # its as_task_v2 has no stub either
    return amqp.as_task_v2(str(uuid.uuid4()), task, args=list(args), ignore_result=True, expires=expires_s)


def envelope_for(message: Any, queue: Queue) -> bytes:  # Any: see message_for
    """Wrap Celery's message as kombu's virtual transports do (`kombu.transport.virtual.Channel`, kombu 5.7)."""
    content_type, content_encoding, body = dumps(message.body, serializer="json")
    return msgspec.json.encode(
        {
            "body": base64.b64encode(body.encode() if isinstance(body, str) else body).decode(),
            "content-encoding": content_encoding,
            "content-type": content_type,
            "headers": message.headers,
            "properties": {
                **message.properties,
                "delivery_mode": PERSISTENT,
                "delivery_info": {"exchange": "", "routing_key": queue.value},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )
