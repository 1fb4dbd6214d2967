"""Which tier's prompt cache holds how much of a thread."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from time import monotonic
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langchain_agentcost.recent import Recent
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.tokens import TokenCounter

THREADS_KEPT = 2_000

_ANY = ""
"""Stands for one tier that had taken all calls; no tier has an empty name."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as a prompt cache sees it: what stands where, and how long it is up to there.

    Args:
        key: The conversation that it belongs to: the thread, and what its prompts begin with.
        marks: A hash of each message, in order.
        tokens: How long the prompt is up to the end of each message, tools included.
        tools_tokens: The tools, which come before all messages.
    """

    key: tuple[str | None, int]
    marks: array[int]
    tokens: tuple[int, ...]
    tools_tokens: int = 0

    @classmethod
    def of(cls, request: RouteRequest, counter: TokenCounter, *, tools_tokens: int = 0) -> Prompt:
        """Look at a request; only its hashes are kept."""
        messages = request.messages
        marks = array("q", map(mark_of, messages))
        sizes = (counter.count_message(message) for message in messages)
        tokens = tuple(accumulate(sizes, initial=tools_tokens))[1:]
        return cls(key_of(request), marks, tokens, tools_tokens)

    @property
    def total_tokens(self) -> int:
        """How long it is."""
        return self.tokens[-1] if self.tokens else self.tools_tokens

    def shared_tokens(self, marks: Sequence[int]) -> int:
        """Give how long the beginning is that it has in common with an earlier prompt."""
        shared = 0
        for own, other in zip(self.marks, marks, strict=False):
            if own != other:
                break
            shared += 1
        return self.tokens[shared - 1] if shared else self.tools_tokens


@dataclass(frozen=True, slots=True)
class _Sent:
    marks: array[int]
    at_s: float


@dataclass(slots=True)
class _Thread:
    last: str
    by_tier: dict[str, _Sent] = field(default_factory=dict)
    rents: dict[str, int] = field(default_factory=dict)


class Warmth:
    """Remembers what was sent to each tier: each model has a prompt cache of its own.

    A thread that a tier has not seen finds there what other threads began with, such as the system prompt. Safe to use
    from many threads.

    Example:
        >>> warmth, counter = Warmth(), TokenCounter()
        >>> prompt = Prompt.of(RouteRequest.of("Where is my order?", thread="t"), counter)
        >>> warmth.sent(prompt, "small")
        >>> warmth.last(prompt), warmth.held_tokens(prompt, "small", ttl_s=300) == prompt.total_tokens
        ('small', True)
        >>> warmth.held_tokens(prompt, "frontier", ttl_s=300)
        0
    """

    def __init__(self) -> None:
        self._threads: Recent[tuple[str | None, int], _Thread] = Recent(THREADS_KEPT)
        self._heads: Recent[tuple[str, int], _Sent] = Recent(THREADS_KEPT)

    def sent(self, prompt: Prompt, tier: str) -> None:
        """Remember that a prompt went to a tier."""
        sent = _Sent(prompt.marks, monotonic())
        thread = self._threads.get(prompt.key) or _Thread(tier)
        if thread.last != tier:
            thread.last, thread.rents = tier, {}
        thread.by_tier = {**thread.by_tier, tier: sent, _ANY: sent}
        self._threads.put(prompt.key, thread)
        for whose in (tier, _ANY):
            self._heads.put((whose, prompt.key[1]), sent)

    def last(self, prompt: Prompt) -> str | None:
        """Give the tier that the thread's last call went to; None where there was none."""
        thread = self._threads.get(prompt.key) if prompt.key[0] is not None else None
        return thread.last if thread is not None else None

    def stayed(self, request: RouteRequest, tier: str, *, preferred: str, nano: int) -> None:
        """Remember what it has cost that a thread's call went to its last tier and not to the one that was preferred.

        Args:
            request: The call.
            tier: Where it went.
            preferred: Where it would have gone, had the prompt cache there held the thread.
            nano: How much less it would have cost there then, in nano-USD.
        """
        thread = self._threads.get(key_of(request)) if request.thread is not None else None
        if thread is not None and thread.last == tier:
            thread.rents = {**thread.rents, preferred: thread.rents.get(preferred, 0) + max(nano, 0)}

    def rents(self, prompt: Prompt) -> Mapping[str, int]:
        """Give what that has come to since the thread's last change of tier, by the preferred tier, in nano-USD."""
        thread = self._threads.get(prompt.key) if prompt.key[0] is not None else None
        return thread.rents if thread is not None else {}

    def held_tokens(self, prompt: Prompt, tier: str, *, ttl_s: float) -> int:
        """Give how many tokens of a prompt a tier was sent not longer than `ttl_s` seconds ago."""
        thread = self._threads.get(prompt.key)
        own = thread.by_tier.get(tier) if thread is not None else None
        held = [sent for sent in (own, self._heads.get((tier, prompt.key[1]))) if sent is not None]
        now = monotonic()
        return max((prompt.shared_tokens(sent.marks) for sent in held if now - sent.at_s <= ttl_s), default=0)

    def seen_tokens(self, prompt: Prompt, *, ttl_s: float) -> int:
        """Give how many tokens of it any tier was sent: what one tier would hold, had it taken all calls."""
        return self.held_tokens(prompt, _ANY, ttl_s=ttl_s)


def key_of(request: RouteRequest) -> tuple[str | None, int]:
    """Name the conversation that a call belongs to: its thread, and what its prompts begin with."""
    head = mark_of(request.messages[0]) if request.messages else 0
    return request.thread, hash((request.tools, head))


def mark_of(message: BaseMessage) -> int:
    """Hash what of a message is sent. Equal messages have equal marks within a process."""
    calls = tuple((call["id"], call["name"]) for call in message.tool_calls) if isinstance(message, AIMessage) else ()
    return hash((message.type, _content_key(message.content), calls))


def _content_key(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return tuple(_block_key(block) for block in content)


def _block_key(block: Any) -> Any:
    """A block's own texts; of what is long and opaque, such as an image, its length."""
    if not isinstance(block, Mapping):
        return str(block)
    return tuple((name, value if isinstance(value, str) else len(str(value))) for name, value in block.items())
