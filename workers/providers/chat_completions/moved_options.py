"""Options that OpenRouter took once and takes by another way now, as of 2026-11. Pure.

Sources: its message transforms (https://openrouter.ai/docs/guides/features/message-transforms), web search and provider
routing pages, and the request's schema in its SDK 1.3, which has none of the old names any more.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from workers.providers.chat_completions.row import Move
from workers.providers.parameter_notes import Notes
from workers.providers.refusal import is_object
from workers.providers.wire_json import Json, without_nulls

MEMBERS: Final[Mapping[Move, str]] = {
    "transforms": "plugins",
    "web_search_options": "plugins",
    "structured_outputs": "provider",
}
"""Where each went."""
_MIDDLE_OUT: Final = "middle-out"
_COMPRESSION: Final = "context-compression"
_OF_WEB: Final = frozenset({"engine", "max_results", "search_prompt", "include_domains", "exclude_domains"})


def moved_options(options: Mapping[str, Any], moves: frozenset[Move], notes: Notes) -> Json:  # JSON of the caller's own
    """Return the members that say what these options did, with what the caller put into those members himself."""
    if not moves:
        return {}
    plugins = _objects(options.get("plugins"))
    provider: Json = without_nulls(given) if is_object(given := options.get("provider")) else {}
    for name in sorted(moves & options.keys()):
        value = options[name]
        plugin = _plugin(name, value)
        if name == "structured_outputs" and isinstance(value, bool):
            provider = {"require_parameters": True} | provider if value else provider
        elif plugin is not None:
            plugins = [*plugins, *([] if _has(plugins, plugin["id"]) else [plugin])]
        elif value is not None:
            notes.dropped(name, "does not take it like this")
        if value is not None and value is not False:
            notes.changed(name, f"takes it as {MEMBERS[name]}")
    return {name: it for name, it in (("plugins", plugins), ("provider", provider)) if it}


def _plugin(name: Move, value: object) -> Json | None:
    if name == "transforms" and isinstance(value, list):
        if not value:  # this is how it was switched off
            return {"id": _COMPRESSION, "enabled": False}
        return {"id": _COMPRESSION, "engine": _MIDDLE_OUT} if _MIDDLE_OUT in value else None
    if name == "web_search_options" and is_object(value):
        return {"id": "web"} | {name: without_nulls(it) for name, it in value.items() if name in _OF_WEB and it}
    return None


def _objects(plugins: object) -> list[Json]:
    entries = cast("list[object]", plugins) if isinstance(plugins, list) else []
    return [without_nulls(entry) for entry in entries if is_object(entry)]


def _has(plugins: list[Json], plugin_id: str) -> bool:
    return any(plugin.get("id") == plugin_id for plugin in plugins)
