"""Lets children load their code while the database is still being prepared, and wait for it before they use it."""

import os


class Gate:
    """A pipe whose closing is the signal: children hold the reading end, so the gate also opens when we die."""

    def __init__(self) -> None:
        self.fd, self._writing_end = os.pipe()

    def open(self) -> None:
        """Let those who wait, and all who come later, pass."""
        if self._writing_end >= 0:
            os.close(self._writing_end)
            self._writing_end = -1


def wait_at_gate(fd: int | None) -> None:
    """Block until the gate with this file descriptor opens; at once where there is none."""
    if fd is not None:
        os.read(fd, 1)
        os.close(fd)
