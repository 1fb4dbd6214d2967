"""All that a model reads of a message, as one text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage


def text_of(message: BaseMessage) -> str:
    """Give all that a model reads of a message: its text and the arguments of its tool calls.

    Example:
        >>> text_of(AIMessage("Sure.", tool_calls=[{"name": "look", "args": {"at": ["B7", 12]}, "id": "1"}])).split()
        ['Sure.', 'B7', '12']
    """
    asked = [call["args"] for call in message.tool_calls] if isinstance(message, AIMessage) else []
    if isinstance(message.content, str) and not asked:
        return message.content
    return "\n".join(leaves([message.content, asked]))


def leaves(value: Any) -> Iterator[str]:
    """Give the texts and numbers in a value, in order.

    Args:
        value: Plain data, such as the arguments of a call.
    """
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            waiting.extend(reversed(list(item.values())))
        elif isinstance(item, list | tuple):
            waiting.extend(reversed(item))
        elif isinstance(item, str):
            yield item
        elif item is not None and not isinstance(item, bool):
            yield str(item)
