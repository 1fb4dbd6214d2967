"""What one call's money went into: pieces that sum to its cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from langchain_agentcost.finops.prompt_bill import Segment, divide
from langchain_agentcost.ledger.entry import CONSUMING_KINDS, Entry, InputSplit
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage

ABANDONED = "abandoned"
"""The name of the outcome entries that say that a run, or a branch of it, was of no use."""

NOT_ANALYSED = "input, not analysed"
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
    CORRECTIONS: "re-pricing of other calls",
}
"""What money goes into, and what that means."""


class Piece(NamedTuple):
    """A part of one call.

    Args:
        driver: What its money went into, a name of `DRIVERS`.
        cost: The money.
        input_tokens: The prompt tokens in it.
        cache_read_tokens: Those of them that the provider's prompt cache served.
        output_tokens: The generated tokens in it.
    """

    driver: str
    cost: Cost
    input_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0


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

    A call goes whole into the first of these that it is: failed, in an abandoned branch, a retry, verification, other
    overhead, an embedding, a tool. What is left is the agent's own work: its input is divided along the prompt
    (`prompt_bill.divide`), the rest is output, the provider's own tools and request fees.

    Args:
        entry: The call.
        cost: What it cost, corrections included; None where that is not known: the pieces then hold tokens alone.
        marks: What was abandoned.

    Returns:
        The pieces; their costs sum to `cost`, part by part.
    """
    money = cost or Cost()
    if entry.kind not in CONSUMING_KINDS:
        return (Piece("overhead", money),) if cost and cost.total_nano else ()
    usage = entry.usage or Usage()
    for driver, holds in _WHOLE:
        if holds(entry, marks):
            return (Piece(driver, money, usage.input_tokens, usage.cache_read_tokens, usage.output_tokens),)
    cut = tuple(piece for piece in _own_work(entry, usage, money) if any(piece[2:]) or piece.cost != Cost())
    # A call of which nothing is known is still a call.
    return cut or (Piece(NOT_ANALYSED, money),)


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


def _own_work(entry: Entry, usage: Usage, cost: Cost) -> list[Piece]:
    """Divide a model call that was none of the whole-call drivers."""
    split = entry.split
    parts = cost.input_nano + cost.cache_read_nano + cost.cache_write_nano
    other = cost.output_nano + cost.tool_nano + cost.request_nano
    found = [
        Piece("output", Cost(cost.output_nano, output_nano=cost.output_nano), output_tokens=usage.output_tokens),
        Piece("tools", Cost(cost.tool_nano, tool_nano=cost.tool_nano)),
        Piece("request fees", Cost(cost.request_nano, request_nano=cost.request_nano)),
    ]
    # A cost whose parts do not sum to its total was not made by this package; no nano of it may get lost.
    rest = cost.total_nano - parts - other
    if split is None or not usage.input_tokens or sum(_counts(split)) != usage.input_tokens:
        whole = Cost(
            parts + rest,
            input_nano=cost.input_nano,
            cache_read_nano=cost.cache_read_nano,
            cache_write_nano=cost.cache_write_nano,
        )
        return [Piece(NOT_ANALYSED, whole, usage.input_tokens, usage.cache_read_tokens), *found]
    bill = divide(cost, usage, split)
    return [
        _piece("new context", bill.new),
        _piece("re-sent context", bill.resent),
        _piece("tool schemas", bill.tool_schemas),
        _piece("tool results", bill.tool_results),
        Piece(NOT_ANALYSED, Cost(rest)),
        *found,
    ]


def _piece(driver: str, segment: Segment) -> Piece:
    return Piece(driver, segment.cost, segment.tokens, segment.cache_read_tokens)


def _counts(split: InputSplit) -> tuple[int, int, int, int]:
    return split.new_tokens, split.resent_tokens, split.tool_schema_tokens, split.tool_result_tokens
