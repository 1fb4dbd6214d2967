"""Selective context: blocks that say least about the task are left out, where that pays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from langchain_agentcost.context.decision import Decision, EvictionPolicy, Situation
from langchain_agentcost.context.plan import Action
from langchain_agentcost.context.planner import CAUTION
from langchain_agentcost.context.selection import Selection
from langchain_agentcost.context.worth import Cut
from langchain_agentcost.errors import ContextError
from langchain_agentcost.replay.strategies.planned import Planned
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session


@dataclass(frozen=True, slots=True)
class Select:
    """Keep prompts within a budget: when one is too long, the blocks that BM25 finds least about the task go.

    The code is that of `Selection`. It knows no prices, so by default its choice is only taken where it pays by the
    formula and the caution of the eviction planner; until then the prompt may be longer than its budget. What is left
    out is lost, and recorded answers are played.

    Args:
        above: The budget: prompts of more tokens than this are cut.
        low: What they are cut to, as a share of it.
        keep: How many of the latest answers stay, with all that came after them.
        break_even: Whether to act only where it pays.
    """

    name: ClassVar[str] = "select"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    above: int = 16_000
    low: float = 0.6
    keep: int = 3
    break_even: bool = True

    def __post_init__(self) -> None:
        try:
            Selection(max_tokens=self.above, low=self.low, keep=self.keep)
        except ContextError as error:
            raise ValueError(f"above and keep are at least 1, and low is between 0 and 1: {error}") from error

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Selecting(scene, self)


class _Selecting(Planned):
    def __init__(self, scene: Scene, told: Select) -> None:
        super().__init__(scene, EvictionPolicy(keep=told.keep, actions=frozenset({Action.DROP})))
        self._selection = Selection(max_tokens=told.above, low=told.low, keep=told.keep, size=self.size)
        self._break_even = told.break_even

    def decide(self, situation: Situation) -> Decision:
        decision = self._selection.decide(situation)
        if decision.cut is None:
            return decision
        cut, rates = self._whole(situation, decision, decision.cut), self.planner.rates
        if self._break_even and cut.saving_nano(rates, situation.remaining * CAUTION) <= 0:
            return Decision(action=Action.NONE, plan=self.plan, why="it would not pay", step=situation.step)
        return replace(decision, cut=cut, predicted_nano=cut.saving_nano(rates, situation.remaining))

    def _whole(self, situation: Situation, decision: Decision, cut: Cut) -> Cut:
        """The cut, less the blocks that come back: `Selection` counts only what goes."""
        before, after = (
            sum(map(self.size, self.projected(situation.messages, plan))) for plan in (self.plan, decision.plan)
        )
        back = cut.evicted_tokens - (before - after)
        return replace(cut, evicted_tokens=before - after, rewritten_tokens=cut.rewritten_tokens + back)
