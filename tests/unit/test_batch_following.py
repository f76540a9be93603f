"""How `smartsip batch` follows a batch through trouble, and writes its reports: against a scripted server."""

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compose.batch_follow import follow
from compose.batch_report import download
from compose.batch_states import BatchState, batch_state
from compose.batch_watch import watch_batch
from compose.errors import CannotStart
from compose.server import Refused, Server
from tests.scripted_provider import Exchange, Reply, ScriptedProvider, answer
from tests.unit.batches import BATCH_ID, a_batch


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def server(provider: ScriptedProvider) -> Server:
    return Server(provider.url, "secret")


def event(name: str, **changes: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(a_batch(BATCH_ID, 12, **changes))}\n\n".encode()


def stream(*pieces: bytes) -> Reply:
    return Reply((b"retry: 2000\n\n", *pieces), media_type="text/event-stream")


def followed(server: Server, breaks: list[None], *, patience_s: float = 2) -> list[BatchState]:
    def on_break() -> None:
        breaks.append(None)
        assert len(breaks) < 10, "it is told again and again"

    return list(follow(server, BATCH_ID, on_break=on_break, patience_s=patience_s, pause_s=0.01))


def test_a_watcher_comes_back_after_every_break_and_says_so_once(provider: ScriptedProvider, server: Server) -> None:
    busy = answer({"title": "Unavailable"}, status=503)
    begun = stream(event("progress"))
    provider.play(
        begun.reset_after(len(begun.body)),
        busy,
        busy,
        stream(b": heartbeat\n\n", event("progress", photos=3)),
        stream(event("ended", state="completed")),
    )
    breaks: list[None] = []
    states = followed(server, breaks)
    assert states == [
        batch_state(a_batch(BATCH_ID, 12)),
        batch_state(a_batch(BATCH_ID, 12, photos=3)),
        batch_state(a_batch(BATCH_ID, 12, state="completed")),
    ]
    assert len(breaks) == 2


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """Ctrl-C as a command meets it: whoever runs the tests may have it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_interrupts")
def test_an_interrupt_stops_watching_and_leaves_the_batch_alone(
    provider: ScriptedProvider, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    def reply(exchange: Exchange) -> Reply:
        if len(provider.exchanges) > 1:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            return replace(stream(), ending="stall")
        return stream(event("progress"))

    provider.play_with(reply)
    assert watch_batch(server, BATCH_ID, 12) == 130
    said = capsys.readouterr()
    assert said.out == "Batch #12 running: 0 of 2 (0 %), 0 running\n"
    assert said.err.endswith("\nStopped watching. Batch #12 goes on: smartsip batch watch 12\n")
    assert {exchange.method for exchange in provider.exchanges} == {"GET"}


def test_a_watcher_ends_when_the_batch_is_gone_or_the_server_stays_away(
    provider: ScriptedProvider, server: Server
) -> None:
    gone = answer({"title": "Not found", "detail": "There is no batch with this id."}, status=404)
    provider.play(stream(event("progress")), gone)
    with pytest.raises(Refused, match=r"^The server refused \(404\): There is no batch with this id\.$"):
        followed(server, [])
    provider.play(stream(event("progress")), answer({"title": "Unavailable"}, status=503))
    with pytest.raises(CannotStart, match="has been away for 0 s"):
        followed(server, [], patience_s=0)
    with pytest.raises(CannotStart, match=r"No server answers at http://127\.0\.0\.1:9 "):
        followed(Server("http://127.0.0.1:9", "secret"), [])


def test_a_report_is_written_whole_or_not_at_all(provider: ScriptedProvider, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    rows = Reply((b"photo,variant\n", b"1,2\n"), media_type="text/csv")
    provider.play(rows.cut_after(14), rows)
    with pytest.raises(
        CannotStart, match=r"^The report broke off \(RemoteProtocolError\): .*rows\.csv was not written"
    ):
        download(server, "/v2/batches/1/report", {"format": "csv"}, file, force=False)
    assert list(tmp_path.iterdir()) == []
    assert download(server, "/v2/batches/1/report", {"format": "csv"}, file, force=False) == 18
    assert file.read_bytes() == rows.body
    with pytest.raises(CannotStart, match="exists: name another file, or replace it with --force"):
        download(server, "/v2/batches/1/report", {"format": "csv"}, file, force=False)
    assert download(server, "/v2/batches/1/report", {"format": "csv"}, file, force=True) == 18
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(CannotStart, match=r"^.*missing/rows\.csv cannot be written \(No such file or directory\)"):
        download(server, "/v2/batches/1/report", {}, tmp_path / "missing" / "rows.csv", force=False)
