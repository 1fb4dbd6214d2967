"""The parts of a tool's description, whatever provider's form it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

_PARAMETERS = ("parameters", "input_schema", "inputSchema")


def inner_of(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the mapping that has the name: inside `function` in OpenAI's form, else the description itself."""
    inner = tool.get("function")
    return inner if isinstance(inner, Mapping) else tool


def name_of(tool: Mapping[str, Any]) -> str:
    """Give a tool's name; the type of one that runs at the provider and has none; else the empty text.

    Example:
        >>> name_of({"type": "function", "function": {"name": "track"}}), name_of({"type": "web_search"})
        ('track', 'web_search')
    """
    return str(inner_of(tool).get("name") or tool.get("type") or "")


def parameters_key(inner: Mapping[str, Any]) -> str | None:
    """Give the key under which the JSON schema of the arguments stands; None where there is none."""
    return next((key for key in _PARAMETERS if isinstance(inner.get(key), Mapping)), None)


def parameters_of(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the JSON schema of a tool's arguments; empty where there is none."""
    inner = inner_of(tool)
    key = parameters_key(inner)
    return inner[key] if key else {}


def with_parts(tool: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """Give a tool's description in the form it had, with other parts inside."""
    return {**tool, "function": dict(inner)} if isinstance(tool.get("function"), Mapping) else dict(inner)


def described(tool: object) -> Mapping[str, Any] | None:
    """Give what a model is told of a tool, as LangChain tells it; None for what LangChain cannot describe.

    Args:
        tool: A mapping, which is given back, or a LangChain tool, a function or a Pydantic class.
    """
    if isinstance(tool, Mapping):
        return tool
    if not (isinstance(tool, BaseTool) or callable(tool)):
        return None
    try:
        return convert_to_openai_tool(tool)
    except Exception:  # noqa: BLE001  # the user's own class or docstring may be anything; lint says what it cannot see
        return None
