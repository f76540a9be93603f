"""`smartsip import lite-llm-chat`: an old file in, chats out; once, whole, and nothing of it that is broken."""

import asyncio
import json
import os
import re
import sqlite3
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from compose.checkout import CHECKOUT
from compose.errors import CannotStart
from compose.import_chats import Import, import_file, turns_of
from compose.screen import Screen
from shared.settings import ProviderEndpoint, Settings
from tests.hearing_worker import hearing_worker
from tests.images import html_page, photo
from tests.media import mp4
from tests.scripted_provider import ScriptedProvider
from tests.served import Served, served

FIRST_COLUMNS = "id, session_id, role, content, created_at"
LATER_COLUMNS = "provider, model, thought_process, thought_signatures, images, search_results, videos, audios"
PHOTO, DRAWN, FILM = "/uploads/p.jpg", "/uploads/drawn.jpg", "/uploads/f.mp4"
NOON = "2025-03-04 12:00:00.000001"
Row = dict[str, Any]  # columns of any type


def old_file(folder: Path, sessions: Sequence[Row], messages: Sequence[Row], *, columns: str = LATER_COLUMNS) -> Path:
    """Write a file as the old system does, and return where it is."""
    file = folder / "chat history?.db"
    later = "".join(f", {name}" for name in columns.split(", ") if name)
    with sqlite3.connect(file) as connection:
        connection.execute(
            "create table chat_sessions (id integer primary key, title varchar(255), provider varchar(50),"
            " model varchar(100), created_at datetime, updated_at datetime)"
        )
        connection.execute(
            "create table chat_messages (id integer primary key, session_id integer, role varchar(20), content text,"
            f" created_at datetime{later})"
        )
        for table, rows in (("chat_sessions", sessions), ("chat_messages", messages)):
            for row in rows:
                names, marks = ", ".join(row), ", ".join("?" * len(row))
                connection.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))
    connection.close()
    return file


def session(number: int, **columns: Any) -> Row:
    known = {"title": f"Session {number}", "provider": "deepseek", "model": "deepseek-chat", "created_at": NOON}
    return {"id": number, **known, "updated_at": f"2025-03-05 0{number}:00:00.000000"} | columns


def message(number: int, role: str, content: object, *, session_id: object = 1, **columns: Any) -> Row:
    at = f"2025-03-04 12:{number:02}:00.500000"
    return {"id": number, "session_id": session_id, "role": role, "content": content, "created_at": at} | columns


class Imported:
    """An import and what it said."""

    def __init__(self, settings: Settings, file: Path, *, owner: str = "local", uploads: Path | None = None) -> None:
        self._settings = settings
        self.wanted = Import(file=file, owner_name=owner, uploads=uploads, is_dry=False)
        self.reported: list[str] = []

    async def run(self, *, is_dry: bool = False) -> str:
        said = StringIO()
        done = await import_file(self._settings, replace(self.wanted, is_dry=is_dry), Screen(said))
        self.reported = [line for line in said.getvalue().splitlines() if not line.startswith("Session ")]
        return done.sentence


async def everything(client: httpx.AsyncClient) -> list[Row]:
    """Return every chat with its messages, as `/v2/chats` shows them."""
    chats: list[Row] = (await client.get("/v2/chats?limit=100")).json()["chats"]
    for chat in chats:
        answer = await client.get(f"/v2/chats/{chat['id']}/messages?limit=100")
        chat["said"] = answer.json()["messages"]
    return chats


