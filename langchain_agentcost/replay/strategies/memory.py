"""Working memory: old steps give way to notes at the end of each prompt, where that pays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_agentcost.context.decision import Decision, EvictionPolicy, Situation, SummaryOffer
from langchain_agentcost.context.literals import literals
from langchain_agentcost.context.memory import (
    MAX_MEMORY_TOKENS,
    MAX_NOTE_CHARS,
    merge_memory,
    noted,
    render_memory,
    with_memory,
)
from langchain_agentcost.context.message_text import text_of
from langchain_agentcost.context.plan import Action
from langchain_agentcost.context.summary_extract import LITERALS_A_MESSAGE, ledger_of
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.strategies.planned import Passing, Planned
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session
from langchain_agentcost.tokens import count_text

LEFT_OUT = "[Earlier steps are left out. What was noted of them is said at the end.]"


@dataclass(frozen=True, slots=True)
class Remember:
    """Leave out all between the task and the latest answers, and say what was noted of it at the end of each prompt.

    Real are the working memory (`noted`, `merge_memory`, `with_memory`: its cap, what is left out first, its place
    behind the last message), what that costs (it is sent anew, at the full price, with each call), and the eviction
    planner, which acts only where what is left out is worth more than the notes cost in all calls to come. A stand-in
    is who takes the notes: recordings have no calls of `remember`, so code notes what a careful model might, at the
    boundary: artifacts, what users said, and the literals of what was said and found that stand nowhere else. What a
    model would write to note it is not charged, and the facts that only a model would see are not kept.

    Args:
        keep: How many of the latest answers stay, with all that came after them.
        notes: How long the notes may be in a prompt, in tokens.
    """

    name: ClassVar[str] = "memory"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    keep: int = 5
    notes: int = MAX_MEMORY_TOKENS

    def __post_init__(self) -> None:
        for name in ("keep", "notes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Remembering(scene, self)


class _Remembering(Planned):
    def __init__(self, scene: Scene, told: Remember) -> None:
        super().__init__(scene, EvictionPolicy(keep=told.keep, actions=frozenset({Action.SUMMARISE})))
        self._told = told
        self._memory: Mapping[str, Any] = {}

    def before(self, call: Call, request: Request) -> Request:
        sent = super().before(call, request)
        if not self.plan.edits or not self.plan.fits(request.messages):
            return sent
        return sent._replace(messages=tuple(with_memory(sent.messages, self._memory, max_tokens=self._most)))

    def decide(self, situation: Situation) -> Decision:
        decision = super().decide(situation)
        if decision.summarise is None:
            return decision
        made = self.planner.summarised(situation, decision, LEFT_OUT)
        self._note(situation.messages, *decision.summarise, sent=self.projected(situation.messages, made.plan))
        return made

    def offer(self, passing: Passing) -> SummaryOffer | None:
        """What stands there, and what the notes grow by: as many tokens read from the cache as cost what those do."""
        rates = self.planner.rates
        if not rates.read:
            return None  # what is read for nothing need not be left out
        grown = self._told.notes - self._count(render_memory(self._memory, max_tokens=self._most))
        return SummaryOffer(tokens=self._count(LEFT_OUT) + round(grown * rates.write / rates.read), fee_nano=0)

    def _note(self, messages: Sequence[BaseMessage], start: int, end: int, *, sent: Sequence[BaseMessage]) -> None:
        """Note what is about to be left out."""
        gone = [edit for edit in self.plan.edits if self.plan.fits(messages)]
        if not gone:
            self._memory = {}
        known = {word for message in sent for word in literals(text_of(message))}
        for at in range(start, end):
            if not any(edit.start <= at < edit.end for edit in gone):
                for changes in _changes(messages[at], at, known):
                    self._memory = merge_memory(self._memory, noted(self._memory, **changes))

    @property
    def _most(self) -> int:
        """How long the notes may be as this package counts, so that the provider counts no more than was said."""
        return int(self._told.notes / self.scene.sizes.factor)

    def _count(self, text: str) -> int:
        return round(count_text(text) * self.scene.sizes.factor) if text else 0


def _changes(message: BaseMessage, at: int, known: set[str]) -> Iterator[Mapping[str, Mapping[str, str]]]:
    """What is noted of a message; what was noted already is known, and not noted again."""
    acted = {one.name: one.note for one in ledger_of([message]).artifacts if one.name not in known}
    if acted:
        known |= acted.keys()
        yield {"artifacts": acted}
    if isinstance(message, HumanMessage):
        yield {"facts": {f"the user said ({at})": text_of(message)[:MAX_NOTE_CHARS]}}
        return
    words = [word for word in literals(text_of(message)) if word not in known][:LITERALS_A_MESSAGE]
    known.update(words)
    if words:
        yield {"facts": {f"{message.name or message.type} ({at})": _within(words, MAX_NOTE_CHARS)}}


def _within(words: Sequence[str], chars: int) -> str:
    """The first words that there is room for, whole."""
    text = " ".join(words)
    return text if len(text) <= chars else text[: text.rfind(" ", 0, chars)]
