"""What is noted on a tool result whose text was put aside, so that every later prompt can be counted from itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.context.references.policy import READ_REF


@dataclass(frozen=True, slots=True)
class Mark:
    """What happened to a tool result.

    Args:
        tool: The tool that gave it; "" where it has no name.
        saved_tokens: How much shorter it is than it would be.
        ref: The reference that it names.
        repeat: Whether it only says that the same stands above, in place of a stub.
    """

    tool: str
    saved_tokens: int
    ref: str
    repeat: bool = False

    def on(self, message: ToolMessage) -> ToolMessage:
        """Give a message with this note, which providers are not sent."""
        own = message.additional_kwargs.get("agentcost")
        noted = {**(own if isinstance(own, dict) else {}), "reference": asdict(self)}
        return message.model_copy(update={"additional_kwargs": {**message.additional_kwargs, "agentcost": noted}})

    @classmethod
    def of(cls, message: BaseMessage) -> Self | None:
        """Read the note of a message; None where there is none."""
        own = message.additional_kwargs.get("agentcost")
        noted = own.get("reference") if isinstance(own, dict) else None
        if not isinstance(noted, dict):
            return None
        tool, saved, ref = noted.get("tool"), noted.get("saved_tokens"), noted.get("ref")
        if not (isinstance(tool, str) and isinstance(saved, int) and isinstance(ref, str)):
            return None
        return cls(tool, saved, ref, noted.get("repeat") is True)


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What `read_ref` gave, as the artifact of its result.

    Args:
        ref: The reference.
        tool: The tool whose result was read; None where nothing was found.
        tokens: How long what it gave is.
    """

    ref: str
    tool: str | None
    tokens: int

    def as_artifact(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {"agentcost_read": asdict(self)}

    @classmethod
    def of(cls, message: BaseMessage) -> Self | None:
        """Read it from the result of `read_ref`; None for any other message."""
        if not isinstance(message, ToolMessage) or not isinstance(message.artifact, Mapping):
            return None
        data = message.artifact.get("agentcost_read")
        if not (isinstance(data, Mapping) and isinstance(data.get("tokens"), int)):
            return None
        tool = data.get("tool")
        return cls(str(data.get("ref")), tool if isinstance(tool, str) else None, data["tokens"])


def is_read(name: str | None) -> bool:
    """Tell whether a tool is the one that reads references."""
    return name == READ_REF
