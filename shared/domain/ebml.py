"""The elements of Matroska and WebM files (RFC 8794): an id, a size, then so many bytes."""

from collections.abc import Iterator
from mmap import mmap
from typing import Final, NamedTuple, TypeAlias

Content: TypeAlias = bytes | mmap

EBML: Final = 0x1A45DFA3
DOC_TYPE: Final = 0x4282
SEGMENT: Final = 0x18538067
TRACKS: Final = 0x1654AE6B
TRACK_ENTRY: Final = 0xAE
TRACK_TYPE: Final = 0x83
CLUSTER: Final = 0x1F43B675
MAX_ID_BYTES: Final = 4
MAX_SIZE_BYTES: Final = 8


class Element(NamedTuple):
    """An element whose content begins at `begins`; without a size it goes on until something else must begin."""

    id: int
    begins: int
    size: int | None


def element_at(content: Content, position: int) -> Element | None:
    """Return the element whose head stands at `position`; None if no whole head does."""
    id_bytes = _length_at(content, position, at_most=MAX_ID_BYTES)
    if id_bytes is None:
        return None
    after_id = position + id_bytes
    size_bytes = _length_at(content, after_id, at_most=MAX_SIZE_BYTES)
    if size_bytes is None:
        return None
    begins = after_id + size_bytes
    largest = (1 << 7 * size_bytes) - 1
    size = int.from_bytes(content[after_id:begins]) & largest
    # All bits set is the one size that means none (RFC 8794 section 6.2).
    return Element(int.from_bytes(content[position:after_id]), begins, None if size == largest else size)


def elements(content: Content, position: int, end: int) -> Iterator[Element]:
    """Walk elements up to `end`, or as far as they have whole heads and sizes; the last may reach beyond."""
    while position < end and (element := element_at(content, position)) is not None:
        yield element
        if element.size is None:
            return
        position = element.begins + element.size


def _length_at(content: Content, position: int, *, at_most: int) -> int | None:
    """Return how long the number at `position` is: as many bytes as its first set bit says."""
    if position >= len(content):
        return None
    length = 9 - content[position].bit_length()
    return length if length <= at_most and position + length <= len(content) else None
