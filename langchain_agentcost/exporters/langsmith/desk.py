"""What a tracer and its clones share: prices, attribution, the open traces. LangGraph clones tracers at every level."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_agentcost.attribution import ROUTING_TAGS, AttributionMap, label, node_path
from langchain_agentcost.errors import MeteringWarning, PriceNotFoundWarning
from langchain_agentcost.exporters.langsmith.asked import Asked
from langchain_agentcost.exporters.langsmith.costs import stated_nano, usd_of
from langchain_agentcost.exporters.langsmith.findings import Finding, Price
from langchain_agentcost.exporters.langsmith.pseudonyms import Mask, pseudonym
from langchain_agentcost.exporters.langsmith.traces import MAX_TRACES, Trace
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.pricing.spared import saved_by
from langchain_agentcost.recent import Recent
from langchain_agentcost.saving import CacheHit
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

if TYPE_CHECKING:
    from langchain_core.tracers.schemas import Run

OF_THE_TRACE = ("workflow", "tenant", "user", "deployment", "variant")
"""What the root run and every model run show."""

OF_THE_CALL = ("agent", "node", "step", "purpose")
"""What only model runs show."""

_DEFAULT_TABLE = AttributionMap()
"""Made once: LangChain makes a tracer, and with it a desk, for every clone, though clones share their first one's."""

logger = logging.getLogger(__name__)


class Desk:
    """Prices and attributes what a tracer and its clones see.

    Args:
        prices: The price book; None makes the default one at the first call.
        table: Which metadata fills which dimension.
        secret: The key of the users' pseudonyms; None shows users as they are.
    """

    def __init__(self, prices: PriceBook | None, *, table: AttributionMap | None, secret: str | bytes | None) -> None:
        table = table or _DEFAULT_TABLE
        self.mask = Mask(table.keys_of("user") if secret is not None else (), secret)
        if secret is not None and "user" in table.constants:
            constants = {**table.constants, "user": pseudonym(table.constants["user"], key=secret)}
            table = replace(table, constants=constants)
        self.counter = TokenCounter()
        self._table = table
        self._prices = prices
        self._traces: Recent[UUID, Trace] = Recent(MAX_TRACES)
        self._warned = False

    @property
    def prices(self) -> PriceBook:
        """The price book."""
        if self._prices is None:
            self._prices = PriceBook()
        return self._prices

    @property
    def open_runs(self) -> int:
        """How many runs are open."""
        return len(self._traces)

    def opened(self, run_id: UUID, event: Mapping[str, Any]) -> Trace:
        """Note that a run started, and give the trace it belongs to."""
        trace = self._traces.get(event.get("parent_run_id"))
        if trace is None:
            trace = Trace(run_id)
        self._traces.put(run_id, trace)
        return trace

    def closed(self, run_id: UUID) -> Trace | None:
        """Note that a run ended, and give its trace; None where the trace ended before."""
        trace = self._traces.pop(run_id)
        if trace is not None:
            trace.models.pop(run_id, None)
        return trace

    def trace_of(self, run_id: UUID) -> Trace | None:
        """The trace that an open run belongs to."""
        return self._traces.get(run_id)

    def asked(self, run_id: UUID) -> Asked | None:
        """What was asked of a model whose call is open."""
        trace = self._traces.get(run_id)
        return trace.models.get(run_id) if trace else None

    def root_labels(self, trace: Trace, event: Mapping[str, Any], configurable: Mapping[str, Any] | None) -> None:
        """Read what holds for a whole trace from the start of its root run."""
        found = self._table.read(event.get("metadata"), configurable)
        name = event.get("name")
        if name:
            found.setdefault("workflow", label(name))
        trace.labels = found

    def call_labels(self, trace: Trace, event: Mapping[str, Any], step: int | None) -> dict[str, Any]:
        """Say whom a model call is booked to."""
        metadata = event.get("metadata") or {}
        constants = self._table.constants
        said = {name: value for name, value in self._table.read(metadata).items() if constants.get(name) != value}
        found = {**trace.labels, **said, "step": step}
        path = node_path(metadata.get("langgraph_checkpoint_ns") or "")
        if path:
            found["node"] = "/".join(path)
            found.setdefault("purpose", self._table.purposes.get(path[-1]) or None)
        found.setdefault("agent", path[-2] if len(path) > 1 else found.get("workflow"))
        return shown(found, OF_THE_TRACE + OF_THE_CALL)

    def price(self, asked: Asked, at: datetime) -> Price:
        """Make the function that prices a call's usage: by the model that answered, else by the one asked for."""

        def price(usage: Usage, answered: str | None) -> Cost | None:
            names = [name for name in dict.fromkeys((answered, asked.model)) if name] or ["unknown"]
            for name in names[:-1]:
                if self.prices.card(name, provider=asked.provider, at=at, service_tier=usage.service_tier):
                    return self.prices.cost(usage, name, provider=asked.provider, at=at)
            try:
                return self.prices.cost(usage, names[-1], provider=asked.provider, at=at)
            except PriceNotFoundWarning:  # where warnings are errors, an unknown price is still no fault
                return None

        return price

    def tool_finding(self, run: Run) -> Finding | None:
        """Say what a tool or retriever run cost; None where nothing is known of it."""
        usage = (run.extra.get("metadata") or {}).get("usage_metadata")
        stated = stated_nano(usage)
        if stated is not None:
            return Finding(None, {}, {"tool_nano": stated, "total_nano": stated})
        cost = self.prices.tool_cost(run.name, duration_s=(datetime.now(UTC) - run.start_time).total_seconds())
        if cost is None:
            return None
        written = {**(usage or {}), "total_cost": usd_of(cost.total_nano)}
        return Finding(written, {}, {"tool_nano": cost.total_nano, "total_nano": cost.total_nano})

    def saved(self, hit: CacheHit) -> Cost | None:
        """Say what a hit saved; None where that is not known."""
        try:
            return saved_by(hit, self.prices, at=datetime.now(UTC))
        except PriceNotFoundWarning:  # where warnings are errors, an unknown price is still no fault
            return None

    def trouble(self, error: BaseException) -> None:
        """Warn, once, that pricing failed. The plain trace goes out; where warnings are errors, this is logged."""
        if self._warned:
            return
        self._warned = True
        fault = f"LangSmith traces go out without costs: {type(error).__name__}: {error}"
        logger.debug("fault while pricing a trace", exc_info=error)
        try:
            warnings.warn(MeteringWarning(fault), stacklevel=4)
        except MeteringWarning:
            logger.warning(fault)


def shown(found: Mapping[str, Any], dimensions: tuple[str, ...]) -> dict[str, Any]:
    """Write dimensions and tags as metadata that LangSmith can filter by.

    Example:
        >>> shown({"tenant": "acme", "step": 2, "tags": (("ticket", "7"),)}, ("tenant",))
        {'agentcost_tenant': 'acme', 'agentcost_tag_ticket': '7'}
    """
    named = {f"agentcost_{name}": found[name] for name in dimensions if found.get(name) is not None}
    # What a router writes stands in the run's own metadata already, under these very names.
    tags = ((name, value) for name, value in found.get("tags", ()) if name not in ROUTING_TAGS)
    return named | {f"agentcost_tag_{name}": value for name, value in tags}
