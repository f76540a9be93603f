"""What a Gemini model may use: the caller's functions, Google's search, pages that the conversation names. Pure.

Source: https://ai.google.dev/gemini-api/docs/function-calling, …/google-search and …/url-context.
"""

from typing import Final

from shared.domain.commands import Parameters
from workers.providers.parameter_notes import Notes
from workers.providers.refusal import is_object
from workers.providers.wire_json import Json, without_nulls

_BUILT_IN: Final = {"google_search": "googleSearch", "url_context": "urlContext"}
_MODES: Final = {"none": "NONE", "auto": "AUTO", "required": "ANY", "any": "ANY"}
OPTIONS: Final = frozenset(_BUILT_IN)
"""Names of `Parameters.options` that are read here."""


def tool_members(given: Parameters, notes: Notes) -> Json:
    """Return `tools` and `toolConfig`, where there is something to use."""
    functions = [it for tool in given.tools or () if (it := _declaration(tool, notes)) is not None]
    tools: list[Json] = [{wire: {}} for name, wire in _BUILT_IN.items() if given.options.get(name) is True]
    if functions:
        tools.append({"functionDeclarations": functions})
    if given.parallel_tool_calls is False:
        notes.dropped("parallel_tool_calls", "calls as many functions at once as it likes")
    members: Json = {"tools": tools} if tools else {}
    if functions and (calling := _calling(given.tool_choice, notes)):
        members["toolConfig"] = {"functionCallingConfig": calling}
    return members


def _declaration(tool: Json, notes: Notes) -> Json | None:
    """Return one of OpenAI's functions; its schema goes where JSON Schema is taken whole."""
    function: object = tool.get("function")
    if tool.get("type", "function") != "function" or not is_object(function) or not _is_name(function.get("name")):
        notes.dropped("tools", "takes functions only, each with a name")
        return None
    declared: Json = {"name": function["name"]}
    if isinstance(description := function.get("description"), str) and description:
        declared["description"] = description
    if is_object(parameters := function.get("parameters")) and parameters:
        declared["parametersJsonSchema"] = without_nulls(parameters, levels=1)
    return declared


def _calling(choice: object, notes: Notes) -> Json:
    if isinstance(choice, str) and choice in _MODES:
        return {"mode": _MODES[choice]} if choice != "auto" else {}
    if is_object(choice) and is_object(named := choice.get("function")) and _is_name(named.get("name")):
        return {"mode": "ANY", "allowedFunctionNames": [named["name"]]}
    if choice is not None:
        notes.dropped("tool_choice")
    return {}


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name)
