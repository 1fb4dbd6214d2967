"""What the eviction planner is told and what it says: policy, situation and decision, all data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_agentcost.context.notes import NoteStyle
from langchain_agentcost.context.plan import Action, Plan
from langchain_agentcost.context.worth import Cut
from langchain_agentcost.errors import ContextError


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictionPolicy:
    """What may be cut.

    Args:
        keep: How many of the latest answers stay whole, with all their tool results.
        least_tokens: A cut that takes less of one message is not made.
        notes: How short what stands for a cut message is.
        exclude_tools: Tools whose results are never cut.
        actions: What may be done: MASK for results, TRUNCATE for the arguments of calls, SUMMARISE where whoever asks
            offers a summary. OFFLOAD follows from references; DROP happens only where a prompt would not fit its
            window.

    Raises:
        ContextError: If a number makes no sense.
    """

    keep: int = 3
    least_tokens: int = 10
    notes: NoteStyle = field(default_factory=NoteStyle)
    exclude_tools: frozenset[str] = frozenset()
    actions: frozenset[Action] = frozenset({Action.MASK, Action.TRUNCATE, Action.SUMMARISE})

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ContextError(f"keep is at least 1: the latest answer and its results stay; not {self.keep}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryOffer:
    """What a summary would be.

    Args:
        tokens: Its length at most.
        fee_nano: What it costs to have it written, in nano-USD.
    """

    tokens: int
    fee_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A call that is about to be made.

    Args:
        messages: The history, as it is in the state.
        plan: What was cut of it so far.
        remaining: The calls that are expected, this one among them.
        step: The number of this call in its run; the first is 1.
        static_tokens: What is sent beside the history: tools, and a system message that is not in it.
        cached: Whether the provider's cache still has what was sent last; after a long pause all is written again, and
            a cut costs nothing.
        offer: Gives what a summary of a part would be, of its messages as they are sent now; None: there is none.
    """

    messages: Sequence[BaseMessage]
    plan: Plan
    remaining: float
    step: int
    static_tokens: int = 0
    cached: bool = True
    offer: Callable[[Sequence[BaseMessage]], SummaryOffer | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the planner decided.

    Args:
        action: What is done; NONE leaves the plan as it was.
        plan: The plan from now on. Of a summary that is to be written, see `EvictionPlanner.summarised`.
        why: The reason, in words.
        step: The call that it was decided at.
        predicted_nano: What it is expected to save in all, in nano-USD; 0 where nothing is done.
        cut: What it changes, in tokens; None where nothing is done.
        remaining: The calls that were expected.
        summarise: The messages that a summary is to stand for, as a range of places; None where there is none.
    """

    action: Action
    plan: Plan
    why: str
    step: int
    predicted_nano: int = 0
    cut: Cut | None = None
    remaining: float = 0.0
    summarise: tuple[int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data, for logs and events: no text of the history is in it."""
        cut = self.cut
        return {
            "action": self.action.value,
            "why": self.why,
            "step": self.step,
            "epoch": self.plan.epoch,
            "predicted_nano": self.predicted_nano,
            "evicted_tokens": cut.evicted_tokens if cut else 0,
            "rewritten_tokens": cut.rewritten_tokens if cut else 0,
            "fee_nano": cut.fee_nano if cut else 0,
            "remaining": round(self.remaining, 1),
        }
