"""A history as blocks: what must stay together when part of it goes.

A provider refuses a prompt in which a tool call has no result, or a result no call. So nothing here, and nothing that
builds on it, ever moves or drops a single message: it works on blocks, and a call is never parted from its results.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage


class BlockKind(StrEnum):
    """What a block is.

    Attributes:
        SYSTEM: An instruction of the developer.
        HUMAN: What a user said.
        AI: An answer, with all results of the calls that it made, and whatever came between them.
        ORPHAN: A tool result without a call before it, which providers refuse.
        OTHER: Any other message.
    """

    SYSTEM = "system"
    HUMAN = "human"
    AI = "ai"
    ORPHAN = "orphan"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring messages that stay together.

    Args:
        kind: What it is.
        start: The place of its first message in the history.
        messages: Its messages, in their order.
        waiting: The ids of its calls that have no result yet.
    """

    kind: BlockKind
    start: int
    messages: tuple[BaseMessage, ...]
    waiting: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """The place behind its last message."""
        return self.start + len(self.messages)

    @property
    def pinned(self) -> bool:
        """Whether it must stay as it is: `pin` marks a message of it."""
        return any(is_pinned(message) for message in self.messages)


def pin(message: BaseMessage) -> BaseMessage:
    """Give a copy of a message that no selection, mask or summary will ever touch.

    Args:
        message: Any message.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> is_pinned(pin(HumanMessage("Never ship before the customer has paid.")))
        True
    """
    own = {**_own(message), "pin": True}
    return message.model_copy(update={"additional_kwargs": {**message.additional_kwargs, "agentcost": own}})


def is_pinned(message: BaseMessage) -> bool:
    """Tell whether `pin` has marked a message."""
    return _own(message).get("pin") is True


def blocks(messages: Sequence[BaseMessage]) -> tuple[Block, ...]:
    """Divide a history into blocks: every message is in one, and they follow each other without a gap.

    A result belongs to the latest answer before it that called by its id, however many messages stand between, and all
    of these are then one block: also where answers overlap. Calls with invalid arguments count, and so do the tools
    that run at the provider.

    Args:
        messages: The history. It may have any faults: nothing is raised.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> asked = AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "1"}])
        >>> history = [
        ...     HumanMessage("Where is A7?"),
        ...     asked,
        ...     ToolMessage("Bay 4.", tool_call_id="1"),
        ...     AIMessage("Bay 4."),
        ... ]
        >>> [(block.kind.value, len(block.messages)) for block in blocks(history)]
        [('human', 1), ('ai', 2), ('ai', 1)]
    """
    ends, homes, waiting = _links(messages)
    found, start = [], 0
    while start < len(messages):
        end, at = start + 1, start
        while at < end:
            end = max(end, ends.get(at, 0))
            at += 1
        open_calls = tuple(call for place in range(start, end) for call in waiting.get(place, ()))
        kind = _kind(messages[start], orphan=start not in homes)
        found.append(Block(kind, start, tuple(messages[start:end]), open_calls))
        start = end
    return tuple(found)


def validate(messages: Sequence[BaseMessage]) -> tuple[str, ...]:
    """Say what providers would refuse in a history: the invariant that every projection keeps.

    A call without a result is a fault only where something else than results of its answer follows: else the tool has
    not run yet.

    Args:
        messages: The history.

    Returns:
        The faults, each as a sentence; none where it is sound.

    Example:
        >>> validate([ToolMessage("Bay 4.", tool_call_id="1")])
        ('message 0: the result of call 1 has no call before it.',)
    """
    return tuple(_faults(messages))


def orphans(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Give the tool results that have no call before them.

    Example:
        >>> len(orphans([ToolMessage("Bay 4.", tool_call_id="1")]))
        1
    """
    _, homes, _ = _links(messages)
    return [one for place, one in enumerate(messages) if isinstance(one, ToolMessage) and place not in homes]


def _faults(messages: Sequence[BaseMessage]) -> Iterator[str]:
    _, homes, waiting = _links(messages)
    given: set[tuple[int, str]] = set()
    for place, message in enumerate(messages):
        if not isinstance(message, ToolMessage):
            continue
        if place not in homes:
            yield f"message {place}: the result of call {message.tool_call_id} has no call before it."
        elif (result := (homes[place], message.tool_call_id)) in given:
            yield f"message {place}: call {message.tool_call_id} has a second result."
        else:
            given.add(result)
    for place, calls in waiting.items():
        if any(homes.get(at) != place for at in range(place + 1, len(messages))):
            yield from (f"message {place}: call {call} has no result." for call in calls)


def _links(messages: Sequence[BaseMessage]) -> tuple[dict[int, int], dict[int, int], dict[int, tuple[str, ...]]]:
    """Where each answer's last result ends, which answer each result belongs to, and which calls have none."""
    last_call: dict[str, int] = {}
    ends: dict[int, int] = {}
    homes: dict[int, int] = {}
    waiting: dict[int, dict[str, None]] = {}
    for place, message in enumerate(messages):
        for call in _results(message):
            home = last_call.get(call)
            if home is None:
                continue
            homes[place] = home
            ends[home] = place + 1
            waiting[home].pop(call, None)
        calls = _calls(message)
        if calls:
            waiting[place] = dict.fromkeys(calls)
            last_call.update(dict.fromkeys(calls, place))
            for call in _results(message):  # a provider's own tool answers in the same message
                waiting[place].pop(call, None)
    return ends, homes, {place: tuple(calls) for place, calls in waiting.items() if calls}


def _kind(message: BaseMessage, *, orphan: bool) -> BlockKind:
    if isinstance(message, AIMessage):
        return BlockKind.AI
    if isinstance(message, ToolMessage):
        return BlockKind.ORPHAN if orphan else BlockKind.AI
    return {"system": BlockKind.SYSTEM, "human": BlockKind.HUMAN}.get(message.type, BlockKind.OTHER)


def _calls(message: BaseMessage) -> list[str]:
    """The ids that an answer calls by."""
    if not isinstance(message, AIMessage):
        return []
    called = [call.get("id") for call in (*message.tool_calls, *message.invalid_tool_calls)]
    at_provider = [block.get("id") for block in _content(message) if block.get("type") in _SERVER_CALLS]
    return [call for call in (*called, *at_provider) if isinstance(call, str)]


def _results(message: BaseMessage) -> list[str]:
    """The ids of the calls that a message has the results of."""
    if isinstance(message, ToolMessage):
        return [message.tool_call_id]
    if not isinstance(message, AIMessage):
        return []
    told = [
        block.get("tool_call_id") or block.get("tool_use_id")
        for block in _content(message)
        if str(block.get("type", "")).endswith("_tool_result")
    ]
    return [call for call in told if isinstance(call, str)]


_SERVER_CALLS = frozenset({"server_tool_call", "server_tool_use", "mcp_tool_use"})
"""Content blocks that call a tool at the provider: LangChain's own name and Anthropic's."""


def _content(message: AIMessage) -> Iterator[dict[str, Any]]:
    if isinstance(message.content, list):
        yield from (block for block in message.content if isinstance(block, dict))


def _own(message: BaseMessage) -> dict[str, Any]:
    """What this package has noted on a message."""
    own = message.additional_kwargs.get("agentcost")
    return own if isinstance(own, dict) else {}
