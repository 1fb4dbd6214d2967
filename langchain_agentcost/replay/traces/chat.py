"""Messages as LangChain messages, in whatever form they were written: what is odd in them is kept, nothing raises.

`langchain_core.load` and `convert_to_messages` refuse a whole prompt for one odd field, and the former makes objects of
whatever is nested in a message. Here no class is looked up by a name that a trace states: there is a table of four.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import ToolCall

from langchain_agentcost.replay.traces.fields import list_of, mapping_of
from langchain_agentcost.replay.traces.lines import encodable, too_deep

_NAMES = {
    "system": ("system", "developer", "systemmessage", "systemmessagechunk"),
    "assistant": ("assistant", "ai", "model", "aimessage", "aimessagechunk"),
    "tool": ("tool", "function", "toolmessage", "toolmessagechunk", "functionmessage", "functionmessagechunk"),
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names}
"""What messages are called, by OpenAI and by LangChain, and their role; whatever else there is counts as the user's."""


def message_of(given: object) -> BaseMessage:
    """Make a message.

    Args:
        given: A mapping with `role` and `content`, as OpenAI has it; of an assistant also `tool_calls`, of a tool
            `tool_call_id`, `name` and, if it failed, `error`. Or what LangChain writes of a message: a constructor with
            `kwargs`, `type` and `data`, its fields. Or a text, or a role and a text.

    Returns:
        The message.

    Raises:
        TypeError: If it is nothing of the kind.

    Example:
        >>> message_of({"role": "assistant", "content": None, "tool_calls": []}).text
        ''
        >>> message_of({"lc": 1, "id": ["langchain", "schema", "HumanMessage"], "kwargs": {"content": "Hi"}}).text
        'Hi'
    """
    fields = fields_of(given)
    role, content = _role(fields), content_of(fields.get("content"))
    if role == "system":
        return SystemMessage(content)
    if role == "assistant":
        return answer_of(fields)
    if role == "tool":
        failed = fields.get("error") or fields.get("status") == "error"
        return ToolMessage(
            content,
            tool_call_id=str(fields.get("tool_call_id") or ""),
            name=str(fields["name"]) if fields.get("name") else None,
            status="error" if failed else "success",
        )
    return HumanMessage(content)


def answer_of(fields: Mapping[str, Any]) -> AIMessage:
    """Make a model's message of its fields, whatever its role."""
    older = mapping_of(fields.get("additional_kwargs"))
    calls = list_of(fields.get("tool_calls")) or list_of(older.get("tool_calls"))
    calls += list_of(fields.get("invalid_tool_calls"))
    calls = calls or list_of([fields.get("function_call") or older.get("function_call")])
    return AIMessage(content_of(fields.get("content")), tool_calls=[call_of(call) for call in calls])


def fields_of(given: object) -> Mapping[str, Any]:
    """Give the fields of a message, and what it is called as their `type`.

    Raises:
        TypeError: If it is no message.

    Example:
        >>> fields_of(["user", "Hi"])
        {'role': 'user', 'content': 'Hi'}
    """
    if isinstance(given, str):
        return {"role": "user", "content": given}
    if _is_pair(given):
        return {"role": given[0], "content": given[1]}
    if not isinstance(given, Mapping):
        raise TypeError(f"a message is an object, not {type(given).__name__}")
    path = given.get("id")
    if isinstance(given.get("kwargs"), Mapping):
        return {"type": path[-1] if isinstance(path, list) and path else "", **given["kwargs"]}
    if isinstance(given.get("data"), Mapping):
        return {"type": given.get("type"), **given["data"]}
    return given


def _is_pair(given: object) -> TypeGuard[Sequence[str]]:
    return isinstance(given, list | tuple) and len(given) == 2 and all(isinstance(part, str) for part in given)


def is_prompt(given: object) -> bool:
    """Tell whether a list is a list of messages, and not a message written as its role and its text."""
    return isinstance(given, list) and not _is_pair(given)


def _role(fields: Mapping[str, Any]) -> str | None:
    named = [str(fields.get(key)).lower() for key in ("role", "type") if fields.get(key)]
    return next((_ROLES[name] for name in named if name in _ROLES), None)


def content_of(content: object) -> Any:
    """Give content that LangChain takes: a text, or a list of texts and mappings."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        return [block if isinstance(block, dict) else str(block) for block in content]
    return json.dumps(content, default=str)


def call_of(given: Mapping[str, Any]) -> ToolCall:
    """Make a tool call; arguments that are no JSON object stay as the text that they are."""
    function = given.get("function")
    said = function if isinstance(function, Mapping) else given
    arguments = said.get("arguments", said.get("args"))
    args = parsed(arguments)
    shown = args if isinstance(args, dict) else {"arguments": args}
    return ToolCall(name=str(said.get("name") or "?"), args=shown, id=str(given.get("id") or "") or None)


def parsed(arguments: object) -> Any:
    """Read arguments that are JSON, unless they are nested too deep to be any."""
    if not isinstance(arguments, str):
        return {} if arguments is None else arguments
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return arguments if too_deep(value) else encodable(value)
