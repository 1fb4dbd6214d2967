"""What strategies share that cut the history by a plan: the package's own planner decides, at boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from langchain_core.messages import BaseMessage

from langchain_agentcost.context.decision import Decision, EvictionPolicy, Situation, SummaryOffer
from langchain_agentcost.context.history_view import HistoryView
from langchain_agentcost.context.horizon import StepHistory
from langchain_agentcost.context.plan import Action, Plan, project
from langchain_agentcost.context.planner import EvictionPlanner
from langchain_agentcost.context.worth import CacheRates
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.strategy import Scene, Session


class Passing(NamedTuple):
    """A part of the history that something is to stand for.

    Args:
        tokens: How long it is, as it is sent now.
        before_tokens: What is sent before it, tools included.
        prompt_tokens: The whole prompt.
    """

    tokens: int
    before_tokens: int
    prompt_tokens: int


class Planned(Session):
    """Sends what a plan leaves of the history.

    How long runs are it learns from the earlier runs of the same source, as it would from a ledger.

    Args:
        scene: What it works with.
        policy: What may be cut.

    Attributes:
        plan: What is cut now.
        planner: What decides; it counts as the replay does.
    """

    def __init__(self, scene: Scene, policy: EvictionPolicy) -> None:
        super().__init__(scene)
        sizes = scene.sizes
        self.plan = Plan()
        self.planner = EvictionPlanner(
            CacheRates.of(scene.tariff.card),
            policy,
            size=self.size,
            resize=lambda old, new: sizes.of(sizes.rewritten(old, new)).tokens,
        )
        self._history: StepHistory = scene.memory.setdefault("lengths", StepHistory())
        self._step = 0

    def before(self, call: Call, request: Request) -> Request:
        """Send what the planner leaves of the history."""
        self._step += 1
        situation = self._situation(request)
        decision = self.decide(situation)
        if decision.action is not Action.NONE:
            self.plan = decision.plan
            self.tally["cuts"] += 1
            self.tally["predicted_nano_usd"] += decision.predicted_nano
        if call is self.scene.episode.calls[-1]:
            self._history.ended(self._step)
        return request._replace(messages=tuple(self.projected(request.messages)))

    def decide(self, situation: Situation) -> Decision:
        """Decide what is cut before a call; the planner does."""
        return self.planner.decide(situation)

    def offer(self, passing: Passing) -> SummaryOffer | None:
        """Give what would stand for a part of the history, and what that costs; None: nothing would."""
        return None

    def projected(self, messages: Sequence[BaseMessage], plan: Plan | None = None) -> list[BaseMessage]:
        """Give what is sent of a history under a plan; None is the one that holds."""
        return project(messages, self.plan if plan is None else plan, self.planner.make)

    def view(self, messages: Sequence[BaseMessage]) -> HistoryView:
        """Give a history as the planner sees it."""
        planner = self.planner
        return HistoryView(messages, self.plan, keep=planner.policy.keep, size=self.size, make=planner.make)

    def size(self, message: BaseMessage) -> int:
        """Count the tokens of a message as the replay does."""
        return self.scene.sizes.of(message).tokens

    def _situation(self, request: Request) -> Situation:
        static = self.scene.sizes.of_tools(request.tools).tokens

        def offer(shown: Sequence[BaseMessage]) -> SummaryOffer | None:
            return self.offer(self._passing(self.projected(request.messages), shown, static))

        return Situation(
            messages=request.messages,
            plan=self.plan,
            step=self._step,
            remaining=self._history.remaining(self._step),
            static_tokens=static,
            offer=offer,
        )

    def _passing(self, sent: Sequence[BaseMessage], shown: Sequence[BaseMessage], static: int) -> Passing:
        start = next(at for at, message in enumerate(sent) if message is shown[0])
        sums = list(accumulate(map(self.size, sent), initial=static))
        return Passing(sums[start + len(shown)] - sums[start], sums[start], sums[-1])
