"""Taking over an older system's sessions: each with all its messages in one transaction, or not at all."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from api.front import Front, open_front
from api.services.chats import MAX_TITLE_CHARS, Origin
from api.services.turns import title_from
from compose.errors import CannotStart
from compose.old_files import OldFiles
from compose.old_history import OldMessage, OldSession, open_history
from compose.screen import Screen
from shared.database.statements import chat_import as statements
from shared.database.statements.keys import owner_named
from shared.domain.ids import OwnerId, uuid7
from shared.domain.models import MODEL_PATTERN
from shared.redaction import redact_text
from shared.settings import Settings

ORIGIN: Final = Origin.LITE_LLM_CHAT
PROGRESS_EVERY: Final = 100
_MODEL: Final = re.compile(MODEL_PATTERN)


@dataclass(frozen=True, kw_only=True)
class Import:
    """What is to be taken over, and for whom."""

    file: Path
    owner_name: str
    uploads: Path | None
    is_dry: bool


@dataclass
class Done:
    """What became of it."""

    is_dry: bool
    sessions: int = 0
    messages: int = 0
    known: int = 0
    broken: int = 0
    stored: int = 0
    linked: int = 0

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        did = "Would take over" if self.is_dry else "Took over"
        parts = [f"{did} {self.sessions} sessions with {self.messages} messages and {self.stored} files"]
        parts += [f"{self.known} sessions were there already"] if self.known else []
        parts += [f"{self.linked} files are kept as addresses"] if self.linked else []
        parts += [f"left out: {self.broken}"] if self.broken else []
        return "; ".join(parts) + "."


async def import_file(settings: Settings, wanted: Import, screen: Screen) -> Done:
    """Take over a file, and return what became of it.

    Raises:
        CannotStart: if the file is not what it must be, there is no such owner, or PostgreSQL is away.
        SmartSipError: if a part of the system goes away meanwhile; what was taken over stays.
    """
    done = Done(is_dry=wanted.is_dry)

    def report(sentence: str) -> None:
        done.broken += 1
        screen.say(sentence)

    with open_history(wanted.file, report) as history:
        try:
            async with open_front(settings) as front:
                owner_id = await _owner_named(front, wanted.owner_name)
                files = OldFiles(front, owner_id, wanted.uploads, report, is_dry=wanted.is_dry)
                total = history.count()
                for number, session in enumerate(history.sessions(), 1):
                    if number % PROGRESS_EVERY == 1:
                        screen.progress(f"Session {number} of {total}")
                    await _take_over(front, files, session, done)
        except psycopg.OperationalError as error:
            raise CannotStart(f"PostgreSQL cannot be reached: {redact_text(str(error).strip())}") from error
    done.stored, done.linked = files.stored, files.linked
    return done


async def _owner_named(front: Front, name: str) -> OwnerId:
    rows = await front.queries.rows(owner_named(name))
    if not rows:
        raise CannotStart(f"There is no owner {name}: `smartsip user add` makes a user.")
    return OwnerId(rows[0].id)


async def _take_over(front: Front, files: OldFiles, session: OldSession, done: Done) -> None:
    external_id = _external_id(session)
    if await front.queries.rows(statements.chat_taken_over(files.owner_id, ORIGIN, external_id)):
        done.known += 1
        return
    messages = [await _values(files, message) for message in session.messages]
    if not done.is_dry and not await _stored(front, files.owner_id, external_id, session, messages):
        done.known += 1  # by another import, at this moment
        return
    done.sessions += 1
    done.messages += len(messages)


async def _stored(
    front: Front, owner_id: OwnerId, external_id: str, session: OldSession, messages: list[dict[str, Any]]
) -> bool:
    """Store a session in one transaction; return whether it was not there yet."""
    values = {
        "id": uuid7(),
        "owner_id": owner_id,
        "origin": ORIGIN.value,
        "external_id": external_id,
        "title": session.title[:MAX_TITLE_CHARS] or title_from(""),
        "model": _model(session),
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }
    async with front.queries.transaction() as connection:
        if (await connection.execute(statements.chat_to_take_over(values))).first() is None:
            return False
        turns = turns_of([message.role for message in session.messages])
        if messages:
            numbers = (await connection.execute(statements.turn_numbers(turns[-1] + 1))).scalars().all()
            place = {"chat_id": values["id"], "owner_id": owner_id}
            rows = [place | {"turn": numbers[turn]} | one for turn, one in zip(turns, messages, strict=True)]
            await connection.execute(statements.messages_to_take_over(), rows)
    return True


async def _values(files: OldFiles, message: OldMessage) -> dict[str, Any]:
    """Return a message as columns; its files are stored by now."""
    where = f"message {message.id}"
    content, shown = message.content, list[dict[str, str]]()
    if message.role == "assistant":
        content, shown = await files.rewritten(content, where=where)
    found = [await files.reference(kind, url, where=where) for kind, url in message.media]
    references = [reference for reference in (*found, *shown) if reference is not None]
    return {
        "role": message.role,
        "content": content,
        "media": [one for number, one in enumerate(references) if one not in references[:number]],
        "reasoning": message.reasoning,
        "search_results": message.search_results,
        "signatures": message.signatures,
        "provider": message.provider,
        "model": message.model,
        "created_at": message.created_at,
    }


def turns_of(roles: Sequence[str]) -> list[int]:
    """Return for each message which turn it belongs to, from 0: what the user said, and the answer to it.

    What the system says belongs to what the user says next. A user's message that another one follows was never
    answered: it is a turn of its own, which no model sees again.
    """
    turns: list[int] = []
    turn, waiting, is_asked, is_answered = 0, 0, False, False
    for role in roles:
        if role == "system":
            waiting += 1
            continue
        if is_answered or (is_asked and role == "user"):
            turn += 1
        is_asked, is_answered = role == "user", role == "assistant"
        turns += [turn] * (waiting + 1)
        waiting = 0
    return turns + [turn + is_answered] * waiting


def _external_id(session: OldSession) -> str:
    """Return what the session is known by from now on, so that it is taken over once."""
    told = f"{session.id}\0{session.created_text}\0{session.title}"
    return hashlib.sha256(told.encode()).hexdigest()


def _model(session: OldSession) -> str | None:
    ref = f"{session.provider}/{session.model}"
    return ref if _MODEL.fullmatch(ref) else None