@asynccontextmanager
async def client_of(api: Served, owner: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A client with a key of an owner's."""
    made = await api.client.post("/v2/keys", json={"name": "k", "scopes": ["jobs"], "owner": owner})
    async with api.client_with(made.json()["secret"]) as client:
        yield client


async def test_sessions_are_taken_over_with_their_files_and_go_on(settings: Settings, tmp_path: Path):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    for url, content in ((PHOTO, photo()), (DRAWN, photo(seed=1)), (FILM, mp4())):
        (tmp_path / url[1:]).write_bytes(content)
    found = [{"url": "http://a/", "title": "A", "content": "…", "other": 1}, {"url": "http://b/"}]
    answers = [
        message(2, "assistant", "A cup.", thought_process="hm", provider="groq", model="m/1", videos=f'["{FILM}"]'),
        message(
            5,
            "assistant",
            f"Here: ![image]({DRAWN}) and ![gone](/uploads/gone.png)",
            search_results=json.dumps(found),
            thought_signatures='["sig"]',
            images="null",
        ),
    ]
    questions = [
        message(1, "user", "Look: 你好", images=json.dumps([PHOTO, "https://example.org/x.png"])),
        message(3, "user", "Never answered"),
        message(4, "user", "Draw it"),
    ]
    file = old_file(tmp_path, [session(1)], [*answers, *questions])
    async with served(settings) as api, hearing_worker(settings), client_of(api, "anna") as anna:
        imported = Imported(settings, file, owner="anna", uploads=uploads)
        assert await imported.run() == (
            "Took over 1 sessions with 5 messages and 3 files; 2 files are kept as addresses; left out: 1."
        )
        assert imported.reported == [f"message 5: there is no file {uploads / 'gone.png'}; kept as an address"]
        (listed,) = (await anna.get("/api/v1/sessions")).json()
        chat: Row = (await anna.get(f"/api/v1/sessions/{listed['id']}")).json()
        paths: list[str] = re.findall(r"/uploads/[0-9a-f-]{36}\.\w+", json.dumps(chat))
        seen, film, drawn = paths
        first, second, third, _, last = chat.pop("messages")
        assert chat == listed | {
            "title": "Session 1",
            "provider": "deepseek",
            "model": "deepseek-chat",
            "created_at": "2025-03-04T12:00:00.000001",
            "updated_at": "2025-03-05T01:00:00.000000",
            "message_count": 5,
        }
        nothing = dict.fromkeys(set(first) - {"id", "role", "content", "created_at"})
        told = {"images": [seen, "https://example.org/x.png"], "created_at": "2025-03-04T12:01:00.500000"}
        assert first == nothing | {"id": first["id"], "role": "user", "content": "Look: 你好"} | told
        told = {"videos": [film], "thought_process": "hm", "provider": "groq", "model": "m/1"}
        assert {name: second[name] for name in told} == told
        assert third["content"] == "Never answered"
        assert last["content"] == f"Here: ![image]({drawn}) and ![gone](/uploads/gone.png)"
        assert (last["thought_signatures"], last["images"]) == (["sig"], None)
        sources = [{"url": "http://a/", "title": "A", "content": "…"}, {"url": "http://b/", "title": "http://b/"}]
        assert last["search_results"] == sources
        types = [(await anna.get(path)).headers["content-type"] for path in paths]
        assert types == ["image/jpeg", "video/mp4", "image/jpeg"]
        assert (await api.client.get(drawn)).status_code == 404


async def test_a_session_that_was_taken_over_goes_on(settings: Settings, tmp_path: Path):
    said = [
        message(1, "user", "Hi"),
        message(2, "assistant", "Hello"),
        message(3, "user", "Never answered"),
        message(4, "system", "Be brief."),
        message(5, "user", "How are you?"),
        message(6, "assistant", "Fine."),
    ]
    file = old_file(tmp_path, [session(1)], said)
    with ScriptedProvider() as provider:
        endpoint = ProviderEndpoint(base_url=provider.url, api_key=SecretStr("sk-scripted"))
        settings = settings.model_copy(update={"providers": {"deepseek": endpoint}})
        await Imported(settings, file).run()
        async with served(settings) as api, hearing_worker(settings):
            (chat,) = await everything(api.client)
            asked = {"text": "And now?"}
            path = f"/v2/chats/{chat['id']}/messages"
            answered = await api.client.post(path, json=asked, headers={"Prefer": "wait=5"})
            assert answered.json()["state"] == "succeeded"
            sent = [exchange.json["messages"] for exchange in provider.exchanges if exchange.method == "POST"]
            assert [[(one["role"], one["content"]) for one in messages] for messages in sent] == [
                [
                    ("user", "Hi"),
                    ("assistant", "Hello"),
                    ("system", "Be brief."),
                    ("user", "How are you?"),
                    ("assistant", "Fine."),
                    ("user", "And now?"),
                ]
            ]
            (chat,) = await everything(api.client)
            assert [one["text"] for one in chat["said"]][:7] == [*(one["content"] for one in said), "And now?"]


async def test_doing_it_again_or_only_trying_takes_nothing_over(settings: Settings, tmp_path: Path):
    file = old_file(tmp_path, [session(1), session(2)], [message(1, "user", "Hi"), message(2, "user", "Ho")])
    imported = Imported(settings, file)
    async with served(settings) as api:
        assert await imported.run(is_dry=True) == "Would take over 2 sessions with 2 messages and 0 files."
        assert await everything(api.client) == []
        before = file.read_bytes()
        sentences = await asyncio.gather(imported.run(), Imported(settings, file).run())
        taken = sum(int(sentence.split()[2]) for sentence in sentences)  # two at once share the work
        first = await everything(api.client)
        assert (taken, sorted(chat["title"] for chat in first)) == (2, ["Session 1", "Session 2"])
        again = "Took over 0 sessions with 0 messages and 0 files; 2 sessions were there already."
        assert await imported.run() == again
        assert await everything(api.client) == first
        assert file.read_bytes() == before
        async with client_of(api, "ben") as ben:
            assert (await Imported(settings, file, owner="ben").run()).startswith(
                "Took over 2 sessions with 2 messages"
            )
            assert len(await everything(ben)) == 2


async def test_a_file_of_the_first_version_is_taken_over(settings: Settings, tmp_path: Path):
    file = old_file(tmp_path, [session(1)], [message(1, "user", "Hi"), message(2, "assistant", "Hello")], columns="")
    async with served(settings) as api:
        assert await Imported(settings, file).run() == "Took over 1 sessions with 2 messages and 0 files."
        (chat,) = await everything(api.client)
        assert (chat["model"], [one["text"] for one in chat["said"]]) == ("deepseek/deepseek-chat", ["Hi", "Hello"])
        absent = "search_results is null and signatures is null and media = '[]'"
        with psycopg.connect(settings.database.conninfo) as connection:
            assert connection.execute(f"select count(*) from message where {absent}").fetchone() == (2,)


async def test_what_is_broken_is_named_and_left_out(settings: Settings, tmp_path: Path):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (tmp_path / "secret.png").write_bytes(photo())
    (uploads / "link.png").symlink_to(tmp_path / "secret.png")
    (uploads / "page.png").write_bytes(html_page())
    sessions = [
        session(1),
        session(2, created_at="yesterday"),
        session(3, title="a\0b"),
        session(4, model="a b", title=""),
    ]
    said = [
        message(1, "user", "kept", images="{"),
        message(2, "user", "kept too", images="[1]", search_results="[{}]", videos='"x"'),
        message(3, "robot", "no role"),
        message(4, "user", b"\xff"),
        message(5, "user", "NUL \0"),
        message(6, "user", "late", created_at="now"),
        message(7, "user", "nowhere", session_id=9),
        message(8, "user", "of a broken session", session_id=2),
        message(9, "user", "x" * 1_000_001),
        message(10, "assistant", "kept as well", search_results='[{"title": "no url"}]', thought_signatures="[null]"),
        message(
            11,
            "user",
            "files",
            images=json.dumps(
                ["/uploads/../secret.png", "/uploads/link.png", "/uploads/page.png", "javascript:alert(1)", "data:,x"]
            ),
            audios=json.dumps(["data:image/png;base64,%%%", "data:text/html;base64,PGI+"]),
        ),
    ]
    file = old_file(tmp_path, sessions, said)
    with sqlite3.connect(file) as connection:
        connection.execute("update chat_messages set content = cast(x'ff41' as text) where id = 4")
    connection.close()
    imported = Imported(settings, file, uploads=uploads)
    async with served(settings) as api:
        assert (await imported.run()).startswith("Took over 2 sessions with 4 messages and ")
        named = sorted(re.findall(r"(?m)^(?:session|message) \d+", "\n".join(imported.reported)))
        assert set(named) == {
            *("session 2", "session 3"),
            *(f"message {number}" for number in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11)),
        }
        assert sum(line.startswith("message 11:") for line in imported.reported) == 7
        chats = {chat["title"]: chat for chat in await everything(api.client)}
        assert set(chats) == {"Session 1", "New chat"}
        assert chats["New chat"]["model"] is None
        kept = chats["Session 1"]["said"]
        assert [one["text"] for one in kept] == ["kept", "kept too", "kept as well", "files"]
        assert [shown["url"] for one in kept for shown in one["images"]] == ["/uploads/link.png", "/uploads/page.png"]
        assert (await api.client.get("/v2/images")).json()["images"] == []


