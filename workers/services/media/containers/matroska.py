"""Matroska and WebM (RFC 9559): a head, then one segment of tables and clusters of frames.

Recorders in browsers cannot go back to write sizes: a segment or cluster without one ends where the next must begin.
So the segment's elements and the clusters' are walked as one sequence.
"""

from typing import Final

from shared.domain import ebml
from shared.domain.ebml import Content
from workers.services.media.containers.broken import CUT_OFF, MAX_STEPS, TOO_MANY_PARTS, Broken

_OF_A_SEGMENT: Final = frozenset(
    {0x114D9B74, 0x1549A966, ebml.TRACKS, ebml.CLUSTER, 0x1C53BB6B, 0x1043A770, 0x1254C367, 0x1941A469}
)
"""SeekHead, Info, Tracks, Cluster, Cues, Chapters, Tags, Attachments."""
_OF_A_CLUSTER: Final = frozenset({0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0xAF, 0x5854})
"""Timestamp, SimpleBlock, BlockGroup, PrevSize, Position, EncryptedBlock, SilentTracks."""
_ANYWHERE: Final = frozenset({0xEC, 0xBF})
"""Void, CRC-32."""


def check_matroska(content: Content) -> None:
    """Raises `Broken` unless each element ends within the file, and tracks and frames are among them."""
    head = ebml.element_at(content, 0)
    if head is None or head.id != ebml.EBML or head.size is None:
        raise Broken("its head is missing")
    segment = ebml.element_at(content, head.begins + head.size)
    if segment is None or segment.id != ebml.SEGMENT:
        raise Broken("its head is not followed by a segment")
    end = len(content)
    if segment.size is not None and segment.begins + segment.size > end:
        raise Broken(CUT_OFF)
    seen = _walk(content, segment.begins, end)
    if not seen >= {ebml.TRACKS, ebml.CLUSTER}:
        raise Broken("it has no tracks or no frames")


def _walk(content: Content, position: int, end: int) -> set[int]:
    """Return the ids of what is there; a cluster without a size is walked through, one with a size passed over."""
    seen: set[int] = set()
    is_in_cluster = False
    for _ in range(MAX_STEPS):
        if position == end:
            return seen
        element = ebml.element_at(content, position)
        if element is None:
            raise Broken(CUT_OFF)
        if element.id in _OF_A_SEGMENT:
            is_in_cluster = element.id == ebml.CLUSTER and element.size is None
        elif element.id not in _ANYWHERE and not (is_in_cluster and element.id in _OF_A_CLUSTER):
            raise Broken("something unknown is where an element must be")
        seen.add(element.id)
        if element.size is None and not is_in_cluster:
            raise Broken("an element has no size")
        position = element.begins + (element.size or 0)
        if position > end:
            raise Broken("an element reaches beyond the end")
    raise Broken(TOO_MANY_PARTS)
