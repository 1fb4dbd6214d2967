"""Prompts that were recorded one by one, as one history where they go on from each other.

What a prompt cache, a strategy or a sum sees as the same has to be the same object. So every message that recurs in a
later prompt becomes the object that it was before, and prompts that only add something share a history.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from operator import is_

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_agentcost.canonical import canonical, digest

MAX_GOING_ON = 16
"""How many histories may be gone on from: agents that a run has at work at once, with the latest trimmed prompts."""

OVERHEAD_CHARS = 1000
"""What a message takes in memory beside its text."""


class Shared:
    """The messages of one run, each once.

    Two messages are the same if they have the same key and the same number of equal ones stand before them: a "yes" at
    the beginning of a conversation is another one than a "yes" at its end.

    Attributes:
        chars: About how much memory they take, in characters.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> shared = Shared()
        >>> first, second = [shared.prompt([(b"hi", HumanMessage("Hi"))]) for _ in range(2)]
        >>> first[0] is second[0]
        True
    """

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, int], BaseMessage] = {}
        self._keys: dict[int, bytes] = {}
        self.chars = 0

    def prompt(self, messages: Iterable[tuple[bytes, BaseMessage]]) -> tuple[BaseMessage, ...]:
        """Give a prompt in the objects that stood for its messages before.

        Args:
            messages: Each message's key, and an object for it where it is new.
        """
        before: Counter[bytes] = Counter()
        found = []
        for key, message in messages:
            found.append(self._one(key, before[key], message))
            before[key] += 1
        return tuple(found)

    def next(self, prompt: Sequence[BaseMessage], key: bytes, message: BaseMessage) -> BaseMessage:
        """Give the object for a message that comes right after a prompt: its answer."""
        return self._one(key, sum(self._keys.get(id(earlier)) == key for earlier in prompt), message)

    def __len__(self) -> int:
        """Say how many messages there are."""
        return len(self._known)

    def _one(self, key: bytes, before: int, message: BaseMessage) -> BaseMessage:
        known = self._known.get((key, before))
        if known is None:
            known = self._known[key, before] = message
            self._keys[id(message)] = key
            self.chars += OVERHEAD_CHARS + len(str(message.content))
        return known


class Histories:
    """The histories of one run's calls, in the order in which they were made.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> histories, (a, b) = Histories(), (HumanMessage("a"), HumanMessage("b"))
        >>> (first, _), (second, length) = histories.place([a]), histories.place([a, b])
        >>> first is second, length
        (True, 2)
    """

    def __init__(self) -> None:
        self._latest: deque[list[BaseMessage]] = deque(maxlen=MAX_GOING_ON)

    def place(self, prompt: Sequence[BaseMessage]) -> tuple[Sequence[BaseMessage], int]:
        """Give the history that a prompt is the beginning of, and how much of it that is.

        A prompt that begins with all of an earlier one goes on with its history. One that does not, such as that of a
        sub-agent or of a history that was trimmed, begins one of its own.
        """
        for place, history in enumerate(self._latest):
            if all(map(is_, history, prompt)):  # as far as the shorter one goes
                history.extend(prompt[len(history) :])
                del self._latest[place]
                self._latest.appendleft(history)
                return history, len(prompt)
        self._latest.appendleft(list(prompt))
        return self._latest[0], len(prompt)


def key_of_message(message: BaseMessage) -> bytes:
    """Give the key of a message: what it says, with the ids that tie a tool's result to the call."""
    ties: list[str | None] = []
    if isinstance(message, ToolMessage):
        ties = [message.tool_call_id, message.status]
    elif isinstance(message, AIMessage):
        ties = [call["id"] for call in message.tool_calls]
    return digest(json.dumps([canonical(message), ties]))
