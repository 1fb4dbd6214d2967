"""How entries add up: what each kind contributes to a `Total`, in one place for every back end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add as _plus
from operator import attrgetter
from typing import Any

from langchain_agentcost.errors import InvalidEntry
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.ledger.entry import (
    CALL_KINDS,
    CONSUMING_KINDS,
    KINDS,
    PAID_KINDS,
    PRICED,
    SAVING_KINDS,
    STATUSES,
    Entry,
)
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

COMMON = (
    "n",
    "unpriced",
    "estimated",
    "flagged",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "total_nano",
    "input_nano",
    "output_nano",
    "cache_read_nano",
    "cache_write_nano",
    "tool_nano",
)
"""What is added up of every entry."""

SAVED = tuple(f"saved_{part}" for part in PARTS)

RARE = ("cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens", "request_nano", *SAVED)
"""What is added up of the few entries that have it."""

MEASURES = (*COMMON, *RARE)
"""A row of measures: the common ones first."""

MAX_AMOUNT = 2**48
"""Counts and nano-USD beyond this (281 trillion tokens, 281,000 USD) are mistakes; sums of them must fit 64 bits."""

common_tokens = attrgetter(*(name for name in COMMON if name.endswith("_tokens")))
rare_tokens = attrgetter(*(name for name in RARE if name.endswith("_tokens")))
common_nano = attrgetter(*(name for name in COMMON if name.endswith("_nano")))
tokens_of = attrgetter(*TOKENS)
parts_of = attrgetter(*PARTS)

_NO_TOKENS = (0,) * 5
_NO_NANO = (0,) * 6
_NO_COMMON = (0,) * len(COMMON)
_NO_RARE = (0,) * len(RARE)


def check(entry: Entry) -> int:
    """Check that an entry can be kept.

    Returns:
        When it started, in microseconds since 1970.

    Raises:
        InvalidEntry: If its instant has no time zone or lies before 1970, its kind or status is unknown, or an
            amount is beyond `MAX_AMOUNT`.
    """
    if entry.kind not in KINDS or entry.status not in STATUSES:
        raise InvalidEntry(f"Entry {entry.id[:60]!r} is of no known kind or status: {entry.kind!r}, {entry.status!r}.")
    if entry.at.tzinfo is None:
        raise InvalidEntry(f"Entry {entry.id[:60]!r} has no time zone in `at`; use datetime.now(UTC).")
    at_us = microseconds(entry.at)
    if at_us < 0:
        raise InvalidEntry(f"Entry {entry.id[:60]!r} started before 1970: {entry.at.isoformat()}.")
    usage, cost, saved = entry.usage, entry.cost, entry.saved
    if (
        (usage is not None and max(tokens_of(usage)) > MAX_AMOUNT)
        or (cost is not None and _senseless(cost))
        or (saved is not None and _senseless(saved))
    ):
        raise InvalidEntry(f"Entry {entry.id[:60]!r} has a count or an amount in nano-USD beyond {MAX_AMOUNT}.")
    return at_us


def _senseless(cost: Cost) -> bool:
    parts: tuple[int, ...] = parts_of(cost)
    return max(parts) > MAX_AMOUNT or min(parts) < -MAX_AMOUNT


def unpriced(entry: Entry) -> int:
    """What an entry adds to what has no price: 1 for a call or a saving without one, -1 for a price that came later."""
    if entry.kind in PAID_KINDS:
        return int(entry.cost is None)
    if entry.kind in SAVING_KINDS:
        return int(entry.saved is None)
    return -(entry.kind == "correction" and entry.name == PRICED)


def flagged(entry: Entry) -> bool:
    """Whether there is something to know about an entry's usage or price."""
    usage, cost = entry.usage, entry.cost
    return bool((usage is not None and usage.anomalies) or (cost is not None and cost.flags))


def latency_bucket(entry: Entry) -> int | None:
    """The bucket of a model call's duration; None for other entries."""
    duration = entry.duration_s
    return bucket(duration) if entry.kind == "llm" and duration is not None and duration == duration else None


def common_measures(entry: Entry) -> tuple[int, ...]:
    """One entry as a row of `COMMON`."""
    usage, cost = entry.usage, entry.cost
    return (
        1,
        unpriced(entry),
        usage is not None and usage.estimated,
        flagged(entry),
        *(_NO_TOKENS if usage is None else common_tokens(usage)),
        *(_NO_NANO if cost is None else common_nano(cost)),
    )


