"""Budgets and circuit breakers: the package's own, held over a recorded run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.demand import Demand, Taken
from langchain_agentcost.limits.limiter import Admission, Limiter
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.policy import Policy
from langchain_agentcost.limits.watch import Trip, Watch
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Decision, Request, Stopped
from langchain_agentcost.replay.steps import action_key, asked_by_id, call_key, result_key
from langchain_agentcost.replay.strategy import Fidelity, Paid, Scene, Session

Limit = Budget | CircuitBreaker

UNTIMED_S = 60.0
"""Between calls whose time was not recorded: long enough to say nothing about how fast a run is."""


@dataclass(frozen=True, slots=True)
class Breakers:
    """Stop runs that get nowhere, by `CircuitBreaker.defaults()`."""

    name: ClassVar[str] = "breakers"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = True

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return Held(scene, CircuitBreaker.defaults())


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold every run to a set of limits: those of a preset, or those of a policy file.

    A stopped run counts as failed. Its calls are billed with prompt caching, and so do budgets count them.

    Args:
        preset: "support", "coding" or "typical" (`limits.presets`), where no file is named.
        file: A policy file, `agentcost.toml`; its budgets and breakers are held, its prices are not used.
    """

    name: ClassVar[str] = "limits"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = False

    preset: str = "support"
    file: str = ""

    def __post_init__(self) -> None:
        self.limits()

    def limits(self) -> Sequence[Limit]:
        """Give the limits."""
        return Policy.load(Path(self.file)).limits if self.file else Budget.presets(self.preset)

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        held = scene.memory.setdefault("limits", self.limits())
        return Held(scene, held)


class Held(Session):
    """A run that is held to limits by the package's own `Watch` and `Limiter`.

    The worst case of a call is its recorded input and the length of its recorded answer, as with an exact count and a
    max_tokens that fits. Each run is a session of its own, and its tools run one after the other.

    Args:
        scene: The run.
        limits: The limits.
    """

    def __init__(self, scene: Scene, limits: Iterable[Limit]) -> None:
        super().__init__(scene)
        held = tuple(limits)
        self._watch = Watch(limit for limit in held if isinstance(limit, CircuitBreaker))
        self._budgets = Limiter((limit for limit in held if isinstance(limit, Budget)), MemoryBudgetStore())
        self._number = 0
        self._seen = 0
        self._stop: str | None = None
        self._admission: Admission | None = None

    def before(self, call: Call, request: Request) -> Decision:
        """Stop the run where a breaker trips or a budget has no room."""
        self._number += 1
        tokens = self.scene.sizes.tokens(request.tools, request.messages)
        self._note(self._watch.before_model(input_tokens=tokens, at_s=self._time(call)))
        if self._stop is None and self._budgets.rules:
            self._reserve(call, tokens)
        return request if self._stop is None else Stopped(self._stop)

    def after(self, call: Call, paid: Paid) -> None:
        """Settle the call, and let the breakers see its answer and its tools."""
        usage = paid.usage
        if self._admission is not None:
            taken = Taken(paid.nano, usage.input_tokens, usage.output_tokens)
            self._admission.settle(taken, call_id=self._id())
        self._watch.model_answered(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            at_s=self._time(call),
            fingerprint=self._news(call),
        )
        asked = asked_by_id(call)
        for result in call.results:
            made = asked.get(result.tool_call_id)
            tool = made["name"] if made else result.name or "?"
            self._note(self._watch.before_tool(tool))
            if self._stop is not None:
                return
            key = call_key(made) if made else tool
            failed = result.status == "error"
            self._watch.tool_returned(tool=tool, call=key, result=result_key(result.content), failed=failed)

    def _reserve(self, call: Call, tokens: int) -> None:
        card, episode = self.scene.tariff.card, self.scene.episode
        worst = card.worst(tokens)
        output = self.scene.sizes.answer_tokens(call)
        of_input, of_output = worst if worst is not None else (None, None)
        demand = Demand("llm", tokens, output, input_nano=of_input, output_token_nano=of_output)
        labels = {"run": episode.id, "session": episode.id, "step": self._number, "model": card.model}
        answer = self._budgets.admit(self._id(), labels, demand, call_id=self._id())
        self._admission = answer if isinstance(answer, Admission) else None
        if self._admission is None:
            self._stop = "budget"

    def _news(self, call: Call) -> str:
        """A hash of what was new in the prompt, and of the answer."""
        new = call.history[self._seen : call.length]
        self._seen = call.length + 1
        return result_key([[message.content for message in new], call.answer.content, action_key(call.answer)])

    def _note(self, trips: Sequence[Trip]) -> None:
        stopping = next((trip for trip in trips if trip.level == "stop"), None)
        if self._stop is None and stopping is not None:
            self._stop = stopping.breaker.kind

    def _time(self, call: Call) -> float:
        return call.recorded.at_s if call.recorded.at_s is not None else self._number * UNTIMED_S

    def _id(self) -> str:
        return f"{self.scene.episode.id}:{self._number}"
