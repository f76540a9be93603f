"""How other commands find the local stack that `smartsip up` is running: a private file in its data directory."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from compose.data_directory import default_path, write_private
from compose.errors import CannotStart
from shared.settings import Settings, SettingsError, load_settings

CONNECTION_FILE: Final = "connection.json"


def announce(data: Path, environment: Mapping[str, str]) -> None:
    """Write how to reach the stack, for this machine's user only."""
    write_private(data / CONNECTION_FILE, json.dumps(dict(environment), indent=1))


def withdraw(data: Path) -> None:
    """Say that the stack no longer runs."""
    (data / CONNECTION_FILE).unlink(missing_ok=True)


def settings_in_use(data: Path | None) -> Settings:
    """Return the settings of the environment, or else of the running local stack.

    Raises:
        CannotStart: if `data` is named and no stack runs there, or its file belongs to another user.
        SettingsError: if nothing runs and the environment lacks what it must name.
    """
    if data is None:
        try:
            return load_settings()
        except SettingsError as error:
            problem = error
        path = default_path(environment=dict(os.environ))
    else:
        problem, path = None, data
    try:
        connection: dict[str, str] = json.loads((path / CONNECTION_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if problem is not None:
            raise problem from None
        raise CannotStart(f"No system runs on {path}: start it with `smartsip up --data {path}`.") from None
    except PermissionError as error:
        raise CannotStart(f"The system on {path} belongs to another user, who alone may use its files.") from error
    os.environ.update(connection)
    return load_settings()
