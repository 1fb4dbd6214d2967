"""A provider's prompt cache, simulated: what of a prompt was sent before, by content, and is not yet forgotten."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from langchain_core.messages import BaseMessage

from langchain_agentcost.pricing.prompt_caching import PromptCacheTerms
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Sizes

PROMPTS_KEPT = 128
"""How many earlier prompts are remembered, those aside that a later one goes on from."""


class Chain:
    """Hashes of the beginnings of prompts: equal hashes are equal beginnings.

    Of a prompt that goes on from the last one only what is new is looked at. The first item of a list is about the
    beginning without any message, the second about that with one, and so on.

    Attributes:
        head: The hash of the tools, which stand before the messages.
        hashes: The hashes of the messages of each beginning. The list is another one where a prompt does not go on
            from the last: who keeps the old one has the prompts as they were.
        sums: The tokens of each beginning, tools included.
    """

    __slots__ = ("_messages", "_sizes", "_tools", "hashes", "head", "sums")

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._tools = 0
        self._messages: tuple[BaseMessage, ...] = ()
        self.head = 0
        self.hashes = [0]
        self.sums = [0]

    @property
    def tokens(self) -> int:
        """The tokens of the whole prompt."""
        return self.sums[-1]

    @property
    def key(self) -> tuple[int, int]:
        """What the whole prompt says: equal keys are equal prompts."""
        return self.head, self.hashes[-1]

    def follow(self, request: Request) -> None:
        """Go on to the next prompt."""
        tools = self._sizes.of_tools(request.tools)
        self.head = hash(tools.key)
        if tools.tokens != self._tools:
            self.sums = [before - self._tools + tools.tokens for before in self.sums]
            self._tools = tools.tokens
        same = common(self._messages, request.messages)
        if same < len(self._messages):
            self.hashes, self.sums = self.hashes[: same + 1], self.sums[: same + 1]
        last, tokens = self.hashes[-1], self.sums[-1]
        for message in request.messages[same:]:
            piece = self._sizes.of(message)
            last, tokens = hash((last, piece.key)), tokens + piece.tokens
            self.hashes.append(last)
            self.sums.append(tokens)
        self._messages = request.messages


@dataclass(slots=True)
class Sent:
    """An earlier prompt.

    Args:
        head: The hash of its tools.
        hashes: The hashes of the beginnings of its messages, and perhaps of later ones.
        length: How many of them are its own.
        at_s: When it was sent; infinity where that is not known.
    """

    head: int
    hashes: list[int]
    length: int
    at_s: float

    def shared(self, hashes: list[int], least: int) -> int:
        """How many hashes it has in common with another prompt, or so many at least.

        Each stands for all messages up to it, so they are equal up to some place, and none behind it.
        """
        mine, until = self.hashes, min(self.length, len(hashes))
        if until <= least or mine is hashes:
            return max(until, least)
        if mine[least] != hashes[least]:
            return least
        return bisect_left(range(until), 1, lo=least + 1, key=lambda place: int(mine[place] != hashes[place]))


class PrefixCache:
    """The prompt cache of one model, for the prompts of one run.

    A prompt's longest beginning, in whole messages, that is also the beginning of an earlier prompt is served from the
    cache, as far as the provider's terms allow. Answers are in it once they were sent back as input: some providers
    store them earlier (DeepSeek says so), and recorded reads of theirs lie within 1.6 points of this (see FORMAT.md).
    Where the caller marks what is cached, every prompt is taken to be marked to its end: what nobody reads again was
    written for nothing.

    Args:
        terms: The provider's terms; None where nothing is ever cached.
        sizes: The pieces of the run's prompts.
        warm: Whether another run has just sent the same tools and system message.
        earlier: The prompts of earlier turns of the same conversation; those of this run are added to it.
    """

    def __init__(
        self,
        terms: PromptCacheTerms | None,
        sizes: Sizes,
        *,
        warm: bool = False,
        earlier: deque[Sent] | None = None,
    ) -> None:
        self._terms = terms
        self._chain = Chain(sizes)
        self._sent: deque[Sent] = deque(maxlen=PROMPTS_KEPT) if earlier is None else earlier
        self._warm = warm

    def send(self, request: Request, at_s: float | None = None, *, scale: float = 1.0) -> tuple[int, int]:
        """Send a prompt.

        Args:
            request: The prompt.
            at_s: When, in seconds; None where it is not known: then nothing is forgotten.
            scale: What the tokens of its pieces are multiplied by; see `Sizes.scale`.

        Returns:
            The tokens that the cache serves, and all tokens of the prompt.
        """
        chain = self._chain
        chain.follow(request)
        total = round(chain.tokens * scale)
        if self._terms is None:
            return 0, total
        if self._warm:
            self._warm = False
            static = 1 + (bool(request.messages) and request.messages[0].type == "system")
            self._keep(chain.hashes[:static], at_s)
        read = self._terms.cached(round(self._longest(self._terms, at_s) * scale), total)
        self._keep(chain.hashes, at_s)
        return read, total

    def _longest(self, terms: PromptCacheTerms, at_s: float | None) -> int:
        """The tokens of the longest beginning that is known."""
        chain, best = self._chain, 0
        oldest = -inf if at_s is None else at_s - terms.ttl_s
        for sent in reversed(self._sent):
            if sent.head == chain.head and sent.at_s >= oldest:
                best = sent.shared(chain.hashes, best)
        return chain.sums[best - 1] if best else 0

    def _keep(self, hashes: list[int], at_s: float | None) -> None:
        """Remember a prompt, in place of the last one where it goes on from that and is not older."""
        head, now = self._chain.head, inf if at_s is None else at_s
        last = self._sent[-1] if self._sent else None
        if last is not None and last.head == head and last.hashes is hashes and last.at_s <= now:
            last.length, last.at_s = len(hashes), now
        else:
            self._sent.append(Sent(head, hashes, len(hashes), now))


def common(before: Sequence[object], now: Sequence[object]) -> int:
    """Count how many objects, from the first on, are equal in both. The same object is found equal at once.

    Example:
        >>> common((1, 2, 3), (1, 2, 4, 5))
        2
    """
    first, second = tuple(before), tuple(now)
    low, high = 0, min(len(first), len(second))
    if first[:high] == second[:high]:
        return high
    while high - low > 1:  # equal up to low, not up to high
        middle = (low + high) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle
    return low
