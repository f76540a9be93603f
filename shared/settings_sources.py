"""Settings as the older systems wrote them, turned into ours: pure functions from text to nested values.

Sources: the READMEs of smartsip (`MINIO_*`, `OPENAI_*`, `OLLAMA_API_URL`), Lite-LLM-Chat (`HTTP_PROXY`, provider keys)
and llm-backend-api (`config.yaml`). Values are checked later, by the models in `shared.settings`.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote, urlsplit

import yaml

from shared.providers_known import KNOWN

Nested: TypeAlias = dict[str, Any]  # values of settings before they are validated

_OF_PROVIDERS: Final = {
    variable: ("providers", known.name, field)
    for known in KNOWN.values()
    for variable, field in ((known.key_variable, "api_key"), (known.url_variable, "base_url"))
    if variable is not None
}
PATHS: Final = {
    "REDIS_URL": ("redis", "url"),
    "DATABASE_URL": ("database", "url"),
    "MINIO_ENDPOINT_URL": ("objects", "endpoint_url"),
    "MINIO_ACCESS_KEY": ("objects", "access_key"),
    "MINIO_SECRET_KEY": ("objects", "secret_key"),
    "MINIO_PUBLIC_URL": ("objects", "public_url"),
    "OPEN_AI_KEY": ("providers", "openai", "api_key"),  # api-server's; the newer name counts where both are set
    "GOOGLE_GEMINI_BASE_URL": ("providers", "gemini", "base_url"),  # as Google's SDK calls it
    "ARK_API_KEY": ("providers", "doubao", "api_key"),
    "XAI_API_KEY": ("providers", "grok", "api_key"),
    "GOOGLE_API_KEY": ("providers", "gemini", "api_key"),
    **_OF_PROVIDERS,
    "OPENROUTER_HTTP_REFERER": ("providers", "openrouter", "headers", "HTTP-Referer"),
    "OPENROUTER_X_TITLE": ("providers", "openrouter", "headers", "X-Title"),
    "HTTP_PROXY": ("http_proxy",),
    "PROVIDER_TIMEOUT": ("provider_timeout",),
    "SECRET_KEY": ("jwt_secret",),
    "ACCESS_TOKEN_EXPIRE_MINUTES": ("dialects", "access_token"),
    "MAX_HISTORY_TOKENS": ("limits", "history_tokens"),
    "DEFAULT_TOKEN_QUOTA": ("dialects", "client_quota_tokens"),
    "APP_NAME": ("dialects", "app_name"),
    "APP_VERSION": ("dialects", "app_version"),
    "API_PREFIX": ("dialects", "api_prefix"),
    "BACKEND_PORT": ("port",),
    "MODEL_CACHE_TTL": ("clocks", "model_cache"),
    "CORS_ORIGINS": ("allowed_origins",),
}
"""The older systems' variables, and the setting each one is."""
_OURS_TOO: Final = frozenset(
    {
        "OPEN_AI_KEY",
        "GOOGLE_GEMINI_BASE_URL",
        "ARK_API_KEY",
        "XAI_API_KEY",
        "GOOGLE_API_KEY",
        "SECRET_KEY",
        "BACKEND_PORT",
        "CORS_ORIGINS",
        "APP_NAME",
        "APP_VERSION",
        "API_PREFIX",
        "MODEL_CACHE_TTL",
    }
    | {"ACCESS_TOKEN_EXPIRE_MINUTES", "MAX_HISTORY_TOKENS", "DEFAULT_TOKEN_QUOTA"}
)
"""Older names of settings that people are told by ours."""
_MINUTES: Final = frozenset({"ACCESS_TOKEN_EXPIRE_MINUTES"})
OLLAMA_SUFFIXES: Final = (*("/api/generate", "/api/chat", "/api/tags", "/api", "/v1/chat/completions", "/v1"),)
"""Paths that the older systems' documents had in `OLLAMA_API_URL`; we want the host."""


def from_variables(variables: Mapping[str, str | None]) -> Nested:
    """Return the settings that the older names in an environment give; empty variables count as unset."""
    values: Nested = {}
    for name, path in PATHS.items():
        text = (variables.get(name) or "").strip()
        if text:
            _put(values, path, f"PT{text}M" if name in _MINUTES and text.isdigit() else text)
    return values


def from_yaml(text: str) -> Nested:
    """Return the settings that a `config.yaml` gives, ours and those of llm-backend-api.

    Raises:
        ValueError: if the text is not YAML or not a mapping.
    """
    try:
        loaded: object = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"is not valid YAML{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ValueError("is not valid YAML") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ValueError("must hold names and values, as in `port: 8888`")
    values = cast("Nested", loaded)  # keys are checked against the settings' names later
    return _from_llm_backend_api(values)


