"""The interface of a ledger: what a back end has to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self, runtime_checkable

from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage

Where = Mapping[str, str | int | Sequence[str | int | None] | None]
"""Conditions that must all hold: a column and the value, or the values, it may have. None matches what is not stated.
A column is `kind`, `status`, `id`, `parent_id`, `name`, a dimension of `Attribution`, or `tag:NAME`."""


@dataclass(frozen=True, slots=True)
class Total:
    """The sum over a group of entries.

    Costs and usage here are amounts only: the price source, the service tier, the flags, the anomalies and the
    provider's own tools stay with the entries; `usage.estimated` says that some of the usage is our estimate.

    Args:
        key: The values of the dimensions grouped by, in their order; None where an entry did not state one. A day is
            "2026-11-23", an hour "2026-11-23T17:00", both UTC.
        calls: Model, embedding, tool and retriever calls and cache hits.
        llm_calls: The model calls among them that reached a provider.
        usage: Their usage, added up (cache hits do not count: they consumed nothing).
        cost: Their known cost, corrections included. Look at `unpriced_calls` before you trust it.
        saved: What cache hits and other savings would have cost, as far as it is known.
        unpriced_calls: Model and embedding calls without a price, whose cost is missing from `cost`. A correction named
            `PRICED` takes one off, also where it is a group of its own (grouped by kind): the groups sum to the whole.
        unpriced_savings: Cache hits and other savings of which it is not known what they would have cost.
        estimated_calls: Calls whose usage is our estimate.
        flagged_calls: Calls whose usage had an anomaly or whose price a flag.
        failed_calls: Calls that ended in an error or were aborted.
        failed_cost: What those are known to have cost.
        failed_unpriced_calls: The unpriced calls among them.
        cache_hits: Calls that were answered without the provider.
        latency_p50_s: The median duration of the model calls in seconds, within 1 %; None where none was measured.
        latency_p95_s: Their 95th percentile.
    """

    key: tuple[str | int | None, ...] = ()
    calls: int = 0
    llm_calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: Cost = field(default_factory=Cost)
    saved: Cost = field(default_factory=Cost)
    unpriced_calls: int = 0
    unpriced_savings: int = 0
    estimated_calls: int = 0
    flagged_calls: int = 0
    failed_calls: int = 0
    failed_cost: Cost = field(default_factory=Cost)
    failed_unpriced_calls: int = 0
    cache_hits: int = 0
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None


@runtime_checkable
class Ledger(Protocol):
    """Where entries are kept. Append-only: a correction is an entry of its own.

    All methods may be called from any thread, and from a process that was forked after the ledger was opened.
    """

    url: str

    def append(self, entry: Entry) -> None:
        """Keep an entry. It is durable against the death of the process when this returns.

        Appending an id that is there already changes nothing.

        Raises:
            StoreUnavailable: If it cannot be written.
        """
        ...

    def entries(
        self, where: Where | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Entry]:
        """Go through the entries in the order of `at`, in bounded memory.

        Args:
            where: Conditions that must all hold.
            since: Only entries that started at or after this instant; it must have a time zone.
            until: Only entries that started before this instant.

        Raises:
            QueryError: If a column does not exist or an instant has no time zone.
        """
        ...

    def totals(
        self,
        by: Sequence[str] = (),
        where: Where | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[Total, ...]:
        """Add the entries up by group, the dearest group first.

        Args:
            by: The dimensions to group by (`Attribution`'s, `kind`, `status`, `day`, `hour`, `tag:NAME`); none gives
                one total over all.
            where: Conditions that must all hold.
            since: Only entries that started at or after this instant.
            until: Only entries that started before this instant.

        Returns:
            One total a group; empty where there are no entries.

        Raises:
            QueryError: If a column does not exist or an instant has no time zone.
        """
        ...

    def prune(self, before: datetime) -> int:
        """Remove the entries that started before an instant, for good.

        Args:
            before: The instant; it must have a time zone.

        Returns:
            How many entries were removed.

        Raises:
            QueryError: If the instant has no time zone.
            StoreUnavailable: If it cannot be written.
        """
        ...

    def forget(self, user: str) -> int:
        """Remove a user's label, the labels of their sessions and their fingerprints; all counts and amounts stay.

        A session label is removed wherever it stands, also from entries that state another user or none. The text is
        gone from the store's files when this returns. Tags are not looked at: keep persons out of them.

        Args:
            user: The label of the user.

        Returns:
            How many entries lost a label.

        Raises:
            StoreUnavailable: If it cannot be written.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections. Closing twice is harmless."""
        ...

    def __enter__(self) -> Self:
        """Use the ledger for a block."""
        ...

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        ...
