"""Starting the peers as children that end with the tests, on loopback, with nothing in their environment."""

import json
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from compose.processes import Program, free_port, spawn, stop, wait_until
from tests.peers.install import AIMOCK, LLAMA, NODE, Peer

Json = dict[str, Any]  # any JSON object
_directly = build_opener(ProxyHandler({})).open


@contextmanager
def llama_server(folder: Path, model: Path, *, eyes: Path | None = None, key: str = "") -> Generator[str]:
    """A llama.cpp server with one model; gives its URL."""
    _needed(LLAMA)
    port = free_port()
    options = [*(["--eyes", eyes] if eyes else []), *(["--key", key] if key else [])]
    program = Path(__file__).with_name("llama_process.py")
    argv = [sys.executable, program, str(port), model, *options]
    with _running("llama", argv, folder=folder, port=port, environment={"PYTHONPATH": str(LLAMA.folder)}) as url:
        yield url


@contextmanager
def aimock(folder: Path, answers: Sequence[Json]) -> Generator[str]:
    """A server of the protocols of OpenAI, Ollama and Gemini that knows these answers, and refuses all else (503)."""
    _needed(AIMOCK)
    port = free_port()
    fixtures = folder / "answers.json"
    fixtures.write_text(json.dumps({"fixtures": answers}), encoding="utf-8")
    program = AIMOCK.folder / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
    argv = [NODE, program, "-h", "127.0.0.1", "-p", str(port), "-f", fixtures, "--strict", "--validate-on-load"]
    with _running("aimock", argv, folder=folder, port=port) as url:
        yield url


def fetch(url: str, *, method: str = "GET", key: str = "") -> Any:  # any JSON
    """Ask a peer itself for something, and not through a provider."""
    request = Request(url, method=method, headers={"Authorization": f"Bearer {key}"} if key else {})
    with _directly(request, timeout=5) as response:
        return json.loads(response.read() or b"null")


@contextmanager
def _running(
    name: str, argv: Sequence[str | Path], *, folder: Path, port: int, environment: Mapping[str, str] | None = None
) -> Generator[str]:
    log = folder / f"{name}.log"
    child = spawn(Program(name=name, argv=argv, environment={"PATH": os.defpath, **(environment or {})}, log=log))
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _is_up(url), child)
        yield url
    finally:
        stop([child], within_s=5)


def _is_up(url: str) -> bool:
    try:
        fetch(f"{url}/health")
    except (OSError, HTTPException, ValueError):
        return False
    return True


def _needed(peer: Peer) -> None:
    if not peer.is_installed:
        pytest.skip(
            f"not run: {peer.name} is not installed here; `./smartsip run python -m tests.peers.install` does it"
        )
