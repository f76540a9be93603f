"""The decoder's subprocesses as the worker sees them: started when needed, spoken to over a socket pair, replaced."""

import asyncio
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from shared.domain.errors import Unavailable
from workers.services.pictures.decoder_wire import MAX_REPLY_BYTES, REPLY, REQUEST, Format, Reply, Task, Verdict

_CHECKOUT: Final = Path(__file__).parents[2]
_START_S: Final = 20.0
"""For a new interpreter to load Pillow on a machine that is busy with something else."""


class Place:
    """A place in the pool: holds one subprocess, started when it is first needed and after each that was retired."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self._arguments = arguments
        self._starting: asyncio.Task[DecoderProcess] | None = None
        self._is_closed = False
        self.current: DecoderProcess | None = None

    async def process(self) -> "DecoderProcess":
        """Return the subprocess. A caller that is cancelled meanwhile leaves the start going on for the next one."""
        if self._is_closed:
            raise Unavailable("The worker is shutting down.")
        if self.current is None:
            if self._starting is None or _failed(self._starting):
                self._starting = asyncio.create_task(DecoderProcess.start(self._arguments))
            process = await asyncio.shield(self._starting)
            if self._is_closed:
                raise Unavailable("The worker is shutting down.")
            self.current = process
        return self.current

    async def retire(self) -> None:
        """End the subprocess, if there is one."""
        process, self.current = self.current, None
        if process is not None:
            self._starting = None
            await asyncio.shield(asyncio.create_task(process.end()))

    async def close(self) -> None:
        """End the subprocess for good, also one that is just starting."""
        self._is_closed = True
        if self._starting is not None:
            with suppress(Unavailable):
                self.current = await self._starting
        await self.retire()


def _failed(task: "asyncio.Task[DecoderProcess]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


class DecoderProcess:
    """One subprocess and our end of its socket pair.

    Started with `subprocess` in a thread rather than by the event loop, whose child watchers want the main thread.
    """

    def __init__(
        self, child: "subprocess.Popen[bytes]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._child = child
        self._reader = reader
        self._writer = writer
        self.pid = child.pid
        self.decoded = 0

    @classmethod
    async def start(cls, arguments: tuple[str, ...]) -> Self:
        """Start one and wait until it can take an image.

        Raises:
            Unavailable: if it does not come up.
        """
        ours, theirs = socket.socketpair()
        try:
            child = await asyncio.to_thread(_popen, theirs, arguments)
        except OSError as error:
            ours.close()
            raise Unavailable("The image decoder could not be started.") from error
        finally:
            theirs.close()
        ours.setblocking(False)
        process = cls(child, *await asyncio.open_connection(sock=ours))
        try:
            async with asyncio.timeout(_START_S):
                await process._reply()
        except (ConnectionError, TimeoutError) as error:
            await process.end()
            raise Unavailable("The image decoder did not start.") from error
        return process

    async def decode(self, task: Task, content: bytes, kind: Format, cpu_s: float) -> Reply:
        """Let it work on one image; a call that was interrupted must be the last. Raises ConnectionError if it dies."""
        self.decoded += 1
        self._writer.write(REQUEST.pack(task, kind, len(content), cpu_s))
        self._writer.write(content)
        await self._writer.drain()
        return await self._reply()

    async def _reply(self) -> Reply:
        """Read one reply; raises ConnectionError if the subprocess is gone or talks nonsense."""
        try:
            verdict, width, height, *sizes = REPLY.unpack(await self._reader.readexactly(REPLY.size))
            if sum(sizes) > MAX_REPLY_BYTES:
                raise ConnectionError("the decoder's reply is too long")
            content, thumbnail = [await self._reader.readexactly(size) for size in sizes]
            return Reply(Verdict(verdict), width, height, content, thumbnail)
        except (asyncio.IncompleteReadError, ValueError) as error:
            raise ConnectionError("the decoder is gone") from error

    async def end(self) -> None:
        """Kill it and wait until it is gone."""
        self._child.kill()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        await asyncio.to_thread(self._child.wait)


def _popen(channel: socket.socket, arguments: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    # An empty environment keeps secrets out of a process that hostile bytes run through.
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module, numbers as arguments
        [sys.executable, "-E", "-s", "-m", "workers.services.pictures.decoder_process", *arguments],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        cwd=_CHECKOUT,
        env={},
    )
