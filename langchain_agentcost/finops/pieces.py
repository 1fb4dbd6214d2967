"""What one call's money went into: pieces that sum to its cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

from langchain_agentcost.finops.prompt_bill import divide
from langchain_agentcost.ledger.entry import CONSUMING_KINDS, Entry, InputSplit
from langchain_agentcost.pricing.cost import PARTS, Cost
from langchain_agentcost.usage import Usage

ABANDONED = "abandoned"
"""The name of the outcome entries that say that a run, or a branch of it, was of no use."""

NOT_ANALYSED = "input, not analysed"
CACHE_HITS = "cache hits"
CORRECTIONS = "corrections"

DRIVERS: dict[str, str] = {
    "new context": "input, first time sent",
    "re-sent context": "input, sent before",
    "tool schemas": "descriptions of bound tools",
    "tool results": "results, first time sent",
    NOT_ANALYSED: "make-up was not recorded",
    "output": "answers and reasoning",
    "tools": "priced or provider's tools",
    "request fees": "fees per request or task",
    "embeddings": "embedding calls",
    "verification": "calls that check others",
    "overhead": "calls such as summaries",
    "retries": "calls from attempt 2 on",
    "abandoned branches": "calls marked as abandoned",
    "failed calls": "calls failed or aborted",
    CACHE_HITS: "answered without the provider",
    CORRECTIONS: "re-pricing of other calls",
}
"""What money goes into, and what that means."""


class Piece(NamedTuple):
    """A part of one call, in plain numbers: a ledger has millions.

    Args:
        driver: What its money went into, a name of `DRIVERS`.
        nano: The money in nano-USD, in the order of `PARTS`.
        tokens: Its tokens, in the order of `TOKENS`.
    """

    driver: str
    nano: tuple[int, ...]
    tokens: tuple[int, ...] = (0, 0, 0)


TOKENS = ("input_tokens", "cache_read_tokens", "output_tokens")
"""The counts of a `Usage` that a piece has."""


class Marks:
    """Which runs, and which branches of them, were marked as abandoned.

    Args:
        marks: The outcome entries named "abandoned". One without a node is about the whole run, one with a node about
            that node and all below it.

    Example:
        >>> from datetime import UTC, datetime
        >>> from langchain_agentcost.attribution import Attribution
        >>> def at(node):
        ...     return Entry("1", "outcome", datetime.now(UTC), Attribution(run="r", node=node))
        >>> marks = Marks([at("plan")])
        >>> marks.cover(at("plan/search")), marks.cover(at("planning"))
        (True, False)
    """

    def __init__(self, marks: Iterable[Entry] = ()) -> None:
        self._nodes: dict[str, set[str | None]] = {}
        for mark in marks:
            if mark.attribution.run is not None:
                self._nodes.setdefault(mark.attribution.run, set()).add(mark.attribution.node)

    def cover(self, entry: Entry) -> bool:
        """Say whether an entry lies in an abandoned run or branch."""
        run, node = entry.attribution.run, entry.attribution.node
        nodes = self._nodes.get(run) if run is not None else None
        if not nodes:
            return False
        return None in nodes or (node is not None and any(_below(node, mark) for mark in nodes if mark is not None))


def pieces(entry: Entry, cost: Cost | None, marks: Marks) -> tuple[Piece, ...]:
    """Say what one call's money went into.

    A cache hit has a driver of its own. Any other call goes whole into the first of these that it is: failed, in an
    abandoned branch, a retry, verification, other overhead, an embedding, a tool. What is left is the agent's own work:
    its input is divided along the prompt (`prompt_bill.divide`), the rest is output, the provider's own tools and
    request fees.

    Args:
        entry: The call.
        cost: What it cost, corrections included; None where that is not known: the pieces then hold tokens alone.
        marks: What was abandoned.

    Returns:
        The pieces; their costs sum to `cost`, part by part.
    """
    nano = nano_of(cost) if cost else _NO_MONEY
    if entry.kind == "cache_hit":
        return (Piece(CACHE_HITS, nano),)
    if entry.kind not in CONSUMING_KINDS:
        return (Piece("overhead", nano),) if any(nano) else ()
    usage = entry.usage or _NO_USAGE
    for driver, holds in _WHOLE:
        if holds(entry, marks):
            return (Piece(driver, nano, _tokens_of(usage)),)
    # A call of which nothing is known is still a call.
    return tuple(_own_work(entry.split, usage, cost or _NO_COST)) or (Piece(NOT_ANALYSED, nano),)


nano_of = attrgetter(*PARTS)
_tokens_of = attrgetter(*TOKENS)
_NO_COST, _NO_USAGE = Cost(), Usage()
_NO_MONEY: tuple[int, ...] = nano_of(_NO_COST)


def _below(node: str, mark: str) -> bool:
    return node == mark or node.startswith(f"{mark}/")


_WHOLE: tuple[tuple[str, Callable[[Entry, Marks], bool]], ...] = (
    ("failed calls", lambda entry, _: entry.status != "ok"),
    ("abandoned branches", lambda entry, marks: marks.cover(entry)),
    ("retries", lambda entry, _: entry.attribution.attempt > 1),
    ("verification", lambda entry, _: entry.attribution.purpose == "verification"),
    ("overhead", lambda entry, _: entry.attribution.purpose is not None),
    ("embeddings", lambda entry, _: entry.kind == "embedding"),
    ("tools", lambda entry, _: entry.kind in ("tool", "retriever")),
)
"""Drivers that take a whole call, in the order of precedence that makes them disjoint."""

WHOLE_CALLS = frozenset(driver for driver, _ in _WHOLE)
"""Their names. A model call in none of them is the agent's own work."""


