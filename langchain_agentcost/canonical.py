"""What a message says, in one form: equal messages are equal here, whoever made them and whatever their ids."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING

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
    return json.dumps([message.type, message.content, calls], sort_keys=True, default=str)


def digest(text: str, *, key: bytes = b"") -> bytes:
    """Give the 16-byte BLAKE2b hash of a text (RFC 7693), keyed where a key is given."""
    return blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=16).digest()
