"""What a projector keeps of a thread: plain data for a channel of a graph's state, or for whoever keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from typing_extensions import TypedDict

from langchain_agentcost.context.audit import Audit
from langchain_agentcost.context.plan import Plan
from langchain_agentcost.errors import ContextError

CONTEXT_KEY = "agentcost_context"
"""The channel that it is kept in."""


def latest(_: object, new: object) -> object:
    """Reduce: what was written last counts."""
    return new


class ContextState(TypedDict, total=False):
    """A state with the projector's channel, to inherit from: `class State(MessagesState, ContextState)`."""

    agentcost_context: Annotated[dict[str, Any], latest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is kept of a thread from call to call.

    Args:
        plan: What is cut of its history.
        step: How many calls were asked for.
        last_call_at: When the latest was, in seconds since 1970; None before the first.
        lengths: How long other runs were when this one began; None where that was not asked for.
        learned: How long this run is for others that begin: as many calls as were answered.
        audit: What the cuts have saved.

    Example:
        >>> Stored.from_dict(Stored(step=3).as_dict()).step
        3
    """

    plan: Plan = field(default_factory=Plan)
    step: int = 0
    last_call_at: float | None = None
    lengths: tuple[int, ...] | None = None
    learned: int = 0
    audit: Audit = field(default_factory=Audit)

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data that JSON can hold."""
        return {
            "plan": self.plan.as_dict(),
            "step": self.step,
            "last_call_at": self.last_call_at,
            "lengths": None if self.lengths is None else list(self.lengths),
            "learned": self.learned,
            "audit": self.audit.as_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> Self:
        """Read what `as_dict` wrote; None is a thread that begins.

        Raises:
            ContextError: If it is something else.
        """
        if not data:
            return cls()
        try:
            last, lengths = data["last_call_at"], data["lengths"]
            return cls(
                plan=Plan.from_dict(data["plan"]),
                step=int(data["step"]),
                last_call_at=None if last is None else float(last),
                lengths=None if lengths is None else tuple(int(one) for one in lengths),
                learned=int(data.get("learned", 0)),
                audit=Audit.from_dict(data["audit"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, ContextError):
                raise
            raise ContextError(
                f"This is no state of a context: {type(error).__name__}. Delete it to start anew."
            ) from error
