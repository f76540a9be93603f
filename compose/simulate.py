"""`smartsip device simulate`: fielded firmwares, byte for byte, against a running server."""

import asyncio
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from compose.server import LOCAL, Data, Server, TokenFile, Url, find_server

if TYPE_CHECKING:
    from compose.simulate_photos import Camera
    from compose.simulation import Pace

EVERY_S: Final = 5.0
INTERRUPTED: Final = 130  # what shells expect of a command ended by Ctrl-C


def simulate(
    *,
    count: Annotated[int, typer.Option(help="How many devices.", min=1, max=1000)] = 5,
    every: Annotated[
        float | None, typer.Option(help="Seconds between two touches of a device (default 5).", min=0.01)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Touches a second of each device, instead of --every.", min=0.0001, max=100)
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="What they photograph (default: drawn cups).", metavar="FOLDER")
    ] = None,
    touches: Annotated[int | None, typer.Option(help="Stop after so many touches of each device.", min=1)] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0.1)] = None,
    llm_type: Annotated[str, typer.Option(help="As compiled into the firmware: openai or ollama.")] = "openai",
    model: Annotated[str, typer.Option(help="As compiled into the firmware.")] = "gpt-4o",
    keep: Annotated[bool, typer.Option("--keep", help="Do not revoke the devices in the end.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON per touch, for scripts.")] = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Play dispensers in the field: each stores a photo, asks, and shows what it would have poured.

    Registers devices of its own and revokes them in the end. Without --touches or --seconds it goes on until Ctrl-C.
    Exit code 0 if every touch got exactly one safe command, 1 if not, 130 after Ctrl-C.

    Example: smartsip device simulate --count 20 --every 10 --photos ~/cups --touches 3
    """
    if every is not None and rate is not None:
        raise typer.BadParameter("give either --every or --rate", param_hint="--rate")
    server = find_server(url, token_file, data)

    from compose.simulate_photos import camera
    from compose.simulation import Pace

    pace = Pace(1 / rate if rate is not None else every or EVERY_S, touches, seconds)
    try:
        code = asyncio.run(
            _simulate(server, count, pace, camera(photos), llm_type=llm_type, model=model, keep=keep, is_json=json)
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = INTERRUPTED
    raise typer.Exit(code)


async def _simulate(
    server: Server, count: int, pace: "Pace", camera: "Camera", *, llm_type: str, model: str, keep: bool, is_json: bool
) -> int:
    from compose.simulate_devices import registered
    from compose.simulate_view import new_view
    from compose.simulation import Tally, Touch, play

    _stop_on_signals()
    tally = Tally()
    async with registered(server, count, llm_type=llm_type, model=model, keep=keep) as dispensers:
        view = new_view([dispenser.name for dispenser in dispensers], is_json=is_json)

        def on_touch(touch: Touch) -> None:
            tally.count(touch)
            view.touch(touch)

        try:
            await play(dispensers, pace, shoot=camera.shoot, on_touch=on_touch)
        finally:
            view.close(tally)
    return 1 if tally.problems else 0


def _stop_on_signals() -> None:
    """Have Ctrl-C, a `kill` and a closed terminal end the simulation the same way: with its devices revoked."""
    task = asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        return
    for stop_signal in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(stop_signal, task.cancel)
