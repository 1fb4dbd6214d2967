"""A provider's prompt cache, simulated: what of a prompt was sent before, by content, and is not yet forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import is_

from langchain_core.messages import BaseMessage

from langchain_agentcost.pricing.prompt_caching import PromptCacheTerms
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Sizes


class Chain:
    """Hashes of the beginnings of prompts, one after the other: equal hashes are equal beginnings.

    Of a prompt that goes on from the last one only what is new is looked at.

    Attributes:
        hashes: For each piece of the last prompt, the hash of everything up to and with it; the tools are piece 0.
        sums: The tokens up to and with it.
        shared: How many pieces the last prompt had in common with the one before it.
    """

    __slots__ = ("_messages", "_sizes", "hashes", "shared", "sums")

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._messages: tuple[BaseMessage, ...] = ()
        self.hashes: list[int] = []
        self.sums: list[int] = []
        self.shared = 0

    def follow(self, request: Request) -> None:
        """Go on to the next prompt."""
        tools = self._sizes.of_tools(request.tools)
        head = hash(tools.key)
        if not self.hashes or self.hashes[0] != head:
            self.hashes, self.sums, self.shared = [head], [tools.tokens], 0
            same = 0
        else:
            same = common(self._messages, request.messages)
            del self.hashes[same + 1 :], self.sums[same + 1 :]
            self.shared = same + 1
        last, tokens = self.hashes[-1], self.sums[-1]
        of = self._sizes.of
        for message in request.messages[same:]:
            piece = of(message)
            last, tokens = hash((last, piece.key)), tokens + piece.tokens
            self.hashes.append(last)
            self.sums.append(tokens)
        self._messages = request.messages


class PrefixCache:
    """The prompt cache of one model, for the prompts of one run.

    A prompt's longest beginning, in whole messages, that is also the beginning of an earlier prompt is served from the
    cache, as far as the provider's terms allow. Answers are in it once they were sent back as input: some providers
    store them earlier (DeepSeek says so), and recorded reads of theirs lie within 1.1 points of this (see FORMAT.md).
    For caches that the caller marks, the marks are taken to be where they help.

    Args:
        terms: The provider's terms.
        sizes: The pieces of the run's prompts.
        warm: Whether another run has just sent the same tools and system message.
    """

    def __init__(self, terms: PromptCacheTerms, sizes: Sizes, *, warm: bool = False) -> None:
        self._terms = terms
        self._chain = Chain(sizes)
        self._known: dict[int, float] = {}
        self._warm = warm

    def send(self, request: Request, at_s: float | None = None) -> tuple[int, int]:
        """Send a prompt.

        Args:
            request: The prompt.
            at_s: When, in seconds; None where it is not known: then nothing is ever forgotten.

        Returns:
            The tokens that the cache serves, and all tokens of the prompt.
        """
        chain = self._chain
        chain.follow(request)
        if self._warm:
            self._warm = False
            static = 1 + (bool(request.messages) and request.messages[0].type == "system")
            self._known.update(zip(chain.hashes[:static], repeat(at_s or 0.0)))
        read = self._terms.cached(self._longest(at_s), chain.sums[-1])
        new = chain.hashes if at_s is not None else chain.hashes[chain.shared :]
        self._known.update(zip(new, repeat(at_s or 0.0)))
        return read, chain.sums[-1]

    def _longest(self, at_s: float | None) -> int:
        """The tokens of the longest beginning that is known."""
        chain, known = self._chain, self._known
        oldest = 0.0 if at_s is None else at_s - self._terms.ttl_s
        for position in range(len(chain.hashes) - 1, -1, -1):
            used = known.get(chain.hashes[position])
            if used is not None and used >= oldest:
                return chain.sums[position]
        return 0


def common(before: Sequence[object], now: Sequence[object]) -> int:
    """Count how many objects, from the first on, are the same in both."""
    shorter = min(len(before), len(now))
    if all(map(is_, before, now)):
        return shorter
    return next(i for i in range(shorter) if before[i] is not now[i])
