"""Budgets and circuit breakers: the package's own, held over a recorded run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.messages.tool import ToolCall

from langchain_agentcost.canonical import digest
from langchain_agentcost.limits.alerts import Alert, AlertSink
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget, action_name
from langchain_agentcost.limits.demand import Demand, Taken
from langchain_agentcost.limits.dispatch import Alerts
from langchain_agentcost.limits.limiter import Admission, Limiter, Terms
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.policy import Policy
from langchain_agentcost.limits.watch import Trip, Watch
from langchain_agentcost.replay.cache import Chain
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Decision, Request, Stopped
from langchain_agentcost.replay.steps import asked_by_id, call_key, result_key
from langchain_agentcost.replay.strategy import Fidelity, Limit, Paid, Scene, Session

BUDGET = "budget"
"""Why a run was stopped that a budget had no room for; what a breaker stopped was stopped by its kind."""

_SOFT = Terms(("warn", "drain"))

UNTIMED_S = 60.0
"""Between calls whose time was not recorded: long enough to say nothing about how fast a run is."""


class Unheard(Alerts):
    """Alerts of runs that are only played: nobody is told, and no log is written."""

    def fire(self, alert: Alert, *, once: str | None = None, to: Iterable[AlertSink] = (), shared: bool = True) -> None:
        """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Breakers:
    """Stop runs that get nowhere, by `CircuitBreaker.defaults()`."""

    name: ClassVar[str] = "breakers"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = True

    def limits(self) -> Sequence[Limit]:
        """Give the limits."""
        return CircuitBreaker.defaults()

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return Held(scene, self.limits())


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold every run to a set of limits: those of a preset, or those of a policy file.

    A stopped run counts as failed. Its calls are billed with prompt caching, and so do budgets count them.

    Args:
        preset: "support", "coding" or "typical" (`limits.presets`), where no file is named.
        file: A policy file, `agentcost.toml`; its budgets and breakers are held, its prices are not used. Limits of
            time are not: how long a run took is not recorded.
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
        if "limits" not in scene.memory:
            scene.memory["limits"] = self.limits()
        return Held(scene, scene.memory["limits"])


class Held(Session):
    """A run that is held to limits by the package's own `Watch` and `Limiter`.

    The worst case of a call is its recorded input and the length of its recorded answer, as with an exact count and a
    max_tokens that fits. Each run is a session of its own, and its tools run one after the other. What only warns or
    tells stops nothing, "drain" stops the run before the next call, and where a person would be asked the run ends:
    what they would have said is not known.

    Args:
        scene: The run.
        limits: The limits.
    """

    def __init__(self, scene: Scene, limits: Iterable[Limit]) -> None:
        super().__init__(scene)
        held = tuple(limits)
        self._watch = Watch(limit for limit in held if isinstance(limit, CircuitBreaker))
        self._budgets = Limiter(
            (limit for limit in held if isinstance(limit, Budget)), MemoryBudgetStore(), alerts=Unheard()
        )
        self._chain = Chain(scene.sizes)
        self._number = 0
        self._history: Sequence[BaseMessage] = ()
        self._seen = 0
        self._stop: str | None = None
        self._drain: str | None = None
        self._admission: Admission | None = None

    def before(self, call: Call, request: Request) -> Decision:
        """Stop the run where a breaker trips or a budget has no room."""
        self._stop = self._stop or self._drain
        if self._stop is None:
            self._number += 1
            self._chain.follow(request)
            tokens = round(self._chain.tokens * self.scene.sizes.scale(call))
            self._note(self._watch.before_model(input_tokens=tokens, at_s=self._time(call)))
            self._admission = self._admit(self._demand(call, tokens), "model")
        return request if self._stop is None else Stopped(self._stop)

    def after(self, call: Call, paid: Paid) -> None:
        """Settle the call, and let the breakers see its answer and its tools."""
        usage = paid.usage
        taken = Taken(paid.nano, usage.input_tokens, usage.output_tokens, provider_called=usage.input_tokens > 0)
        self._settle(self._admission, taken)
        self._watch.model_answered(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            at_s=self._time(call),
            fingerprint=self._news(call),
        )
        asked = asked_by_id(call)
        for number, result in enumerate(call.results):
            self._tool_ran(asked.get(result.tool_call_id), result, number)
            if self._stop is not None:
                return

    def _tool_ran(self, asked: ToolCall | None, result: ToolMessage, number: int) -> None:
        tool = asked["name"] if asked else result.name or "?"
        self._note(self._watch.before_tool(tool))
        self._settle(self._admit(Demand("tool", tool=tool), f"tool {number}"), Taken())
        if self._stop is None:
            key = call_key(asked) if asked else tool
            failed = result.status == "error"
            self._watch.tool_returned(tool=tool, call=key, result=result_key(result.content), failed=failed)

    def _demand(self, call: Call, tokens: int) -> Demand:
        """The worst case of a model call."""
        worst = self.scene.tariff.card.worst(tokens)
        of_input, of_output = worst if worst is not None else (None, None)
        output = self.scene.sizes.answer_tokens(call)
        return Demand("llm", tokens, output, input_nano=of_input, output_token_nano=of_output)

    def _admit(self, demand: Demand, what: str) -> Admission | None:
        """Reserve for a call, or stop the run."""
        if self._stop is not None or not self._budgets.rules:
            return None
        answer = self._budgets.admit(self._id(what), self._labels(), demand, call_id=self._id(what), terms=_SOFT)
        if isinstance(answer, Admission):
            self._drain = self._drain or (BUDGET if answer.drain else None)
            return answer
        self._stop = BUDGET
        return None

    def _settle(self, admission: Admission | None, taken: Taken) -> None:
        if admission is not None and admission.settle(taken, call_id=admission.hold_id):
            self._drain = self._drain or BUDGET

    def _labels(self) -> Mapping[str, Any]:
        episode = self.scene.episode
        model = self.scene.tariff.card.model
        return {"run": episode.id, "session": episode.id, "step": self._number, "model": model}

    def _news(self, call: Call) -> str:
        """A hash of what was new in the prompt, and of the answer."""
        if call.history is not self._history:
            self._history, self._seen = call.history, 0
        new = call.history[self._seen : call.length]
        self._seen = call.length + 1
        return digest(" ".join(self.scene.sizes.of(message).key.hex() for message in (*new, call.answer))).hex()

    def _note(self, trips: Sequence[Trip]) -> None:
        """Heed the breakers that stop."""
        for trip in trips:
            action = action_name(trip.breaker.on_trip) if trip.level == "stop" else "warn"
            if action == "drain":
                self._drain = self._drain or trip.breaker.kind
            elif action != "warn":
                self._stop = self._stop or trip.breaker.kind

    def _time(self, call: Call) -> float:
        return call.recorded.at_s if call.recorded.at_s is not None else self._number * UNTIMED_S

    def _id(self, what: str) -> str:
        return f"{self.scene.episode.id}:{self._number}:{what}"
