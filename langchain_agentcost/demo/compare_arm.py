"""One of the two runs of a comparison, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from langchain_agentcost.demo.run import Desk, Worked
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.ledger.query import column_of
from langchain_agentcost.routed import TIER

STEPS = ("llm", "cache_hit")
"""What stands in a ledger where the desk needed a model."""

ENOUGH = 20
"""From so many on a 95th percentile is more than the slowest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What a run came to.

    Args:
        entries: What its ledger says.
        models: Its model calls, and the hits that took the place of some, added up.
        tool_calls: The tools that ran.
        tool_hits: Tool results that a cache gave.
        worked: Its tickets.
        tickets: How many there were.
    """

    entries: tuple[Entry, ...]
    models: Total
    tool_calls: int
    tool_hits: int
    worked: Sequence[Worked]
    tickets: int

    @classmethod
    def of(cls, desk: Desk, worked: Sequence[Worked], *, tickets: int) -> Arm:
        """Read a run from its ledger.

        Args:
            desk: The desk that has worked.
            worked: What became of the tickets.
            tickets: How many there were.
        """
        own = {"variant": desk.variant}
        entries = tuple(desk.meter.ledger.entries(own, since=desk.since))
        models = desk.meter.report(by=(), where={**own, "kind": STEPS, "tool": None}, since=desk.since)
        tools = [entry.kind for entry in entries if entry.attribution.tool is not None]
        return cls(
            entries=entries,
            models=models.total,
            tool_calls=tools.count("tool"),
            tool_hits=tools.count("cache_hit"),
            worked=worked,
            tickets=tickets,
        )

    @property
    def resolved(self) -> int:
        """How many tickets were resolved."""
        return sum(one.resolved for one in self.worked)

    def routed_to(self, tier: str) -> int:
        """Count the model calls that a router gave to a tier."""
        return sum(entry.kind == "llm" and (TIER, tier) in entry.attribution.tags for entry in self.entries)

    @property
    def steps(self) -> Counter[int]:
        """How many model calls each ticket needed, those included that a cache answered."""
        needed = [entry for entry in self.entries if entry.kind in STEPS and entry.attribution.tool is None]
        return Counter(int(str(column_of(entry, "tag:ticket"))) for entry in needed)

    @property
    def ticket_p50_s(self) -> float | None:
        """How long the median ticket took, in seconds; None where none was worked off."""
        return median(one.took_s for one in self.worked) if self.worked else None

    @property
    def call_p95_s(self) -> float | None:
        """How long model calls took, the 95th percentile in seconds; None where they are too few."""
        return self.models.latency_p95_s if self.models.llm_calls >= ENOUGH else None
