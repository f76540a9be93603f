"""Logging: one line per event, JSON for machines and colours for a terminal, with request and job ids, no secrets.

Ids are bound with `structlog.contextvars.bound_contextvars(request_id=…, job_id=…)`, which follows asyncio tasks.
"""

import logging
import sys
from typing import Final, Literal, TextIO, TypeAlias

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.redaction import redact

LogFormat: TypeAlias = Literal["auto", "json", "console"]
QUIET: Final = {
    "uvicorn.access": logging.CRITICAL,  # our own middleware logs requests, without tokens in paths
    "uvicorn": logging.WARNING,
    "celery": logging.WARNING,
    "kombu": logging.WARNING,
    "alembic": logging.WARNING,
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
    "openai": logging.WARNING,
    "urllib3": logging.WARNING,
    "asyncio": logging.WARNING,
}
"""Libraries that say more than an operator wants to read."""
REFUSED_HANDSHAKE: Final = "ASGI callable returned without completing handshake."
"""Uvicorn's error for each WebSocket that was refused on purpose; our own line of the request says so."""


def set_up_logging(*, log_format: LogFormat = "auto", log_level: str = "info", stream: TextIO | None = None) -> None:
    """Send every log line of this process, ours and the libraries', to one place; may be called again."""
    output = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_event,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # set up once more in tests and in children
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderer(log_format, output),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(log_level.upper())
    for name, level in QUIET.items():
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(max(level, root.level))
    uvicorn_errors = logging.getLogger("uvicorn.error")
    uvicorn_errors.filters = [lambda record: record.msg != REFUSED_HANDSHAKE]


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take secrets out of a log line: a structlog processor."""
    return redact(event)


def _renderer(log_format: LogFormat, output: TextIO) -> list[Processor]:
    is_terminal = output.isatty()
    if log_format == "console" or (log_format == "auto" and is_terminal):
        return [structlog.dev.ConsoleRenderer(colors=is_terminal)]
    return [structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