def complete_endpoints(providers: object) -> object:
    """Return providers' endpoints with what their names alone say: their addresses, and Ollama's without a path."""
    if not isinstance(providers, dict):
        return providers
    endpoints = cast("Nested", providers)  # checked by the models afterwards
    return {name: _completed(name, endpoint) for name, endpoint in endpoints.items()}


def seconds(value: object) -> object:
    """Return a number of seconds written as text as a number; anything else as it is."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def listed(text: str) -> list[str]:
    """Return the parts of a text with commas between them, or of a JSON list, as Lite-LLM-Chat's documents write it."""
    if text.strip().startswith("["):
        parts = cast("list[object]", yaml.safe_load(text))  # JSON is YAML
        return [str(part).strip() for part in parts]
    return [part.strip() for part in text.split(",") if part.strip()]


def normalise_ollama_url(url: str) -> str:
    """Return where Ollama is, whatever path the older documents put behind it."""
    url = str(with_scheme(url)).rstrip("/")
    for suffix in OLLAMA_SUFFIXES:
        if url.endswith(suffix):
            return url.removesuffix(suffix).rstrip("/")
    return url


def with_scheme(url: object) -> Any:  # what comes in as text goes out as text
    """Return a URL with `http://` before it if it has no scheme, as in `localhost:9000`."""
    return f"http://{url}" if isinstance(url, str) and "://" not in url else url


def checked_url(url: str) -> str:
    """Return an HTTP URL (or the demo provider's `demo:`) without a slash at its end.

    Raises:
        ValueError: if it is not one.
    """
    if url == "demo:":
        return url
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError("must be a URL that begins with http:// or https:// and names a host")
    return url.rstrip("/")


def is_near(url: str) -> bool:
    """Return whether a URL's host is on this machine or in a private network, which a proxy would not reach."""
    host = urlsplit(url).hostname or "localhost"
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost"))


def variable_for(path: tuple[str | int, ...]) -> str:
    """Return the name of the variable that a person sets for a setting."""
    for name, known in PATHS.items():
        if name in _OURS_TOO:
            continue
        if known == path or (len(path) == 1 and path == known[:1] and known[-1] == "url"):
            return name
    return "SMARTSIP_" + "__".join(str(part).upper() for part in path)


def read_yaml(file: Path) -> Nested:
    """Return the settings in a file.

    Raises:
        ValueError: with a sentence that names the file.
    """
    try:
        return from_yaml(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"The configuration file {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"The configuration file {file} is not UTF-8 text.") from error
    except ValueError as error:
        raise ValueError(f"The configuration file {file} {error}.") from error


def _completed(name: str, endpoint: object) -> object:
    if not isinstance(endpoint, dict):
        return endpoint
    row = cast("Nested", endpoint)
    if name == "ollama" and "base_url" in row:
        return {**row, "base_url": normalise_ollama_url(str(row["base_url"]))}
    known = KNOWN.get(name)
    return row if known is None or known.base_url is None else {"base_url": known.base_url, **row}


def _put(values: Nested, path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value


def _from_llm_backend_api(values: Nested) -> Nested:
    """Translate `server.port`, `redis.address|password|db`, `sqlite.path` and `jwt.secret`.

    A `sqlite` section stands for a database only where nothing else names one; it is then refused as a
    `DATABASE_URL` of SQLite is.
    """
    ours = {name: value for name, value in values.items() if name not in ("server", "sqlite", "jwt")}
    for section, name, setting in (("server", "port", "port"), ("jwt", "secret", "jwt_secret")):
        theirs = values.get(section)
        if isinstance(theirs, dict) and name in theirs:
            ours.setdefault(setting, cast("Nested", theirs)[name])
    if "sqlite" in values:
        ours.setdefault("database", {"url": "sqlite:"})
    redis = ours.get("redis")
    if isinstance(redis, dict) and "address" in redis:
        ours["redis"] = _redis_of_llm_backend_api(cast("Nested", redis))
    return ours


def _redis_of_llm_backend_api(redis: Nested) -> Nested:
    password = str(redis.get("password") or "")
    credentials = f":{quote(password, safe='')}@" if password else ""
    kept = {name: value for name, value in redis.items() if name not in ("address", "password", "db")}
    return {"url": f"redis://{credentials}{redis['address']}/{redis.get('db') or 0}", **kept}
