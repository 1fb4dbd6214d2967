"""What would stand in the prompt for a tool result: worked out before anything is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_agentcost.context.compress.compressed import Compressed
from langchain_agentcost.context.compress.lossless import lossless
from langchain_agentcost.context.references.marks import Mark
from langchain_agentcost.context.references.outline import parsed
from langchain_agentcost.context.references.policy import ReferencePolicy
from langchain_agentcost.context.references.stub import stub
from langchain_agentcost.context.references.texts import only_text, texts_of, with_texts

Count = Callable[[str], int]

MOST_LEFT = 0.7
"""A stub of more than this share of the text is not worth a reference."""

_CALL_CHARS = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """A tool result as it came, and as short as it can be without a store.

    Args:
        message: The message as it came.
        tool: The tool that gave it.
        text: All its text, as it came: what is stored.
        shown: What its stub is made of: a page without its markup, which is in the store.
        shorter: Its texts after lossless compression.
        tokens: How long these are.
        compressed_tokens: What that saved.
        twin: Which call above gave the same, where one that is still there did.
    """

    message: ToolMessage
    tool: str
    text: str
    shown: str
    shorter: tuple[str, ...]
    tokens: int
    compressed_tokens: int
    twin: str | None

    def compressed(self) -> ToolMessage:
        """Give the message with its shorter texts."""
        return with_texts(self.message, self.shorter) if self.compressed_tokens else self.message

    def repeat(self, ref: str, count: Count, twin: str | None = None) -> ToolMessage:
        """Give the message that only says which call above gave the same."""
        note = f"Word for word the result of {twin or self.twin} above. [ref:{ref}]"
        return Mark(self.tool, self.tokens - count(note), ref, repeat=True).on(with_texts(self.message, [note]))

    def stubbed(self, ref: str, count: Count) -> ToolMessage | None:
        """Give the message with a stub; None where that is not much shorter."""
        note = f'[ref:{ref}: read_ref(ref="{ref}") gives the rest, by lines, query or jsonpath]'
        made = stub(self.shown, note=note, tokens=self.tokens)
        left = count(made)
        if made == self.shown or left > MOST_LEFT * self.tokens:
            return None
        return Mark(self.tool, self.tokens - left, ref).on(with_texts(self.message, [made]))


def drafted(
    message: ToolMessage, *, tool: str, policy: ReferencePolicy, count: Count, history: Sequence[BaseMessage]
) -> Draft | None:
    """Work out what could stand for a tool result.

    Args:
        message: The result.
        tool: The tool that gave it.
        policy: The rules.
        count: Counts tokens.
        history: The messages before it.

    Returns:
        The draft; None where there is no text to shorten.
    """
    texts = texts_of(message)
    text = "\n".join(texts)
    if not text.strip():
        return None
    made = [_compressed(one, policy=policy, count=count) for one in texts]
    shorter = tuple(given if one.lost else one.text for one, given in zip(made, texts, strict=True))
    before = sum(one.tokens_before for one in made)
    tokens = sum(one.tokens_before if one.lost else one.tokens_after for one in made)
    shown = text if parsed(text) is not None else "\n".join(one.text for one in made)
    twin = _twin(message, shorter, history) if tokens >= policy.repeat_tokens else None
    return Draft(message, tool, text, shown, shorter, tokens, before - tokens, twin)


def _compressed(text: str, *, policy: ReferencePolicy, count: Count) -> Compressed:
    if policy.lossless:
        return lossless(text, count=count)
    tokens = count(text)
    return Compressed(text, tokens, tokens)


def stub_above(ref: str, history: Sequence[BaseMessage]) -> str | None:
    """Name the call above whose result has the stub of a reference; None where there is none."""
    for at, message in enumerate(history):
        mark = Mark.of(message)
        if mark is not None and mark.ref == ref and not mark.repeat and isinstance(message, ToolMessage):
            return _call(message, history[:at])
    return None


def _twin(message: ToolMessage, shorter: Sequence[str], history: Sequence[BaseMessage]) -> str | None:
    """Name the latest call before this one that has the same result, word for word."""
    if not only_text(message):
        return None
    same = (list(shorter), texts_of(message))
    for at in range(len(history) - 1, -1, -1):
        one = history[at]
        if isinstance(one, ToolMessage) and one.status == message.status and only_text(one) and texts_of(one) in same:
            return _call(one, history[:at])
    return None


def _call(message: ToolMessage, before: Sequence[BaseMessage]) -> str:
    """A call as a model knows it: by its name and arguments, since many models are not shown ids."""
    calls = (call for one in reversed(before) if isinstance(one, AIMessage) for call in one.tool_calls)
    call = next((call for call in calls if call["id"] == message.tool_call_id), None)
    if call is None:
        return message.name or "a call"
    asked = json.dumps(call["args"], ensure_ascii=False, default=str)
    return f"{call['name']}({asked if len(asked) <= _CALL_CHARS else asked[:_CALL_CHARS] + '…'})"
