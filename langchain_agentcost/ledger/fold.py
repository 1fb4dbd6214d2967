"""How entries add up: what each kind contributes to a `Total`, in one place for every back end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import add, attrgetter
from typing import Any

from langchain_agentcost.errors import InvalidEntry
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.ledger.entry import CALL_KINDS, CONSUMING_KINDS, PAID_KINDS, PRICED, Entry
from langchain_agentcost.ledger.latency import bucket, percentile
from langchain_agentcost.ledger.query import Value, microseconds
from langchain_agentcost.pricing.cost import PARTS, Cost
from langchain_agentcost.usage import Usage

TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
)
"""The counts of a `Usage`."""

COUNTERS = ("n", "unpriced", "estimated", "flagged")
SAVED = tuple(f"saved_{part}" for part in PARTS)
MEASURES = (*COUNTERS, *TOKENS, *PARTS, *SAVED)
"""What is added up, in the order of every row of measures."""

MAX_AMOUNT = 2**48
"""Counts and nano-USD beyond this (281 trillion tokens, 281,000 USD) are mistakes; sums of them must fit 64 bits."""

tokens_of = attrgetter(*TOKENS)
parts_of = attrgetter(*PARTS)

_NO_TOKENS = (0,) * len(TOKENS)
_NO_PARTS = (0,) * len(PARTS)
_TOKENS_AT = len(COUNTERS)
_COST_AT = _TOKENS_AT + len(TOKENS)
_SAVED_AT = _COST_AT + len(PARTS)


def check(entry: Entry) -> int:
    """Check that an entry can be kept.

    Returns:
        When it started, in microseconds since 1970.

    Raises:
        InvalidEntry: If its instant has no time zone or lies before 1970, or an amount is beyond `MAX_AMOUNT`.
    """
    if entry.at.tzinfo is None:
        raise InvalidEntry(f"Entry {entry.id[:60]!r} has no time zone in `at`; use datetime.now(UTC).")
    at_us = microseconds(entry.at)
    if at_us < 0:
        raise InvalidEntry(f"Entry {entry.id[:60]!r} started before 1970: {entry.at.isoformat()}.")
    usage, cost, saved = entry.usage, entry.cost, entry.saved
    if usage is not None:
        _sensible(entry, tokens_of(usage))
    if cost is not None:
        _sensible(entry, parts_of(cost))
    if saved is not None:
        _sensible(entry, parts_of(saved))
    return at_us


def _sensible(entry: Entry, amounts: Sequence[int]) -> None:
    if max(amounts) > MAX_AMOUNT or min(amounts) < -MAX_AMOUNT:
        worst = max(amounts, key=abs)
        raise InvalidEntry(f"Entry {entry.id[:60]!r} has a count or amount beyond {MAX_AMOUNT}: {worst:.3g}.")


def unpriced(entry: Entry) -> int:
    """What an entry adds to the unpriced calls: 1 for a paid call without a price, -1 for the price that came later."""
    if entry.kind in PAID_KINDS:
        return int(entry.cost is None)
    return -(entry.kind == "correction" and entry.name == PRICED)


def flagged(entry: Entry) -> bool:
    """Whether there is something to know about an entry's usage or price."""
    usage, cost = entry.usage, entry.cost
    return bool((usage is not None and usage.anomalies) or (cost is not None and cost.flags))


def latency_bucket(entry: Entry) -> int | None:
    """The bucket of a model call's duration; None for other entries."""
    duration = entry.duration_s
    return bucket(duration) if entry.kind == "llm" and duration is not None and duration == duration else None


def measures(entry: Entry) -> tuple[int, ...]:
    """One entry as a row of `MEASURES`."""
    usage, cost, saved = entry.usage, entry.cost, entry.saved
    return (
        1,
        unpriced(entry),
        usage is not None and usage.estimated,
        flagged(entry),
        *(_NO_TOKENS if usage is None else tokens_of(usage)),
        *(_NO_PARTS if cost is None else parts_of(cost)),
        *(_NO_PARTS if saved is None else parts_of(saved)),
    )


@dataclass(slots=True)
class Group:
    """The sums of one group while it is being added up."""

    calls: int = 0
    llm_calls: int = 0
    cache_hits: int = 0
    unpriced: int = 0
    estimated: int = 0
    flagged: int = 0
    failed: int = 0
    tokens: Sequence[int] = _NO_TOKENS
    cost: Sequence[int] = _NO_PARTS
    failed_cost: Sequence[int] = _NO_PARTS
    saved: Sequence[int] = _NO_PARTS
    latency: Counter[int] = field(default_factory=Counter)

    def add(self, kind: str, status: str, row: Sequence[int]) -> None:
        """Add a row of `MEASURES` of entries that share kind and status."""
        count, unpriced, estimated, flagged = row[:_TOKENS_AT]
        cost = row[_COST_AT:_SAVED_AT]
        self.cost = [*map(add, self.cost, cost)]
        self.saved = [*map(add, self.saved, row[_SAVED_AT:])]
        self.unpriced += unpriced
        if kind in CALL_KINDS:
            self.calls += count
            self.flagged += flagged
            self.llm_calls += count * (kind == "llm")
            self.cache_hits += count * (kind == "cache_hit")
            self.failed += count * (status != "ok")
        if kind in CONSUMING_KINDS:
            self.tokens = [*map(add, self.tokens, row[_TOKENS_AT:_COST_AT])]
            self.estimated += estimated
        if status != "ok":
            self.failed_cost = [*map(add, self.failed_cost, cost)]

    def total(self, key: tuple[Value, ...]) -> Total:
        """Close the group."""
        return Total(
            key=key,
            calls=self.calls,
            llm_calls=self.llm_calls,
            usage=Usage(**_named(TOKENS, self.tokens), estimated=self.estimated > 0),
            cost=Cost(**_named(PARTS, self.cost)),
            saved=Cost(**_named(PARTS, self.saved)),
            unpriced_calls=self.unpriced,
            estimated_calls=self.estimated,
            flagged_calls=self.flagged,
            failed_calls=self.failed,
            failed_cost=Cost(**_named(PARTS, self.failed_cost)),
            cache_hits=self.cache_hits,
            latency_p50_s=percentile(self.latency, 0.50),
            latency_p95_s=percentile(self.latency, 0.95),
        )


def _named(names: Sequence[str], amounts: Sequence[int]) -> dict[str, Any]:
    return dict(zip(names, amounts, strict=True))


def ranked(totals: Iterable[Total]) -> tuple[Total, ...]:
    """Put totals in order: the dearest first, then by key, so that every back end agrees."""
    return tuple(sorted(totals, key=lambda t: (-t.cost.total_nano, *((v is not None, v) for v in t.key))))
