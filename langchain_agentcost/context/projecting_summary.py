"""Summaries for a planner: what one would be and cost, and who writes it where the planner wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.context.decision import Decision, Situation, SummaryOffer
from langchain_agentcost.context.plan import Action, Make, Plan, project
from langchain_agentcost.context.summarizer import Summarized, Summarizer
from langchain_agentcost.context.summary import Summary, parse
from langchain_agentcost.context.summary_writers import Passage

_UNBOUNDED = 1_000_000


class History(NamedTuple):
    """What is summarised a part of.

    Args:
        system: The system message, or nothing.
        messages: The history.
        plan: What is cut of it.
        warm: Whether the provider's cache still has the prompt before.
        make: What makes the notes of the plan.
    """

    system: Sequence[BaseMessage]
    messages: Sequence[BaseMessage]
    plan: Plan
    warm: bool
    make: Make

    def prefix(self, last: BaseMessage) -> list[BaseMessage]:
        """Give the prompt as it was sent, to a message of it; nothing where that is not in it."""
        sent = project(self.messages, self.plan, self.make)
        at = next((at for at, message in enumerate(sent) if message is last), None)
        return [] if at is None else [*self.system, *sent[: at + 1]]


class SummaryDesk:
    """Offers summaries and has them written.

    Args:
        summarizer: Who writes them.
    """

    def __init__(self, summarizer: Summarizer) -> None:
        self._summarizer = summarizer

    def offer(self, shown: Sequence[BaseMessage], history: History) -> SummaryOffer | None:
        """Say what a summary of messages would be, as they are sent now."""
        passage = _passage(shown, history.prefix(shown[-1]) if shown else (), warm=history.warm)
        if not passage.covered:
            return None
        cost = self._summarizer.estimate(passage).cost
        return SummaryOffer(tokens=self._summarizer.max_tokens, fee_nano=cost.total_nano if cost else 0)

    def write(self, history: History, decision: Decision, config: RunnableConfig | None) -> str:
        """Have the summary written that a decision asks for; "" where there is none."""
        return _text(self._summarizer.summarize(_wanted(history, decision), config))

    async def awrite(self, history: History, decision: Decision, config: RunnableConfig | None) -> str:
        """Have the summary written from async code; see `write`."""
        return _text(await self._summarizer.asummarize(_wanted(history, decision), config))


def without_summary(situation: Situation, decision: Decision) -> Decision:
    """Give the decision where no summary could be written: nothing is changed."""
    return Decision(
        action=Action.NONE,
        plan=situation.plan if situation.plan.fits(situation.messages) else Plan(situation.plan.epoch),
        why="a summary would pay, and none could be written",
        step=decision.step,
        remaining=decision.remaining,
    )


def _wanted(history: History, decision: Decision) -> Passage:
    """The passage that a decision wants summarised: the whole messages, and the summary of what went before."""
    start, end = decision.summarise or (0, 0)
    gone = {
        at
        for edit in history.plan.edits
        if edit.action in (Action.SUMMARISE, Action.DROP)
        for at in range(edit.start, edit.end)
    }
    whole = [history.messages[at] for at in range(start, end) if at not in gone]
    inside = [edit for edit in history.plan.edits if start <= edit.start and edit.end <= end]
    earlier = [HumanMessage(edit.text) for edit in inside if edit.action is Action.SUMMARISE]
    until = Plan(history.plan.epoch).following(
        history.messages[:end], [edit for edit in history.plan.edits if edit.end <= end]
    )
    prefix = [*history.system, *project(history.messages[:end], until, history.make)]
    return _passage([*earlier, *whole], prefix, warm=history.warm)


def _passage(messages: Sequence[BaseMessage], prefix: Sequence[BaseMessage], *, warm: bool) -> Passage:
    """Messages, with the summaries among them apart."""
    earlier, covered = Summary(), []
    for message in messages:
        known = parse(message.text) if isinstance(message, HumanMessage) else None
        if known is None:
            covered.append(message)
        else:
            earlier = earlier.merge(known, max_tokens=_UNBOUNDED)
    return Passage(covered=covered, earlier=earlier, prefix=prefix, warm=warm)


def _text(made: Summarized | None) -> str:
    return made.summary.render() if made is not None and made.summary else ""
