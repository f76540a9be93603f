"""What Lite-LLM-Chat kept: its SQLite file, read and never written, row by row, with a sentence about each broken one.

Tables and columns: its own document. Files of older versions lack the later columns of messages.
"""

import json
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import quote

from api.plain_json import check_plain, check_text
from compose.errors import CannotStart
from shared.domain.commands import MAX_TEXT_CHARS

Report: TypeAlias = Callable[[str], None]
Role: TypeAlias = Literal["user", "assistant", "system"]
MEDIA_COLUMNS: Final = {"images": "image", "videos": "video", "audios": "audio"}
LOCK_PATIENCE_S: Final = 5.0
_SESSIONS: Final = {"id", "title", "created_at"}
_MESSAGES: Final = {"id", "session_id", "role", "content", "created_at"}
_JSON_COLUMNS: Final = ("search_results", "thought_signatures")


@dataclass(frozen=True, kw_only=True)
class OldMessage:
    """One message; `media` are pairs of what it is (`image`, …) and where it was."""

    id: int
    role: Role
    content: str
    media: list[tuple[str, str]]
    reasoning: str | None
    search_results: list[dict[str, str]] | None
    signatures: list[str] | None
    provider: str | None
    model: str | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class OldSession:
    """One session with what was said in it. `created_text` is the instant as it is written in the file."""

    id: int
    title: str
    provider: str | None
    model: str | None
    created_text: str
    created_at: datetime
    updated_at: datetime
    messages: list[OldMessage]


class BrokenRow(ValueError):
    """A row that cannot be taken over; the text says why."""


class OldHistory:
    """An open file. What cannot be read of it is reported and left out."""

    def __init__(self, connection: sqlite3.Connection, report: Report) -> None:
        self._connection = connection
        self._report = report

    def count(self) -> int:
        """Return how many sessions there are."""
        return self._connection.execute("select count(*) from chat_sessions").fetchone()[0]

    def sessions(self) -> Iterator[OldSession]:
        """Yield every session, the oldest first."""
        self._report_orphans()
        for row in self._rows("select * from chat_sessions order by created_at, id"):
            try:
                yield self._session(row)
            except BrokenRow as broken:
                self._report(f"session {row['id']}: {broken}; left out with its messages")

    def _session(self, row: dict[str, Any]) -> OldSession:  # columns of any type: SQLite checks none
        created_at = _instant(row["created_at"])
        return OldSession(
            id=row["id"],
            title=_text(row["title"], "title"),
            provider=_text_if_any(row.get("provider")),
            model=_text_if_any(row.get("model")),
            created_text=row["created_at"],
            created_at=created_at,
            updated_at=_instant(row["updated_at"]) if row.get("updated_at") else created_at,
            messages=list(self._messages(row["id"])),
        )

    def _messages(self, session_id: object) -> Iterator[OldMessage]:
        statement = "select * from chat_messages where session_id = ? order by created_at, id"
        for row in self._rows(statement, session_id):
            try:
                yield self._message(row)
            except BrokenRow as broken:
                self._report(f"message {row['id']} of session {session_id}: {broken}; left out")

    def _message(self, row: dict[str, Any]) -> OldMessage:
        if row["role"] not in ("user", "assistant", "system"):
            raise BrokenRow(f"the role {str(row['role'])[:40]!r} is none")
        return OldMessage(
            id=row["id"],
            role=row["role"],
            content=_text(row["content"], "content"),
            media=[(kind, url) for name, kind in MEDIA_COLUMNS.items() for url in self._list(row, name, str) or ()],
            reasoning=_text_if_any(row.get("thought_process")),
            search_results=self._results(row),
            signatures=self._list(row, "thought_signatures", str) or None,
            provider=_text_if_any(row.get("provider")),
            model=_text_if_any(row.get("model")),
            created_at=_instant(row["created_at"]),
        )

    def _results(self, row: dict[str, Any]) -> list[dict[str, str]] | None:
        found = self._list(row, "search_results", dict) or []
        known = [{name: one[name] for name in ("url", "title", "content") if _is_text(one.get(name))} for one in found]
        named = [one for one in known if one.get("url")]
        if len(named) < len(found):
            self._report(f"message {row['id']}: {len(found) - len(named)} search results have no url; left out")
        return named or None

    def _list(self, row: dict[str, Any], name: str, kind: type) -> list[Any] | None:
        """Return a column that holds a list in JSON; None if it is empty, or broken, which is reported."""
        if row.get(name) is None:
            return None
        try:
            value: object = check_plain(json.loads(row[name]))
        except (ValueError, TypeError, RecursionError):
            value = ...
        if value is None:
            return None
        items = cast("list[object]", value) if isinstance(value, list) else [None]
        if not all(isinstance(item, kind) for item in items):
            self._report(f"message {row['id']}: {name} is not the JSON it must be; left out of the message")
            return None
        return items

    def _report_orphans(self) -> None:
        orphans = "select id from chat_messages where session_id not in (select id from chat_sessions)"
        for row in self._rows(orphans):
            self._report(f"message {row['id']}: its session does not exist; left out")

    def _rows(self, statement: str, *values: object) -> Iterator[dict[str, Any]]:
        cursor = self._connection.execute(statement, values)
        names = [column[0] for column in cursor.description]
        return (dict(zip(names, row, strict=True)) for row in cursor)


@contextmanager
def open_history(file: Path, report: Report) -> Generator[OldHistory]:
    """Open a file for reading, and see one state of it, whoever else writes meanwhile.

    Raises:
        CannotStart: if it cannot be read, is no SQLite file, or holds something else than this history.
    """
    _check_readable(file)
    try:
        uri = f"file:{quote(str(file.absolute()))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_PATIENCE_S, isolation_level=None)) as connection:
            # What is not UTF-8 is found when it is looked at, not by an error that ends everything.
            connection.text_factory = _decoded
            connection.execute("begin")
            _check_schema(connection, file)
            yield OldHistory(connection, report)
    except sqlite3.Error as error:
        raise CannotStart(f"{file} cannot be read as Lite-LLM-Chat's SQLite file: {error}.") from error


def _decoded(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _check_readable(file: Path) -> None:
    if not file.is_file():
        raise CannotStart(f"There is no file {file}.")
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise CannotStart(f"{file} cannot be read: {error.strerror}.") from error


def _check_schema(connection: sqlite3.Connection, file: Path) -> None:
    for table, needed in (("chat_sessions", _SESSIONS), ("chat_messages", _MESSAGES)):
        columns = {row[1] for row in connection.execute(f"pragma table_info({table})")}
        missing = sorted(needed - columns)
        if missing:
            lacks = f"its table {table} has no {', '.join(missing)}" if columns else f"it has no table {table}"
            raise CannotStart(f"{file} is not Lite-LLM-Chat's history: {lacks}.")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise BrokenRow(f"{name} is no text")
    try:
        check_text(value)
    except ValueError as error:
        raise BrokenRow(f"{name} {error}") from error
    if len(value) > MAX_TEXT_CHARS:
        raise BrokenRow(f"{name} has more than {MAX_TEXT_CHARS} characters")
    return value


def _text_if_any(value: object) -> str | None:
    return _text(value, "a column") if value else None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _instant(value: object) -> datetime:
    """Return an instant: UTC, which the old system does not write down."""
    try:
        instant = datetime.fromisoformat(cast("str", value))
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise BrokenRow("created_at or updated_at is no instant") from error
