"""What a message says, in one form: equal messages are equal here, whoever made them and whatever their ids."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


def canonical(message: BaseMessage) -> str:
    """Write a message's type, content and tool calls. Ids and metadata, which change from call to call, are left out.

    Args:
        message: Any LangChain message.

    Returns:
        JSON with sorted keys.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> canonical(HumanMessage("Hi", id="1")) == canonical(HumanMessage("Hi", id="2"))
        True
    """
    calls = [(call["name"], call["args"]) for call in getattr(message, "tool_calls", ())]
    return as_json([message.type, message.content, calls])


def as_json(value: Any) -> str:
    """Write a value so that equal values are written equally: JSON with sorted keys, and as text what has none.

    Args:
        value: Any value. What JSON cannot hold at all, such as a list in itself or keys that cannot be sorted, is
            written as Python does.

    Example:
        >>> as_json({"b": 1, "a": ("x", None)})
        '{"a": ["x", null], "b": 1}'
    """
    try:
        return json.dumps(value, sort_keys=True, default=str)
    except (TypeError, ValueError):
        return repr(value)


def digest(text: str, *, key: bytes = b"") -> bytes:
    """Give the 16-byte BLAKE2b hash of a text (RFC 7693), keyed where a key is given."""
    return blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=16).digest()
