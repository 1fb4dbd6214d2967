"""Values as bytes that can be read without running anything: no pickle, no constructors that a stranger may choose."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langchain_agentcost.errors import Unreadable, Unstorable


def dump_json(value: Any) -> bytes:
    """Write plain data.

    Raises:
        Unstorable: If JSON has no form for it.
    """
    try:
        return json.dumps(value, ensure_ascii=True, allow_nan=True, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Unstorable(f"It cannot be written as JSON: {error}") from error


def load_json(data: bytes) -> Any:
    """Read plain data.

    Raises:
        Unreadable: If it is not JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"It is not JSON: {error}") from error


def message_data(message: BaseMessage) -> dict[str, Any]:
    """Give a message as plain data, with everything that LangChain keeps of it."""
    return message_to_dict(message)


def message_of(data: Any) -> BaseMessage:
    """Read a message; only LangChain's own message classes can come out.

    Raises:
        Unreadable: If it is not one.
    """
    try:
        (message,) = messages_from_dict([data])
    except Exception as error:  # whatever bytes of unknown origin make pydantic raise
        raise Unreadable(f"It is not a message: {type(error).__name__}") from error
    return message


class StrictSerializer(JsonPlusSerializer):
    """LangGraph's serializer, held to safe types whatever the environment says: what else is read is an error."""

    def __init__(self) -> None:
        super().__init__(pickle_fallback=False, allowed_msgpack_modules=None)
