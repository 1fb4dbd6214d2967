"""What LangSmith shows is what the ledger holds."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from langchain_agentcost import CostMeter
from langchain_agentcost.testing.collector import LangSmithCollector
from tests.exporters.langsmith_world import (
    CACHED,
    QUESTION,
    Canned,
    Streaming,
    Traced,
    book,
    costs,
    desk,
    exactly,
    metadata,
)


@pytest.fixture
def collector() -> Iterator[LangSmithCollector]:
    """A collector."""
    with LangSmithCollector() as running:
        yield running


@pytest.mark.filterwarnings("ignore::langchain_agentcost.errors.UsageMissingWarning")
@pytest.mark.parametrize(
    "model",
    [
        Canned(),
        Streaming(),
        Streaming(usage=None, reply="no counts were reported for this answer"),
        Canned(usage={**CACHED, "input_token_details": {"priority_cache_read": 8192, "priority": 1808}}),
        Canned(model="with-fees"),
        Canned(usage={**CACHED, "total_cost": 0}),
    ],
    ids=["cached", "streamed", "without usage", "priority", "fees", "cache hit"],
)
def test_ledger_and_langsmith_agree_to_the_nano_dollar(collector: LangSmithCollector, model: Any) -> None:
    """One run, metered and traced: every entry's cost is its run's cost, and the totals are equal."""
    traced = Traced(collector)
    with CostMeter(prices=book()) as meter:
        desk(model).invoke(QUESTION, {"callbacks": [meter, traced.tracer]})
        entries = {entry.id: entry for entry in meter.ledger.entries()}
        (total,) = meter.ledger.totals()
    shown = {run["id"]: exactly(costs(run)["total_cost"]) for run in traced.runs() if costs(run)}
    assert shown == {key: entry.cost.total for key, entry in entries.items() if entry.cost is not None}
    summary = metadata(traced.root())
    assert exactly(summary["agentcost_summary_total_usd"]) == total.cost.total
    assert exactly(summary["agentcost_summary_saved_usd"]) == total.saved.total
    assert summary["agentcost_summary_llm_calls"] == total.llm_calls
    assert sum(shown.values(), Decimal(0)) == total.cost.total


def test_a_broken_stream_costs_the_same_in_both(collector: LangSmithCollector) -> None:
    """Estimates are made in the same way."""
    traced = Traced(collector)
    with CostMeter(prices=book()) as meter:
        with pytest.raises(ConnectionError):
            list(Streaming(reply="a b c d e f", breaks_after=4).stream("Hi", {"callbacks": [meter, traced.tracer]}))
        (entry,) = meter.ledger.entries()
    assert entry.cost is not None
    assert exactly(costs(traced.root())["total_cost"]) == entry.cost.total
