"""Which call a projector is asked about: one that is tried again gets the same decision, and the same summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from langchain_agentcost.attribution import node_path
from langchain_agentcost.context.decision import Decision
from langchain_agentcost.context.plan import Plan
from langchain_agentcost.context.projecting_model import ModelFacts
from langchain_agentcost.context.projecting_state import Stored
from langchain_agentcost.recent import Recent

ATTEMPTS_KEPT = 256
"""Of so many calls that have no answer yet the decision is remembered: the latest."""

THREADS_KEPT = 1_000
"""Of so many threads the Runnable remembers the plan: the latest."""


class Attempt(NamedTuple):
    """A call, as it is known again.

    Args:
        place: The thread and the task of its graph; a node that is tried again is the same task.
        step: Its number.
        plan: What was cut before it.
        says: What its history says behind what the plan covers, as a hash.
        cold: Whether the provider's cache has lost the prompt before.
        facts: The model: another one that is fallen back to has other prices.
    """

    place: str
    step: int
    plan: Plan
    says: str
    cold: bool
    facts: ModelFacts

    @classmethod
    def of(
        cls, place: str, messages: Sequence[BaseMessage], stored: Stored, *, cold: bool, facts: ModelFacts
    ) -> Attempt:
        """Make the mark of a call that is about to be made, of a history that the plan fits."""
        said = says(messages[stored.plan.covered :])
        return cls(place, stored.step, stored.plan, said, cold, facts)


class Attempts:
    """What was decided about calls that have no answer yet."""

    def __init__(self) -> None:
        self._made: Recent[str, tuple[Attempt, Decision, Mapping[str, Any]]] = Recent(ATTEMPTS_KEPT)

    def made(self, attempt: Attempt | None) -> tuple[Decision, dict[str, Any]] | None:
        """Give what was decided about a call and what was stored; None where it was not asked for before."""
        known = self._made.get(attempt.place) if attempt is not None else None
        return (known[1], dict(known[2])) if known is not None and known[0] == attempt else None

    def keep(self, attempt: Attempt | None, decision: Decision, stored: Mapping[str, Any]) -> None:
        """Remember what was decided."""
        if attempt is not None:
            self._made.put(attempt.place, (attempt, decision, stored))

    def answered(self, place: str | None) -> None:
        """Forget a call that has its answer."""
        if place is not None:
            self._made.pop(place)


def place_of(config: RunnableConfig | None) -> str | None:
    r"""Give the thread and the task of its graph that a config names; None where it names neither.

    Example:
        >>> place_of({"configurable": {"thread_id": "t1", "checkpoint_ns": "agent:0a1b"}})
        't1\nagent:0a1b'
    """
    named = ensure_config(config).get("configurable", {})
    thread, task = named.get("thread_id") or "", named.get("checkpoint_ns") or ""
    return f"{thread}\n{task}" if thread or task else None


def says(messages: Sequence[BaseMessage]) -> str:
    """Give what messages say, as a hash."""
    return Plan().following(messages, ()).check


class Threads:
    """The threads of a Runnable, and what is stored of each.

    A thread is known by its id, by its place in the graph, and by how its history begins. The ids of LangGraph's tasks
    are no part of it: each step of a run has another one. Where tasks of one node run side by side, each has another
    question.
    """

    def __init__(self) -> None:
        self._known: Recent[str, tuple[str, Mapping[str, Any] | None, Mapping[str, Any]]] = Recent(THREADS_KEPT)

    @staticmethod
    def named(messages: Sequence[BaseMessage], config: RunnableConfig | None) -> str | None:
        """Give the thread's name; None where the config has no `thread_id`."""
        named = ensure_config(config).get("configurable", {})
        if not named.get("thread_id"):
            return None
        asked = next((at for at, message in enumerate(messages) if isinstance(message, HumanMessage)), 0)
        path = "/".join(node_path(named.get("checkpoint_ns") or ""))
        return f"{named['thread_id']}\n{path}\n{says(messages[: asked + 1])}"

    def stored(self, thread: str, said: str) -> Mapping[str, Any] | None:
        """Give what was stored before a call, of a history that `says` so: also where the same call is tried again."""
        known = self._known.get(thread)
        if known is None:
            return None
        last, before, after = known
        return before if said == last else after

    def keep(self, thread: str, said: str, *, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        """Remember what is stored after a call."""
        self._known.put(thread, (said, before, after))

    def values(self) -> list[Mapping[str, Any]]:
        """Give what is stored of all threads."""
        return [after for _, _, after in self._known.values()]