def rare_measures(entry: Entry) -> tuple[int, ...]:
    """One entry as a row of `RARE`."""
    usage, cost, saved = entry.usage, entry.cost, entry.saved
    return (
        *(_NO_TOKENS[:3] if usage is None else rare_tokens(usage)),
        0 if cost is None else cost.request_nano,
        *((0,) * len(PARTS) if saved is None else parts_of(saved)),
    )


def has_rare(entry: Entry) -> bool:
    """Whether an entry has anything to add to the rare measures."""
    usage, cost = entry.usage, entry.cost
    if entry.saved is not None or (cost is not None and cost.request_nano):
        return True
    return usage is not None and any(rare_tokens(usage))


@dataclass(slots=True)
class Group:
    """The sums of one group while it is being added up: a row of `MEASURES` for each kind and status."""

    rows: dict[tuple[str, str], Sequence[int]] = field(default_factory=dict)
    latency: Counter[int] = field(default_factory=Counter)

    def add(self, kind: str, status: str, row: Sequence[int]) -> None:
        """Add a row of entries that share kind and status."""
        known = self.rows.get((kind, status))
        self.rows[kind, status] = row if known is None else [*map(_plus, known, row)]

    def add_rare(self, kind: str, status: str, row: Sequence[int]) -> None:
        """Add the rare measures alone."""
        self.add(kind, status, (*_NO_COMMON, *row))

    def add_common(self, kind: str, status: str, row: Sequence[int]) -> None:
        """Add the common measures alone."""
        self.add(kind, status, (*row, *_NO_RARE))

    def total(self, key: tuple[Value, ...]) -> Total:
        """Close the group: what each kind contributes is decided here."""
        every, calls = self._sum(_any), self._sum(lambda kind, _: kind in CALL_KINDS)
        consumed = self._sum(lambda kind, _: kind in CONSUMING_KINDS)
        return Total(
            key=key,
            calls=calls["n"],
            llm_calls=self._count("n", lambda kind, _: kind == "llm"),
            usage=Usage(**{name: consumed[name] for name in TOKENS}, estimated=consumed["estimated"] > 0),
            cost=_cost(every),
            saved=_cost(every, "saved_"),
            unpriced_calls=self._count("unpriced", lambda kind, _: kind not in SAVING_KINDS),
            unpriced_savings=self._count("unpriced", lambda kind, _: kind in SAVING_KINDS),
            estimated_calls=consumed["estimated"],
            flagged_calls=calls["flagged"],
            failed_calls=self._count("n", lambda kind, status: kind in CALL_KINDS and status != "ok"),
            failed_cost=_cost(self._sum(lambda _, status: status != "ok")),
            failed_unpriced_calls=self._count(
                "unpriced", lambda kind, status: kind not in SAVING_KINDS and status != "ok"
            ),
            cache_hits=self._count("n", lambda kind, _: kind == "cache_hit"),
            latency_p50_s=percentile(self.latency, 0.50),
            latency_p95_s=percentile(self.latency, 0.95),
        )

    def _count(self, measure: str, counts: Callable[[str, str], bool]) -> int:
        place = MEASURES.index(measure)
        return sum(row[place] for (kind, status), row in self.rows.items() if counts(kind, status))

    def _sum(self, counts: Callable[[str, str], bool]) -> Mapping[str, Any]:
        rows = [row for (kind, status), row in self.rows.items() if counts(kind, status)]
        if not rows:
            return _NOTHING
        return dict(zip(MEASURES, map(sum, zip(*rows, strict=True)) if rows[1:] else rows[0], strict=True))


_NOTHING = dict.fromkeys(MEASURES, 0)


def _any(kind: str, status: str) -> bool:
    return True


def _cost(sums: Mapping[str, int], prefix: str = "") -> Cost:
    named: dict[str, Any] = {part: sums[prefix + part] for part in PARTS}
    return Cost(**named)


def ranked(totals: Iterable[Total]) -> tuple[Total, ...]:
    """Put totals in order: the dearest first, then by key, so that every back end agrees."""
    return tuple(sorted(totals, key=lambda t: (-t.cost.total_nano, *((v is not None, v) for v in t.key))))
