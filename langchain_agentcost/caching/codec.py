"""Values as bytes that can be read without running anything: no pickle, no constructors that a stranger may choose."""

from __future__ import annotations

import json
from typing import Any

import ormsgpack
from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.jsonplus import EXT_NUMPY_ARRAY, JsonPlusSerializer

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
    """Give a message as plain data, with everything that LangChain keeps of it.

    Raises:
        Unstorable: If it carries an artifact that JSON would give back as something else.
    """
    artifact = getattr(message, "artifact", None)
    if artifact is not None and load_json(dump_json(artifact)) != artifact:
        raise Unstorable(f"Its artifact, a {type(artifact).__name__}, would not come back from JSON as it was.")
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
    """LangGraph's serializer, held to safe types whatever the environment says: what else is read is an error.

    LangGraph's own gives the raw data of a type that it does not allow, in the place of the value.
    """

    def __init__(self) -> None:
        super().__init__(pickle_fallback=False, allowed_msgpack_modules=None)
        self._trusted_hook = self._unpack_ext_hook
        self._unpack_ext_hook = self._checked

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Write a value.

        Raises:
            Unstorable: If it could not be read again.
        """
        try:
            typed = super().dumps_typed(obj)
        except (TypeError, ValueError, RecursionError) as error:
            raise Unstorable(f"It cannot be written as msgpack: {error}") from error
        try:
            self.loads_typed(typed)
        except Unreadable as error:
            raise Unstorable(f"It could not be read again: {error}") from error
        return typed

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Read a value.

        Raises:
            Unreadable: If it is not what `dumps_typed` writes, or holds a type that is not known to be safe.
        """
        if data[0] not in ("null", "bytes", "bytearray", "msgpack"):
            raise Unreadable(f"{data[0]!r} is not how values are written here.")
        try:
            return super().loads_typed(data)
        except Exception as error:  # whatever bytes of unknown origin make constructors raise
            raise Unreadable(f"It is not what was written: {error}") from error

    def _checked(self, code: int, data: bytes) -> Any:
        """Read an extension, of which every part has to be of a safe type and become one."""
        if code in _CONSTRUCTED:
            held = ormsgpack.unpackb(data, ext_hook=self._checked, option=ormsgpack.OPT_NON_STR_KEYS)
            if (held[0], held[1]) not in SAFE_MSGPACK_TYPES and tuple(held[:2]) != ("re", "compile"):
                raise Unreadable(f"{held[0]}.{held[1]} is not known to be safe.")
            value = self._trusted_hook(code, data)
            if type(value).__name__ != held[1] and held[0] != "re":
                raise Unreadable(f"No {held[0]}.{held[1]} can be made of it.")
            return value
        value = self._trusted_hook(code, data) if code == EXT_NUMPY_ARRAY else None
        if value is None:
            raise Unreadable(f"Extension {code} is not what values are written with here.")
        return value


_CONSTRUCTED = range(6)
"""The extensions that name a type: LangGraph's `EXT_CONSTRUCTOR_SINGLE_ARG` to `EXT_PYDANTIC_V2`."""
