"""What goes to the model with a chat's turn: the system prompt, the newest turns that fit a budget, and the turn."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.engine import Row

from shared.database.statements.chat_turns import TURNS
from shared.domain.chats import part_of
from shared.domain.commands import Message, Part, TextPart, TurnTask
from shared.domain.errors import ImageRefused, MediaRefused, NotFound, PayloadTooLarge, UnsupportedMediaType
from shared.domain.tokens import IMAGE_TOKENS, MESSAGE_TOKENS, estimated_tokens
from workers.providers.base import PromptMessage, PromptText
from workers.services.attempt import Attempt, Turn
from workers.services.media.fetch_shown import fetch_shown
from workers.services.prompt_messages import prompt_message

MAX_BYTES_PER_TOKEN: Final = 8
"""Above what any text has: so much is read from the database and then counted."""
GONE: Final = "[what was shown here is not available]"
"""What stands for an image of an earlier turn that was deleted since, or a video that this provider does not take."""

_log = structlog.get_logger(__name__)
_Said = Row[Any]  # the columns of chat_turns.TURNS


async def turn_messages(attempt: Attempt, turn: Turn, task: TurnTask) -> tuple[PromptMessage, ...]:
    """Return the conversation as the model is to see it.

    Turns without an answer (they failed, or were stopped before the first word) are left out: what broke one of them
    must not break this one.

    Raises:
        NotFound: if the chat is gone, or something that this turn shows; other errors as `prompt_message`.
    """
    values = {
        "chat_id": turn.chat_id,
        "owner_id": attempt.owner_id,
        "turn": turn.number,
        "max_bytes": task.history_tokens * MAX_BYTES_PER_TOKEN,
    }
    rows = await attempt.tools.queries.rows(TURNS, values)
    *earlier, last = _turns(rows) or [[]]
    if not last or last[0].turn != turn.number:
        raise NotFound("The chat, or what was said in it, was deleted.")
    # First what is said now: what an attempt may load of media is bounded, and old videos must not use it up.
    now = [await _now(attempt, row) for row in last]
    before = [PromptMessage("system", (PromptText(task.system_prompt),))] if task.system_prompt else []
    for said in _within(task.history_tokens, [said for said in earlier if _is_answered(said)]):
        before += [await _earlier(attempt, row) for row in said]
    return (*before, *now)


def _turns(rows: Sequence[_Said]) -> list[list[_Said]]:
    return [list(said) for _, said in groupby(rows, key=lambda row: row.turn)]


def _is_answered(said: Sequence[_Said]) -> bool:
    """Whether a turn is whole: cut off by the budget at its beginning, it lacks the question."""
    return said[0].role != "assistant" and said[-1].role == "assistant" and bool(said[-1].content.strip())


def _within(budget: int, turns: Sequence[Sequence[_Said]]) -> list[Sequence[_Said]]:
    """Return the newest turns whose estimated tokens fit together."""
    kept: list[Sequence[_Said]] = []
    for said in reversed(turns):
        budget -= sum(_tokens(row) for row in said)
        if budget < 0:
            break
        kept.append(said)
    return kept[::-1]


def _tokens(row: _Said) -> int:
    return MESSAGE_TOKENS + estimated_tokens(row.content) + IMAGE_TOKENS * len(row.media)


async def _now(attempt: Attempt, row: _Said) -> PromptMessage:
    media = await fetch_shown(attempt, row.id, row.media)
    return await prompt_message(attempt, _message(row, media))


async def _earlier(attempt: Attempt, row: _Said) -> PromptMessage:
    """Return a message of an earlier turn; what it showed and cannot be shown (any more) is named instead."""
    signatures = tuple(row.signatures or ())
    if not row.media or row.role == "assistant":  # nearly all: a long chat has hundreds of them
        words = (PromptText(row.content),)
        return PromptMessage(row.role, words, reasoning=row.reasoning or "", signatures=signatures)
    try:
        if not _takes(attempt, row):
            raise UnsupportedMediaType
        said = await prompt_message(attempt, _message(row, row.media))
    except (NotFound, ImageRefused, MediaRefused, PayloadTooLarge, UnsupportedMediaType):
        _log.info("history_without_media", message_role=row.role)
        said = PromptMessage(row.role, (PromptText(f"{row.content}\n{GONE}".strip()),))
    return msgspec.structs.replace(said, signatures=signatures)


def _takes(attempt: Attempt, row: _Said) -> bool:
    """Whether the provider takes all that a message shows: it may not be the one that it was first shown to."""
    provider = attempt.tools.providers.get(attempt.spec.provider_name)
    kinds = {reference["type"] for reference in row.media} - {"image"}
    return provider is None or kinds <= provider.media


def _message(row: _Said, media: Sequence[dict[str, str]]) -> Message:
    """Return a message without its tool calls: what came of them is not part of a chat, and providers insist on it."""
    return Message(role=row.role, content=_content(row, media))


def _content(row: _Said, media: Sequence[dict[str, str]]) -> str | list[Part]:
    shown = list(_parts(media)) if row.role != "assistant" else []
    if not shown:
        return row.content
    words: list[Part] = [TextPart(type="text", text=row.content)] if row.content else []
    return words + shown


def _parts(media: Iterable[dict[str, str]]) -> Iterator[Part]:
    for reference in media:
        part = part_of(reference)
        if part is not None:
            yield part
