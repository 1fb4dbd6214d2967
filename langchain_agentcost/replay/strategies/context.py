"""Context that is cut where it pays: the package's own lossless compression, lean tools and eviction planner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_agentcost.context.decision import EvictionPolicy
from langchain_agentcost.context.plan import Action
from langchain_agentcost.replay.strategies.compact import Compact
from langchain_agentcost.replay.strategies.planned import Planned
from langchain_agentcost.replay.strategies.reference import Reference
from langchain_agentcost.replay.strategy import Combined, Fidelity, Scene, Session, Strategy


@dataclass(frozen=True, slots=True)
class EvictContext:
    """The eviction planner: old results give way to notes, old arguments to their beginnings, where that pays.

    How long runs are it learns from the earlier runs of the same source, as it would from a ledger.

    Args:
        keep: How many of the latest answers stay whole.
    """

    name: ClassVar[str] = "evict"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    keep: int = 3

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"keep is at least 1, not {self.keep}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return Planned(scene, EvictionPolicy(keep=self.keep, actions=frozenset({Action.MASK, Action.TRUNCATE})))


@dataclass(frozen=True, slots=True)
class ContextDefault:
    """What this package recommends: compact (with lean tools), then references, then the planner, each by its defaults.

    Args:
        above: Results of more tokens than this are put aside.
        keep: How many of the latest answers stay whole.
    """

    name: ClassVar[str] = "context"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    above: int = 1000
    keep: int = 3

    def __post_init__(self) -> None:
        self._parts()

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return Combined(self._parts()).begin(scene)

    def _parts(self) -> tuple[Strategy, ...]:
        return Compact(), Reference(above=self.above), EvictContext(keep=self.keep)
