"""Problems with settings, as sentences a person can act on: they name what to set and never show what was set."""

import re
from pathlib import Path
from typing import Final

from pydantic_core import ErrorDetails

from shared.settings_file import place_in
from shared.settings_sources import variable_for

NAME_THEMSELVES: Final = ("SMARTSIP_", "DATABASE_URL", "REDIS_URL", "The profile ")
"""How the texts of checks begin that name their setting already."""
BY_MODEL: Final = (("fallbacks",), ("prices",))
"""Settings whose parts are named by models: no variable can be."""
WHAT_IT_IS: Final = {
    "REDIS_URL": "it says where Redis is, as in redis://:password@host:6379/0",
    "DATABASE_URL": "it says where PostgreSQL is, as in postgresql://user:password@host:5432/smartsip",
    "MINIO_ENDPOINT_URL": "it says where the S3 server is, as in http://minio:9000",
    "MINIO_ACCESS_KEY": "it is the S3 server's access key",
    "MINIO_SECRET_KEY": "it is the S3 server's secret key",
    "SMARTSIP_ADMIN_TOKEN": "it is the administrator's credential; `openssl rand -hex 24` makes one",
    "SMARTSIP_MASTER_KEY": "it encrypts stored secrets; `openssl rand -base64 32` makes one, to be kept",
}
SECTIONS: Final[dict[tuple[int | str, ...], tuple[str, ...]]] = {
    ("objects",): ("MINIO_ENDPOINT_URL", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
}
"""Sections that nothing was set of, and the variables that make them."""


def sentences_for(problem: ErrorDetails, file: Path) -> list[str]:
    """Return what a person must know about one problem pydantic found; `file` is the configuration file."""
    path, kind = problem["loc"], problem["type"]
    if path[:1] == ("profiles",) and len(path) > 1:
        return [_sentence_for_profile(problem)]
    name = variable_for(path)
    if path[:1] in BY_MODEL and len(path) > 1:
        name = f"{variable_for(path[:1])} ({'.'.join(str(part) for part in path[1:])})"
    if kind == "missing":
        names = SECTIONS.get(path, (name,))
        return [f"{each} is not set: {WHAT_IT_IS.get(each, 'it is required')}." for each in names]
    if kind == "extra_forbidden":
        dotted = ".".join(str(part) for part in path)
        place = place_in(file, path) or "config.yaml"
        return [f"There is no setting {name} ({dotted} in {place}): correct its name."]
    text = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error" and text.startswith(NAME_THEMSELVES):
        return [f"{text}."]
    return [f"{name} is not valid: {_lower_first(text)}."]


def _sentence_for_profile(problem: ErrorDetails) -> str:
    """Return what a person must know about one field of a device profile."""
    _, name, *path = problem["loc"]
    field = ".".join(str(part) for part in path)
    match problem["type"]:
        case "missing":
            return f"The profile {name} lacks {field}."
        case "extra_forbidden":
            return f"The profile {name} has no field {field}: correct its name."
        case _:
            named = f"{field}: " if field else ""
            return f"The profile {name} cannot be used: {named}{_lower_first(problem['msg'])}."


def sentence_for_unreadable(error_text: str) -> str:
    """Return what a person must know when a value has not even the form of its setting."""
    field = re.search(r'field "(\w+)"', error_text)
    if field is None:
        return "A setting cannot be read: compare .env with compose/.env.example."
    name = f"SMARTSIP_{field.group(1).upper()}"
    return f"{name} cannot be read: give its parts one by one, as {name}__<NAME>."


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:]
