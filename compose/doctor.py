"""`smartsip doctor`: one line per thing the system needs, and a sentence about each that is wrong."""

import importlib.metadata
import os
import re
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psycopg
import redis
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from compose.checkout import CHECKOUT, OLDEST_PYTHON
from compose.data_directory import default_path
from compose.migrate import s3_client
from compose.running import settings_in_use
from shared.database.migrate import newest_revision
from shared.redaction import redact_text
from shared.settings import Settings, SettingsError

ENOUGH_DISK_BYTES: Final = 1024**3
ENOUGH_FILES: Final = 4096
"""A thousand streams with their upstream connections, and room."""


class Problem(Exception):
    """A check that failed; the text says what is wrong and what to do."""


def run_doctor(data: Path | None) -> int:
    """Check everything, print a line each, and return the exit code."""
    results = [
        _report("python", _python),
        _report("packages", _packages),
        _report("open files", _open_files),
        _report("disk", lambda: _disk(data or default_path(environment=dict(os.environ)))),
    ]
    try:
        settings = settings_in_use(data)
    except SettingsError as error:
        for sentence in str(error).splitlines():
            print(f"FAIL  settings: {sentence}")
        print("No system of this machine runs either: `smartsip up` starts one that needs none of these.")
        return 1
    results += [
        _report("redis", lambda: _redis(settings)),
        _report("postgresql", lambda: _postgres(settings)),
        _report("objects", lambda: _objects(settings)),
        _report("workers", lambda: _workers(settings)),
        _report("providers", lambda: _providers(settings)),
    ]
    return 0 if all(results) else 1


def _report(name: str, check: Callable[[], str]) -> bool:
    try:
        print(f"ok    {name}: {check()}")
    except Problem as problem:
        print(f"FAIL  {name}: {problem}")
        return False
    return True


def _python() -> str:
    version = sys.version.split()[0]
    if sys.version_info < OLDEST_PYTHON:
        raise Problem(f"{version} is too old: 3.11 or later is needed.")
    return version


def _packages() -> str:
    """Compare what is installed with what the lock names (markers aside: a package may be for another system)."""
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
    pins: dict[str, str] = dict(re.findall(r"(?m)^([A-Za-z0-9_.-]+)==([^\s;\\]+)", lock))
    other: list[str] = []
    for name, version in pins.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if installed != version:
            other.append(f"{name} {installed} instead of {version}")
    if other:
        raise Problem(f"not as locked: {', '.join(other[:5])}. Delete .venv and start ./smartsip again.")
    return f"as in requirements.lock ({len(pins)} names)"


def _open_files() -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < ENOUGH_FILES:
        raise Problem(f"this shell allows {limit}, which is few for many streams: `ulimit -n {ENOUGH_FILES}` or more.")
    return str(limit)


def _disk(data: Path) -> str:
    existing = next(path for path in (data, *data.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < ENOUGH_DISK_BYTES:
        raise Problem(f"{free // 2**20} MB are free at {existing}; keep 1024 MB.")
    return f"{free // 2**30} GB free at {existing}"


def _redis(settings: Settings) -> str:
    url = settings.redis.url.get_secret_value()
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as client:  # pyright: ignore[reportUnknownMemberType]
            client.ping()  # pyright: ignore[reportUnknownMemberType]
    except redis.RedisError as error:
        raise Problem(f"cannot be reached at {redact_text(url)}: {redact_text(str(error))}") from error
    return f"answers at {redact_text(url)}"


def _postgres(settings: Settings) -> str:
    shown = redact_text(settings.database.conninfo)
    try:
        with psycopg.connect(settings.database.conninfo, connect_timeout=3) as connection:
            version = str(connection.info.parameter_status("server_version"))
            revision = (connection.execute("select max(version_num) from alembic_version").fetchone() or (None,))[0]
    except psycopg.errors.UndefinedTable as error:
        raise Problem(f"{shown} has no tables yet: run `smartsip migrate`.") from error
    except psycopg.Error as error:
        raise Problem(f"cannot be reached at {shown}: {redact_text(str(error).strip())}") from error
    if revision != newest_revision():
        raise Problem(f"{shown} is at revision {revision}, not {newest_revision()}: run `smartsip migrate`.")
    return f"answers at {shown} (version {version}), migrated"


def _objects(settings: Settings) -> str:
    objects = settings.objects
    try:
        there = s3_client(objects).bucket_exists(bucket_name=objects.bucket)
    except (MinioException, HTTPError) as error:
        raise Problem(f"cannot be used at {objects.endpoint_url}: {redact_text(str(error))}") from error
    if not there:
        raise Problem(f"{objects.endpoint_url} has no bucket {objects.bucket}: run `smartsip migrate`.")
    return f"bucket {objects.bucket} at {objects.endpoint_url}"


def _workers(settings: Settings) -> str:
    query = "select queues, slots from worker where lease_until > clock_timestamp()"
    try:
        with psycopg.connect(settings.database.conninfo, connect_timeout=3) as connection:
            alive = connection.execute(query).fetchall()
    except psycopg.Error as error:
        raise Problem("cannot be known without the database.") from error
    served = sorted({queue for queues, _ in alive for queue in queues})
    if not {"device", "chat"} <= set(served):
        raise Problem(f"{len(alive)} alive, serving {', '.join(served) or 'nothing'}: start `smartsip worker`.")
    return f"{len(alive)} alive, serving {', '.join(served)}, {sum(slots for _, slots in alive)} slots"


def _providers(settings: Settings) -> str:
    return f"{', '.join(settings.configured_providers)} configured, default model {settings.default_model}"
