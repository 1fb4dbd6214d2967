"""What is remembered of a trace while it is open: whom it is booked to, and what it has cost so far."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import count
from traceback import walk_tb
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage

from langchain_agentcost.attribution import label
from langchain_agentcost.exporters.langsmith.asked import Asked
from langchain_agentcost.exporters.langsmith.costs import usd_of
from langchain_agentcost.saving import CacheHit

MAX_TRACES = 100_000
"""How many open runs are remembered. A run that never ends is forgotten first, so that a process can run for months."""


@dataclass(slots=True)
class Totals:
    """The sums of a trace, in whole nano-USD and tokens.

    Args:
        total_nano: The known cost of model calls and priced tools.
        tool_nano: The tools' part of it.
        saved_nano: What cache hits would have cost.
        llm_calls: Model calls that reached a provider.
        unpriced_calls: Those among them whose cost is not known, and missing from the total.
        estimated_calls: Those among them whose token counts are estimates.
        failed_calls: Those among them that failed or were left.
        cache_hits: Model calls that LangChain's cache answered, and the hits of caches that tell of them.
        input_tokens: Input tokens of the model calls.
        cache_read_tokens: Those among them that the provider's prompt cache served.
    """

    total_nano: int = 0
    tool_nano: int = 0
    saved_nano: int = 0
    llm_calls: int = 0
    unpriced_calls: int = 0
    estimated_calls: int = 0
    failed_calls: int = 0
    cache_hits: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0

    def metadata(self) -> dict[str, Any]:
        """The sums as flat metadata, which LangSmith can filter by. They are not named as costs: those roll up."""
        share = self.cache_read_tokens / self.input_tokens if self.input_tokens else None
        summary = {
            "total_usd": usd_of(self.total_nano),
            "tool_usd": usd_of(self.tool_nano),
            "saved_usd": usd_of(self.saved_nano),
            "llm_calls": self.llm_calls,
            "unpriced_calls": self.unpriced_calls,
            "estimated_calls": self.estimated_calls,
            "failed_calls": self.failed_calls,
            "cache_hits": self.cache_hits,
            "cache_read_share": round(share, 4) if share is not None else None,
        }
        return {f"agentcost_summary_{name}": value for name, value in summary.items() if value is not None}


@dataclass(slots=True)
class RunHits:
    """The hits that caches told of in one run.

    Args:
        caches: Their caches.
        count: How many there were.
        unpriced: Those among them of which it is not known what they saved.
        saved_nano: What the others saved, in nano-USD.
    """

    caches: set[str] = field(default_factory=set)
    count: int = 0
    unpriced: int = 0
    saved_nano: int = 0

    def add(self, cache: str, saved_nano: int | None) -> None:
        """Count one more."""
        self.caches.add(cache)
        self.count += 1
        self.unpriced += saved_nano is None
        self.saved_nano += saved_nano or 0

    def metadata(self) -> dict[str, Any]:
        """The hits as metadata of their run. What was saved is no cost, so no key of LangSmith's says it."""
        shown: dict[str, Any] = {"agentcost_cache": ", ".join(sorted(self.caches)), "agentcost_cache_hits": self.count}
        if self.saved_nano:
            shown["agentcost_saved_usd"] = usd_of(self.saved_nano)
        if self.unpriced:
            shown["agentcost_unpriced_hits"] = self.unpriced
        return shown


@dataclass(slots=True, eq=False)
class Trace:
    """One root run with everything below it.

    Args:
        root: The id of the root run: the outermost that this tracer sees.
        labels: What holds for the whole trace: workflow, tenant, user, ….
        models: The model calls that are open, by run.
        orphans: Model calls that another handler stopped before they were made, and how.
    """

    root: UUID
    labels: dict[str, Any] = field(default_factory=dict)
    models: dict[UUID, Asked] = field(default_factory=dict)
    orphans: dict[UUID, BaseException] = field(default_factory=dict)
    _totals: Totals = field(default_factory=Totals)
    _hits: dict[UUID, RunHits] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _next_step: count[int] = field(default_factory=lambda: count(1))

    def model_started(self, run_id: UUID, asked: Asked) -> int | None:
        """Open a model call and number it, from 1; one inside another has no number of its own, but has the cost."""
        outer = self.models.get(asked.parent_id) if asked.parent_id else None
        self.models[run_id] = asked
        if outer is None:
            return next(self._next_step)
        outer.wraps = True
        return None

    def answered(self, run_id: UUID, message: BaseMessage | None) -> None:
        """Note what a model gave. A call that was open meanwhile and gives the same message passed the call on.

        A message is the same by identity, or by an id that LangChain made: providers' ids are not trusted to be unique.
        """
        asked = self.models.pop(run_id, None)
        if asked is None or message is None:
            return
        made = (message.id or "").startswith("lc_run-") and str(run_id) not in str(message.id)
        if any(inner is message or (made and inner.id == message.id) for inner in asked.inside):
            asked.wraps = True
        for other in tuple(self.models.values()):
            other.inside.append(message)

    def failed(self, run_id: UUID, error: BaseException) -> None:
        """Note that a run failed. A model call right below it that a handler stopped gets no event of its own."""
        if not _stopped_by_a_handler(error):
            return
        for model, asked in tuple(self.models.items()):
            if asked.parent_id == run_id:
                self.orphans[model] = error

    def add(self, **amounts: int) -> None:
        """Add to the sums."""
        with self._lock:
            for name, amount in amounts.items():
                setattr(self._totals, name, getattr(self._totals, name) + amount)

    def served(self, run_id: UUID, hit: CacheHit, saved_nano: int | None) -> dict[str, Any] | None:
        """Add a hit that a cache told of.

        Args:
            run_id: The run that it happened in.
            hit: The hit.
            saved_nano: What it saved, in nano-USD; None where that is not known.

        Returns:
            What its run shows from now on; None for a hit that was told before.
        """
        with self._lock:
            if hit.id in self._told:
                return None
            self._told.add(hit.id)
            of_the_run = self._hits.setdefault(run_id, RunHits())
            of_the_run.add(label(hit.cache), saved_nano)
            self._totals.cache_hits += 1
            self._totals.saved_nano += saved_nano or 0
            return of_the_run.metadata()

    def summary(self) -> dict[str, Any]:
        """The sums as metadata."""
        with self._lock:
            return self._totals.metadata()


def _stopped_by_a_handler(error: BaseException) -> bool:
    """Whether an error was raised by a callback handler at the start of a model call, before the provider was called.

    Other errors leave siblings at work, whose calls end by themselves, later than the run that failed.
    """
    return any(
        frame.f_code.co_name in {"on_chat_model_start", "on_llm_start"}
        and frame.f_globals.get("__name__") == "langchain_core.callbacks.manager"
        for frame, _ in walk_tb(error.__traceback__)
    )
