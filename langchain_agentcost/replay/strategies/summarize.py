"""Summarization: the middle of a long prompt gives way to a summary that a model writes, where that pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from langchain_core.messages import BaseMessage

from langchain_agentcost.context.decision import Decision, EvictionPolicy, Situation, SummaryOffer
from langchain_agentcost.context.plan import Action, Edit
from langchain_agentcost.context.summary import Summary, parse
from langchain_agentcost.context.summary_extract import extractive_summary
from langchain_agentcost.context.summary_notes import INSTRUCTIONS, SECTIONS_WANTED
from langchain_agentcost.replay.request import Overhead
from langchain_agentcost.replay.strategies.planned import Passing, Planned
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session
from langchain_agentcost.tokens import count_text

NOTHING_COPIED = "[summary of what was said before]"
"""What stands for a summary of which code can make nothing: providers refuse a message without text."""


@dataclass(frozen=True, slots=True)
class Summarize:
    """Summarize all between the task and the latest answers, where the eviction planner finds that it pays.

    Real are the planner with its break-even and its batches, the plan, and the part of the summary that code makes
    (`extractive_summary`): only what that copies counts as kept. Assumed is what a model would add: the summary is
    billed, as the answer that writes it and in every prompt, as if it had all of `to` tokens. The call that writes it
    is the cheaper of two: behind the prompt that the provider has cached, or with a prompt that has only what is
    covered, both to the run's own model. The recorded answers are played.

    Without `break_even` there is no planner: a summary is written whenever a prompt is too long, as the usual tools do.

    Args:
        above: Only prompts of more tokens than this are summarized.
        keep: How many of the latest answers stay, with all that came after them.
        to: The length of a summary, in tokens.
        margin: How many tokens a summary has to take away beyond its own length.
        break_even: Whether to act only where it pays.
    """

    name: ClassVar[str] = "summarize"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    above: int = 16_000
    keep: int = 5
    to: int = 1_000
    margin: int = 4_000
    break_even: bool = True

    def __post_init__(self) -> None:
        for name, least in (("above", 1), ("keep", 1), ("to", 1), ("margin", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Summarizing(scene, self)


class _Summarizing(Planned):
    def __init__(self, scene: Scene, told: Summarize) -> None:
        super().__init__(scene, EvictionPolicy(keep=told.keep, actions=frozenset({Action.SUMMARISE})))
        self._told = told
        self._instructed = self._count(f"{INSTRUCTIONS}\n\n{SECTIONS_WANTED}")
        self._call = Overhead(0, 0)
        """The call that would write the summary that was offered last."""

    def decide(self, situation: Situation) -> Decision:
        decision = super().decide(situation) if self._told.break_even else self._due(situation)
        if decision.summarise is None:
            return decision
        start, end = decision.summarise
        self.overhead.append(self._call)
        self.tally["summaries"] += 1
        edit = Edit(start, end, Action.SUMMARISE, self._text(situation.messages, start, end))
        made = self.planner.summarised(situation, decision, edit.text)
        for message in self.planner.make(situation.messages[start:end], edit):
            self.scene.sizes.assume(message, self._told.to)
        return made

    def offer(self, passing: Passing) -> SummaryOffer | None:
        told = self._told
        if passing.prompt_tokens <= told.above or passing.tokens - told.to < max(told.margin, 1):
            return None
        prefix = passing.before_tokens + passing.tokens
        ways = (
            Overhead(prefix + self._instructed, told.to, read_tokens=prefix),
            Overhead(passing.tokens + self._instructed, told.to),
        )
        self._call = min(ways, key=self._fee)
        return SummaryOffer(tokens=told.to, fee_nano=self._fee(self._call))

    def _due(self, situation: Situation) -> Decision:
        """What is decided where nobody asks whether it pays."""
        view = self.view(situation.messages)
        start, end = view.middle
        offer = situation.offer(view.shown(start, end)) if situation.offer and start < end else None
        action = Action.SUMMARISE if offer else Action.NONE
        middle = (start, end) if offer else None
        return Decision(action=action, plan=view.plan, why="it is due", step=situation.step, summarise=middle)

    def _text(self, messages: Sequence[BaseMessage], start: int, end: int) -> str:
        """What code makes of a summary: of what it is to stand for, and of earlier summaries in it."""
        gone = [edit for edit in self.plan.edits if start <= edit.start and edit.end <= end]
        covered = [messages[at] for at in range(start, end) if not any(edit.start <= at < edit.end for edit in gone)]
        earlier = Summary()
        for edit in gone:
            earlier = earlier.merge(parse(edit.text) or Summary(), max_tokens=self._most)
        made = extractive_summary(covered, earlier=earlier, max_tokens=self._most)
        return made.render() or NOTHING_COPIED

    @property
    def _most(self) -> int:
        """How long the text may be as this package counts, so that the provider counts no more than was said."""
        return int(self._told.to / self.scene.sizes.factor)

    def _fee(self, call: Overhead) -> int:
        return self.scene.tariff.overhead(call)[0]

    def _count(self, text: str) -> int:
        return ceil(count_text(text) * self.scene.sizes.factor)
