"""The messages in what a tool call gives: a message, a command that updates the state, or several of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage
from langgraph.types import Command

Result = ToolMessage | Command[Any]


def messages_in(result: Any) -> list[ToolMessage]:
    """Give the tool messages of a result.

    Example:
        >>> said = ToolMessage("Bay 4.", tool_call_id="1")
        >>> len(messages_in(said)), len(messages_in(Command(update={"messages": [said], "bay": 4})))
        (1, 1)
    """
    found: list[ToolMessage] = []

    def note(message: ToolMessage) -> ToolMessage:
        found.append(message)
        return message

    _changed(result, note)
    return found


def with_messages(result: Any, messages: Sequence[ToolMessage]) -> Any:
    """Give a result with others in place of the messages that `messages_in` gave."""
    left = iter(messages)
    return _changed(result, lambda message: next(left, message))


def history(state: Any) -> Sequence[BaseMessage]:
    """Give the messages of a graph's state: a mapping, an object or the list itself; none where it has none."""
    found = state
    if isinstance(state, Mapping):
        found = state.get("messages")
    elif not isinstance(state, list):
        found = getattr(state, "messages", None)
    return [one for one in found if isinstance(one, BaseMessage)] if isinstance(found, list | tuple) else []


def _changed(value: Any, change: Callable[[ToolMessage], ToolMessage]) -> Any:
    if isinstance(value, ToolMessage):
        return change(value)
    if isinstance(value, list):
        return [_changed(one, change) for one in value]
    if isinstance(value, Command):
        return replace(value, update=_updated(value.update, change))
    return value


def _updated(update: Any, change: Callable[[ToolMessage], ToolMessage]) -> Any:
    """What a command writes: any channel may hold the message, and most are called "messages"."""
    if isinstance(update, Mapping):
        return {channel: _changed(value, change) for channel, value in update.items()}
    if isinstance(update, list | tuple):
        pairs = [(one[0], _changed(one[1], change)) if _is_pair(one) else _changed(one, change) for one in update]
        return type(update)(pairs)
    return _changed(update, change)


def _is_pair(one: Any) -> bool:
    return isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str)
