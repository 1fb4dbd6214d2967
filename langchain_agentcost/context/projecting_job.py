"""One call that is decided about: what a decider is told, and what is sent and stored by its decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from langchain_core.messages import AIMessage, BaseMessage

from langchain_agentcost.context.audit import Asked
from langchain_agentcost.context.decision import Decision, Situation
from langchain_agentcost.context.plan import Action, Editor, Plan, project
from langchain_agentcost.context.planner import EvictionPlanner
from langchain_agentcost.context.projecting_attempts import Attempt
from langchain_agentcost.context.projecting_model import Beside, ModelFacts
from langchain_agentcost.context.projecting_state import Stored
from langchain_agentcost.context.projecting_summary import History, SummaryDesk, without_summary
from langchain_agentcost.tokens import count_messages
from langchain_agentcost.usage import Usage, is_cache_hit


@runtime_checkable
class Decider(Protocol):
    """Decides what of a history is sent: an `EvictionPlanner`, a `Selection`, or your own."""

    def decide(self, situation: Situation) -> Decision:
        """Decide what is sent.

        Args:
            situation: The call that is about to be made.

        Returns:
            The decision. Its plan is what the history is projected by, and is kept for the next call.
        """
        ...


@dataclass(frozen=True, slots=True)
class Projection:
    """What is sent, and what is kept.

    Args:
        messages: The messages for the model.
        stored: What is kept for the next call: plain data that JSON can hold.
        decision: What was decided; None where something failed and the history goes out as it is.
    """

    messages: list[BaseMessage]
    stored: dict[str, Any]
    decision: Decision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call that is decided about.

    Args:
        messages: The history.
        stored: What is kept of the thread, this call counted.
        facts: What the model costs.
        beside: What is sent beside the history.
        decider: Who decides.
        remaining: The calls that are expected, this one among them.
        cold: Whether the provider's cache has lost the prompt before.
        desk: Who writes summaries; None where nobody does.
        editor: Makes what stands for edited messages.
        attempt: Which call this is, to know it when it is tried again; None where that cannot be told.
    """

    messages: Sequence[BaseMessage]
    stored: Stored
    facts: ModelFacts
    beside: Beside
    decider: Decider
    remaining: float
    cold: bool
    desk: SummaryDesk | None
    editor: Editor
    attempt: Attempt | None

    @property
    def history(self) -> History:
        """What a summary is made of."""
        make = getattr(self.decider, "make", self.editor)
        return History(self.beside.messages(), self.messages, self.stored.plan, not self.cold, make)

    @property
    def situation(self) -> Situation:
        """What the decider is told."""
        desk, history = self.desk, self.history
        return Situation(
            messages=self.messages,
            plan=self.stored.plan,
            remaining=self.remaining,
            step=self.stored.step,
            static_tokens=self.static_tokens,
            cached=not self.cold,
            offer=None if desk is None else lambda shown: desk.offer(shown, history),
        )

    @property
    def static_tokens(self) -> int:
        """What is sent beside the history, in tokens."""
        return count_messages(self.beside.messages(), model=self.facts.name, tools=self.beside.tools)

    def decide(self) -> Decision:
        """Have it decided."""
        return self.decider.decide(self.situation)

    def written(self, decision: Decision, summary: str) -> Decision:
        """Give a decision with its summary; where none came, or none that is shorter, what is best without one."""
        situation = self.situation
        if not isinstance(self.decider, EvictionPlanner):
            return without_summary(situation, decision)
        if summary:
            done = self.decider.summarised(situation, decision, summary)
            if self._evicted(done.plan) > 0:
                return done
        return self.decider.decide(replace(situation, offer=None))

    def projection(self, decision: Decision) -> Projection:
        """Give what is sent by a decision, and what is stored."""
        if decision.summarise is not None:  # nobody was there to write it
            decision = without_summary(self.situation, decision)
        sent = project(self.messages, decision.plan, self.editor)
        audit = self.stored.audit
        if decision.action is not Action.NONE:
            audit = audit.decided(decision, evicted_tokens=self._evicted(decision.plan))
        asked = Asked(self.static_tokens + self._tokens(sent), len(self.messages), self.cold)
        stored = replace(self.stored, plan=decision.plan, audit=audit.asking(asked))
        return Projection(sent, stored.as_dict(), decision)

    def _evicted(self, plan: Plan) -> int:
        before = project(self.messages, self.stored.plan, self.editor)
        return self._tokens(before) - self._tokens(project(self.messages, plan, self.editor))

    def _tokens(self, messages: Sequence[BaseMessage]) -> int:
        return sum(self.facts.size(message) for message in messages)


def settled(stored: Stored, messages: Sequence[BaseMessage]) -> tuple[Stored, bool]:
    """Count the answer of the latest call, where the history has it.

    Returns:
        What is stored, and whether that answer is there.
    """
    asked = stored.audit.asked
    if asked is None:
        return stored, False
    answer = next((one for one in messages[asked.messages :] if isinstance(one, AIMessage)), None)
    if answer is None or is_cache_hit(answer):
        return stored, answer is not None
    return replace(stored, audit=stored.audit.answered(Usage.from_message(answer))), True