async def test_an_import_that_breaks_off_leaves_whole_sessions_and_goes_on_later(settings: Settings, tmp_path: Path):
    said = [message(number, "user", f"{number}", session_id=1 + number // 3) for number in range(1, 6)]
    imported = Imported(settings, old_file(tmp_path, [session(1), session(2)], said))
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        connection.execute("alter table message add constraint broken check (content <> '5')")
        with pytest.raises(IntegrityError):
            await imported.run()
        taken = "select title, content from chat join message on chat_id = chat.id order by message.id"
        assert connection.execute(taken).fetchall() == [("Session 1", "1"), ("Session 1", "2")]
        assert connection.execute("select count(*) from chat").fetchone() == (1,)
        connection.execute("alter table message drop constraint broken")
        assert (await imported.run()).startswith("Took over 1 sessions with 3 messages")
        assert [content for _, content in connection.execute(taken)] == ["1", "2", "3", "4", "5"]


async def test_files_that_are_no_such_history_are_refused_in_a_sentence(settings: Settings, tmp_path: Path):
    (tmp_path / "text.db").write_text("This is no database, though it is long enough to be looked at as one. " * 20)
    (tmp_path / "empty.db").touch()
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("create table chat_sessions (id integer, title text)")
    connection.close()
    whole = old_file(tmp_path, [session(1)], [message(number, "user", "x" * 5000) for number in range(1, 20)])
    content = whole.read_bytes()
    (tmp_path / "cut.db").write_bytes(content[: len(content) // 2])
    refusals = {
        "absent.db": "There is no file .*absent.db.",
        "": "There is no file .*",
        "text.db": ".*cannot be read as Lite-LLM-Chat's SQLite file: file is not a database.",
        "empty.db": ".*is not Lite-LLM-Chat's history: it has no table chat_sessions.",
        "other.db": ".*is not Lite-LLM-Chat's history: its table chat_sessions has no created_at.",
        "cut.db": ".*cannot be read as Lite-LLM-Chat's SQLite file: .*",
    }
    for name, sentence in refusals.items():
        with pytest.raises(CannotStart) as refused:
            await Imported(settings, tmp_path / name).run()
        assert re.fullmatch(sentence, str(refused.value))
    with pytest.raises(CannotStart, match="There is no owner nobody"):
        await Imported(settings, whole, owner="nobody").run()
    with psycopg.connect(settings.database.conninfo) as connection:
        assert connection.execute("select (select count(*) from chat), (select count(*) from message)").fetchone() == (
            0,
            0,
        )


async def test_the_command_says_what_it_did(settings: Settings, tmp_path: Path):
    file = old_file(tmp_path, [session(1)], [message(1, "user", "Hi"), message(2, "robot", "?")])
    environment = os.environ | {
        "SMARTSIP_ADMIN_TOKEN": settings.admin_token.get_secret_value(),
        "SMARTSIP_MASTER_KEY": settings.master_key.get_secret_value(),
        "REDIS_URL": settings.redis.url.get_secret_value(),
        "DATABASE_URL": settings.database.url.get_secret_value(),
        "MINIO_ENDPOINT_URL": settings.objects.endpoint_url,
        "MINIO_ACCESS_KEY": settings.objects.access_key.get_secret_value(),
        "MINIO_SECRET_KEY": settings.objects.secret_key.get_secret_value(),
    }
    command = [sys.executable, "-P", "-m", "compose.cli", "import", "lite-llm-chat", str(file)]
    environment["PYTHONPATH"] = str(CHECKOUT)
    running = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environment, stdout=PIPE, stderr=PIPE)
    said, reported = await running.communicate()
    assert said.decode() == "Took over 1 sessions with 1 messages and 0 files; left out: 1.\n"
    assert reported.decode().splitlines() == [
        "message 2 of session 1: the role 'robot' is none; left out",
        "Session 1 of 1 …",
    ]
    assert running.returncode == 0


@given(st.lists(st.sampled_from(["user", "assistant", "system"])))
def test_every_turn_has_one_question_and_one_answer_at_most(roles: list[str]):
    turns = turns_of(roles)
    assert turns == sorted(turns)
    assert len(turns) == len(roles)
    for turn in set(turns):
        said = [role for role, number in zip(roles, turns, strict=True) if number == turn]
        assert said.count("user") <= 1
        assert said.count("assistant") <= 1
        assert "assistant" not in said[:-1]
