"""What tools give, as bytes and back: only what comes back as it was is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.caching.answer import MARK
from langchain_agentcost.caching.codec import dump_json, load_json, message_data, message_of
from langchain_agentcost.caching.plain import plain_json
from langchain_agentcost.caching.tool_inputs import AskedTool
from langchain_agentcost.errors import Unreadable, Unstorable

_SAYS_ERROR = re.compile(
    r"\s*(error\s*(code\s*)?\d*\s*[:-]\s|traceback \(most recent call last\)"
    r"|http(/\d(\.\d)?)?\s*(error\s*)?(status\s*)?(code\s*)?:?\s*(429|5\d\d)\b"
    r"|(429|5\d\d)[\s:-]+(service|internal|bad gateway|gateway time|too many|server error|rate limit))",
    re.IGNORECASE,
)
"""How a result begins that says that it is an error, where its status does not."""


class ToolResult(NamedTuple):
    """What a tool gave: a message, or a bare value."""

    value: Any

    @property
    def failed(self) -> bool:
        """Whether it says that it is an error, by its status or by how its text begins."""
        said = self.value.text if isinstance(self.value, ToolMessage) else self.value
        by_status = isinstance(self.value, ToolMessage) and self.value.status == "error"
        return by_status or (isinstance(said, str) and _SAYS_ERROR.match(said) is not None)

    @property
    def says(self) -> str:
        """What it says, as JSON: equal for results that a model cannot tell apart."""
        return plain_json(self.value.content if isinstance(self.value, ToolMessage) else self.value)

    def dumped(self, asked: AskedTool) -> bytes:
        """Write it.

        Args:
            asked: The call that it answers.

        Raises:
            Unstorable: If it is no message that answers the call and no plain value, or would not come back as it was.
        """
        if not self._answers(asked.call_id):
            raise Unstorable(f"A {type(self.value).__name__} is not what answers this call.")
        try:
            data = dump_json(_written(self.value))
            same = plain_json(ToolResult.loaded(data).value) == plain_json(self.value)
        except Exception as error:  # artifacts are anybody's objects; what was made must not be lost
            raise Unstorable(f"It cannot be stored: {error!r}") from error
        if not same:
            raise Unstorable(f"A {type(self.value).__name__} does not come back from JSON as it was.")
        return data

    @classmethod
    def loaded(cls, data: bytes) -> ToolResult:
        """Read what `dumped` wrote.

        Raises:
            Unreadable: If it is something else.
        """
        found = load_json(data)
        if isinstance(found, dict) and found.keys() == {"value"}:
            return cls(found["value"])
        if not (isinstance(found, dict) and found.keys() <= {"message", "documents"} and "message" in found):
            raise Unreadable("It is no tool's result.")
        message = message_of(found["message"])
        if not isinstance(message, ToolMessage):
            raise Unreadable(f"It is a message of type {message.type!r}, and no tool's.")
        if "documents" in found:
            message.artifact = _documents(found["documents"])
        return cls(message)

    def answer(self, asked: AskedTool, *, cache: str, age_s: float) -> Any:
        """Give it as the answer of another call.

        Args:
            asked: The call: its id and name are the message's.
            cache: Which cache serves it.
            age_s: How old it is, in seconds.
        """
        if not isinstance(self.value, ToolMessage):
            return self.value
        told = {**self.value.response_metadata, MARK: {"cache": cache, "age_s": round(age_s, 3)}}
        own = {"id": None, "tool_call_id": asked.call_id, "name": asked.name, "response_metadata": told}
        return self.value.model_copy(update=own)

    def _answers(self, call_id: str | None) -> bool:
        if call_id is None:
            return not isinstance(self.value, BaseMessage)
        return isinstance(self.value, ToolMessage) and self.value.tool_call_id == call_id


def _written(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, ToolMessage):
        return {"value": value}
    if not _are_documents(value.artifact):  # what retrievers give
        return {"message": message_data(value)}
    bare = message_data(value.model_copy(update={"artifact": None}))
    return {"message": bare, "documents": [document.model_dump() for document in value.artifact]}


def _are_documents(artifact: Any) -> bool:
    return isinstance(artifact, list) and bool(artifact) and all(type(item) is Document for item in artifact)


def _documents(data: Any) -> list[Document]:
    try:
        return [Document.model_validate(item) for item in data]
    except (ValueError, TypeError) as error:
        raise Unreadable("Its artifact is no list of documents.") from error
