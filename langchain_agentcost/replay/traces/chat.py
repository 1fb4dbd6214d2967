"""Messages in OpenAI's chat form, as LangChain messages: what is odd in them is kept, and nothing raises."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import ToolCall

from langchain_agentcost.replay.traces.lines import too_deep


def message_of(given: Mapping[str, Any]) -> BaseMessage:
    """Make a message.

    Args:
        given: A mapping with a role and content; of an assistant also `tool_calls`, of a tool `tool_call_id`, `name`
            and, if it failed, `error`. A role that is not known counts as the user's.

    Example:
        >>> message_of({"role": "assistant", "content": None, "tool_calls": []}).text
        ''
    """
    role, content = given.get("role"), content_of(given.get("content"))
    if role in ("system", "developer"):
        return SystemMessage(content)
    if role == "assistant":
        return AIMessage(content, tool_calls=[call_of(call) for call in _mappings(given.get("tool_calls"))])
    if role in ("tool", "function"):
        return ToolMessage(
            content,
            tool_call_id=str(given.get("tool_call_id") or ""),
            name=str(given["name"]) if given.get("name") else None,
            status="error" if given.get("error") else "success",
        )
    return HumanMessage(content)


def content_of(content: Any) -> Any:
    """Give content that LangChain takes: a text, or a list of texts and mappings."""
    if isinstance(content, str):
        return clean(content)
    if content is None:
        return ""
    if isinstance(content, list):
        return [block if isinstance(block, dict) else clean(str(block)) for block in content]
    return clean(json.dumps(content, default=str))


def call_of(given: Mapping[str, Any]) -> ToolCall:
    """Make a tool call; arguments that are no JSON object stay as the text that they are."""
    function = given.get("function")
    said = function if isinstance(function, Mapping) else given
    arguments = said.get("arguments", said.get("args"))
    args = parsed(arguments)
    shown = args if isinstance(args, dict) else {"arguments": args}
    return ToolCall(name=clean(str(said.get("name") or "?")), args=shown, id=str(given.get("id") or "") or None)


def parsed(arguments: Any) -> Any:
    """Read arguments that are JSON, unless they are nested too deep to be any."""
    if not isinstance(arguments, str):
        return {} if arguments is None else arguments
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return clean(arguments)
    return clean(arguments) if too_deep(value) else value


def clean(text: str) -> str:
    """Give a text that can be encoded: half of a surrogate pair, which JSON may hold, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _mappings(given: Any) -> Sequence[Mapping[str, Any]]:
    return [item for item in given if isinstance(item, Mapping)] if isinstance(given, list) else ()
