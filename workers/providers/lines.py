"""Lines out of bytes that arrive in any pieces. UTF-8 needs no care: no byte of a longer character is a line's end."""

from typing import Final

from shared.domain.errors import StreamIncomplete

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""An image of an answer fits in base64; what is longer is a fault or an attack on our memory."""


class LineSplitter:
    r"""Cuts at \n, \r\n and \r. A line is complete as soon as its first end byte is here."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._skip_newline = False  # the last line ended with \r, of which a \n may be the second half

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take more bytes, return the lines they complete, without their ends.

        Raises:
            StreamIncomplete: if a line grows beyond the limit.
        """
        if self._skip_newline and chunk:
            self._skip_newline = False
            chunk = chunk.removeprefix(b"\n")
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        lines = chunk.splitlines()  # of bytes: at \n, \r\n and \r only
        lines[0] = self.rest() + lines[0]
        self._skip_newline = chunk.endswith(b"\r")
        if not self._skip_newline and not chunk.endswith(b"\n"):
            self._keep(lines.pop())
        return lines

    @property
    def is_inside(self) -> bool:
        """Whether something of a line has come whose end has not, or may not have."""
        return bool(self._pieces) or self._skip_newline

    def rest(self) -> bytes:
        """Take what has come of the next line."""
        rest = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        return rest

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max:
            raise StreamIncomplete(f"The provider sent a line of more than {self._max} bytes")
        if piece:
            self._pieces.append(piece)
