"""One api process: `python -m compose.api_main --fd N`, on a socket that was bound by whoever started it."""

import argparse
import gc
import socket
from collections.abc import Sequence
from typing import Final

import uvicorn

from api.app import create_app
from compose.gate import wait_at_gate
from compose.listener import BACKLOG
from shared.observability import set_up_logging
from shared.settings import Settings, load_settings

CLOSE_STREAMS_S: Final = 5
"""How long open streams may take to end when the process is told to stop; their readers resume elsewhere."""
KEEP_ALIVE_S: Final = 75
"""Longer than common proxies keep an idle connection, so that it is never we who close one being used."""
GC_THRESHOLDS: Final = (50_000, 50, 100)
"""After start there is little garbage in cycles, and walking live objects is what makes slow requests slow."""


class Server(uvicorn.Server):
    """Uvicorn, with everything that start-up made taken out of the garbage collector's sight."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then freeze."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until told to stop by a signal."""
    set_up_logging(log_format=settings.log_format, log_level=settings.log_level)
    config = uvicorn.Config(
        create_app(settings),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=settings.limits.body_bytes,
        ws_ping_interval=settings.clocks.heartbeat.total_seconds(),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who may come without a credential is decided by the true peer
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CLOSE_STREAMS_S,
        backlog=BACKLOG,
    )
    Server(config).run(sockets=[listener])


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve on an inherited socket."""
    parser = argparse.ArgumentParser(prog="python -m compose.api_main")
    parser.add_argument("--fd", type=int, required=True, help="the listening socket's file descriptor")
    parser.add_argument("--gate", type=int, help="file descriptor that closes when the database is ready")
    options = parser.parse_args(arguments)
    descriptor: int = options.fd
    gate: int | None = options.gate
    settings = load_settings()
    wait_at_gate(gate)
    serve(settings, socket.socket(fileno=descriptor))


if __name__ == "__main__":
    main()