def _own_work(split: InputSplit | None, usage: Usage, cost: Cost) -> Iterator[Piece]:
    """Divide a model call that was none of the whole-call drivers."""
    if cost.output_nano or usage.output_tokens:
        yield Piece("output", _nano(output=cost.output_nano), (0, 0, usage.output_tokens))
    if cost.tool_nano:
        yield Piece("tools", _nano(tool=cost.tool_nano))
    if cost.request_nano:
        yield Piece("request fees", _nano(request=cost.request_nano))
    yield from _input(split, usage, cost)


def _input(split: InputSplit | None, usage: Usage, cost: Cost) -> Iterator[Piece]:
    """Divide what a call paid for its input."""
    # A cost whose parts do not sum to its total was not made by this package; no nano of it may get lost.
    odd = 2 * cost.total_nano - sum(nano_of(cost))
    if split is None or not usage.input_tokens or sum(_split_of(split)) != usage.input_tokens:
        read, write, uncached = _input_of(cost)
        nano = (read + write + uncached + odd, uncached, 0, read, write, 0, 0)
        if any(nano) or usage.input_tokens:
            yield Piece(NOT_ANALYSED, nano, (usage.input_tokens, usage.cache_read_tokens, 0))
        return
    for driver, segment in zip(_SEGMENTS, divide(cost, usage, split), strict=True):
        if any(segment):
            tokens, read_tokens, read, write, uncached = segment
            yield Piece(driver, (read + write + uncached, uncached, 0, read, write, 0, 0), (tokens, read_tokens, 0))
    if odd:
        yield Piece(NOT_ANALYSED, _nano(odd=odd))


_SEGMENTS = ("tool schemas", "re-sent context", "new context", "tool results")
_input_of = attrgetter("cache_read_nano", "cache_write_nano", "input_nano")
_split_of = attrgetter("new_tokens", "resent_tokens", "tool_schema_tokens", "tool_result_tokens")


def _nano(*, output: int = 0, request: int = 0, tool: int = 0, odd: int = 0) -> tuple[int, ...]:
    """Amounts in the order of `PARTS`; `odd` is part of the total alone."""
    return output + request + tool + odd, 0, output, 0, 0, request, tool
