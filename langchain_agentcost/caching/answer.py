"""A model's answer as it is kept, and as it is served again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Self
from uuid import uuid4

from langchain_core.messages import AIMessage, AIMessageChunk, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk

from langchain_agentcost.caching.codec import dump_json, load_json, message_data, message_of
from langchain_agentcost.errors import Unreadable
from langchain_agentcost.saving import SparedCall

MARK = "agentcost_cache"
"""Under which key of its `response_metadata` a served answer says where it comes from."""

_CUT_SHORT = frozenset(("length", "max_tokens", "content_filter", "refusal", "safety", "pause_turn", "incomplete"))
"""What providers say of an answer that is not what it would be."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer, how it was streamed, and what it took.

    Args:
        message: The model's own.
        call: What it consumed.
        pieces: How many characters each streamed piece had; empty where it was not streamed.

    Example:
        >>> answer = StoredAnswer(AIMessage("Hi there"), SparedCall(model="gpt-x"), pieces=(3, 5))
        >>> [chunk.text for chunk in StoredAnswer.from_bytes(answer.to_bytes()).chunks({})]
        ['Hi ', 'there']
    """

    message: AIMessage
    call: SparedCall
    pieces: tuple[int, ...] = ()

    def to_bytes(self) -> bytes:
        """Write it.

        Raises:
            Unstorable: If the message holds what JSON cannot.
        """
        return dump_json({"m": message_data(self.message), "c": self.call.as_dict(), "p": self.pieces})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read it.

        Raises:
            Unreadable: If it is not what `to_bytes` writes.
        """
        read = load_json(data)
        try:
            message, call, pieces = message_of(read["m"]), SparedCall.from_dict(read["c"]), tuple(map(int, read["p"]))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise Unreadable(f"It is not an answer: {type(error).__name__}") from error
        if not isinstance(message, AIMessage):
            raise Unreadable("It is a message, but no model's.")
        return cls(message, call, pieces)

    def served(self, mark: dict[str, Any]) -> AIMessage:
        """Give the answer anew: with an id of its own, no usage, and a mark that says where it comes from.

        Nothing of it is shared with whom it was served before.

        Args:
            mark: What the mark says.
        """
        anew = self.message.model_copy(deep=True)
        metadata = {**anew.response_metadata, MARK: mark}
        nothing = UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
        update = {"id": str(uuid4()), "usage_metadata": nothing, "response_metadata": metadata}
        return anew.model_copy(update=update)

    def chunks(self, mark: dict[str, Any]) -> Iterator[AIMessageChunk]:
        """Give the answer in the pieces that it came in; added up they are what `served` gives."""
        whole = self.served(mark)
        text = whole.content
        fits = len(self.pieces) > 1 and min(self.pieces) >= 0 and sum(self.pieces) == len(text)
        if isinstance(text, str) and fits:
            for start, end in list(pairwise((0, *accumulate(self.pieces))))[:-1]:
                yield AIMessageChunk(content=text[start:end], id=whole.id)
            whole = whole.model_copy(update={"content": text[len(text) - self.pieces[-1] :]})
        yield _as_chunk(whole)


def of_a_model(message: AIMessage) -> bool:
    """Whether a chat model said it.

    LangChain gives each message of a model an id. What middleware says in a model's place, that a budget is reached or
    that all retries failed, has none yet.
    """
    return message.id is not None


def complete(message: AIMessage) -> bool:
    """Whether an answer is one that may be served again: not cut short, refused, or broken."""
    said = message.response_metadata
    reasons = (said.get("finish_reason"), said.get("stop_reason"), said.get("status"))
    return not message.invalid_tool_calls and not any(str(reason).lower() in _CUT_SHORT for reason in reasons if reason)


def _as_chunk(message: AIMessage) -> AIMessageChunk:
    """A message as the last piece of a stream."""
    calls = [
        tool_call_chunk(name=call["name"], args=dump_json(call["args"]).decode(), id=call["id"], index=place)
        for place, call in enumerate(message.tool_calls)
    ]
    kept = message.model_dump(exclude={"type", "tool_calls", "invalid_tool_calls"})
    return AIMessageChunk(**kept, tool_call_chunks=calls, chunk_position="last")
