"""Context that is cut where it pays: the package's own lossless compression, lean tools and eviction planner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.context.compress.lossless import lossless
from langchain_agentcost.context.decision import Decision, EvictionPolicy, Situation, SummaryOffer
from langchain_agentcost.context.horizon import StepHistory
from langchain_agentcost.context.plan import Action, Plan, project
from langchain_agentcost.context.planner import EvictionPlanner
from langchain_agentcost.context.worth import CacheRates
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Overhead, Request
from langchain_agentcost.replay.strategies.rewriting import Rewriting, text_in
from langchain_agentcost.replay.strategy import Fidelity, Paid, Scene, Session


@dataclass(frozen=True, slots=True)
class EvictContext:
    """The eviction planner: old results give way to notes, old arguments to their beginnings, where that pays.

    How long runs are it learns from the earlier runs of the same source, as it would from a ledger.

    Args:
        keep: How many of the latest answers stay whole.
        summarize: Whether a summary may be written where that is worth more than notes. Its text is made by code, as
            where no model answers; it is charged as the shorter of riding the cached prompt and a prompt of its own.
    """

    name: ClassVar[str] = "evict"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    keep: int = 3
    summarize: bool = False

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"keep is at least 1, not {self.keep}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Evicting(scene, self)


class _Evicting(Session):
    def __init__(self, scene: Scene, plan: EvictContext) -> None:
        super().__init__(scene)
        sizes = scene.sizes
        self._planner = EvictionPlanner(
            CacheRates.of(scene.tariff.card),
            EvictionPolicy(keep=plan.keep),
            size=lambda message: sizes.of(message).tokens,
            resize=lambda old, new: sizes.of(sizes.rewritten(old, new)).tokens,
        )
        self._history: StepHistory = scene.memory.setdefault("lengths", StepHistory())
        self._plan = Plan()
        self._step = 0
        self._made: dict[int, tuple[BaseMessage, BaseMessage]] = {}

    def before(self, call: Call, request: Request) -> Request:
        """Send what the planner leaves of the history."""
        self._step += 1
        decision = self._decide(request)
        if decision.action is not Action.NONE:
            self._plan = decision.plan
            self.tally["cuts"] += 1
            self.tally["predicted_nano_usd"] += decision.predicted_nano
        if call is self.scene.episode.calls[-1]:
            self._history.ended(self._step)
        return request._replace(messages=tuple(project(request.messages, self._plan, self._planner.make)))

    def _decide(self, request: Request) -> Decision:
        return self._planner.decide(
            Situation(
                messages=request.messages,
                plan=self._plan,
                step=self._step,
                remaining=self._history.remaining(self._step),
                static_tokens=self.scene.sizes.of_tools(request.tools).tokens,
            )
        )
