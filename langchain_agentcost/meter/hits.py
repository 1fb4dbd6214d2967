"""The hits of caches that tell of them by an event, each booked as an entry of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from langchain_agentcost.attribution import Attribution, AttributionMap, label
from langchain_agentcost.ledger.entry import Entry, event_id
from langchain_agentcost.meter.journal import Journal
from langchain_agentcost.meter.labels import labels_of
from langchain_agentcost.meter.runs import RunBook, WorkflowRun
from langchain_agentcost.meter.till import Till
from langchain_agentcost.pricing import Cost
from langchain_agentcost.recent import Recent
from langchain_agentcost.saving import CacheHit, SparedCall
from langchain_agentcost.usage import Usage


class Served(NamedTuple):
    """A hit and the workflow run that it happened in."""

    hit: CacheHit
    run: WorkflowRun


class HitBook:
    """Books hits, each once, however often it is told.

    Args:
        runs: The workflow runs that are open.
        till: What says what was saved.
        table: Which metadata fills which dimension.
        journal: Where entries go.
    """

    def __init__(self, runs: RunBook, till: Till, table: AttributionMap, journal: Journal) -> None:
        self._runs = runs
        self._till = till
        self._table = table
        self._journal = journal
        self._told: Recent[str, bool] = Recent()

    def served(
        self,
        run_id: UUID,
        data: Mapping[str, Any],
        *,
        tags: Sequence[Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Served | None:
        """Book a hit: what was spared is its usage and its saving, and its cost is 0.

        Args:
            run_id: The run that it happened in.
            data: The event's data, as `CacheHit.as_event` writes it.
            tags: The event's tags.
            metadata: The event's metadata.

        Returns:
            The hit; None for one that was told before.

        Raises:
            KeyError: If the data has no id or no cache.
            TypeError: If it is not that of a hit.
            InvalidUsage: If a count in it cannot be.
        """
        hit, at = CacheHit.from_event(data), datetime.now(UTC)
        entry_id = event_id(run_id, "cache_hit", hit.cache, hit.id)
        if self._told.get(entry_id):
            return None
        self._told.put(entry_id, True)  # noqa: FBT003  # a set with a bound
        run = self._runs.around(run_id)
        labels = labels_of(run, self._table, metadata, tags)
        labels.update(_subject(hit.spared), step=run.new_step() if _of_a_model(hit.spared) else run.step)
        self._journal.write(
            Entry(
                id=entry_id,
                kind="cache_hit",
                at=at,
                attribution=Attribution(**labels),
                usage=_usage(hit.spared),
                cost=Cost(),
                saved=self._till.saved(hit, at),
                parent_id=str(run_id),
                name=label(hit.cache),
            )
        )
        return Served(hit, run)


def _of_a_model(spared: Sequence[SparedCall]) -> bool:
    """Whether a model was spared: the hit then stands where a step would be."""
    return any(call.tool is None for call in spared)


def _subject(spared: Sequence[SparedCall]) -> dict[str, str | None]:
    """The model that was spared, or the tool, where there is just one of them."""
    models = {(call.provider, call.model) for call in spared if call.tool is None}
    tools = {call.tool for call in spared if call.tool is not None}
    if len(models) == 1:
        [(provider, model)] = models
        return {"provider": label(provider) if provider else None, "model": label(model) if model else None}
    return {"tool": label(tools.pop())} if len(tools) == 1 and not models else {}


def _usage(spared: Sequence[SparedCall]) -> Usage | None:
    """The tokens that were spared; None where no model was, or nothing is known of them."""
    known = [call.usage for call in spared if call.usage is not None]
    return sum(known[1:], known[0]) if known else None
