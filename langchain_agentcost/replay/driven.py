"""A recorded run through a real LangGraph graph: real nodes, real tools, a real meter and its limits, a played model.

The arithmetic replay (`run.py`) works out what a strategy costs. Here the same run is really made: a graph asks a
`ReplayChatModel`, whose every prompt has to be the one that the arithmetic replay sent, and a `CostMeter` books and
prices what the model reports, and holds the run to the strategy's limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained
from langsmith import tracing_context

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.errors.limits import BreakerTripped, LimitReached, LimitUnavailable
from langchain_agentcost.ledger import Entry, MemoryLedger
from langchain_agentcost.limits.alerts import Alert, AlertSink
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.meter.handler import MODE_VARIABLE, CostMeter
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.replay.model import ReplayChatModel
from langchain_agentcost.replay.prices import CardBook
from langchain_agentcost.replay.script import Script, Turn, provider_of
from langchain_agentcost.replay.stage import PREPARE, Stage
from langchain_agentcost.replay.strategies.limits import BUDGET, Unheard
from langchain_agentcost.replay.strategies.nothing import Nothing
from langchain_agentcost.replay.strategy import Combined, Limit, Limiting, Scene, Strategy
from langchain_agentcost.usage import Usage


@dataclass(frozen=True, slots=True)
class Booked:
    """A model call as the meter's ledger has it.

    Args:
        usage: What it took.
        nano: Its cost in nano-USD.
    """

    usage: Usage
    nano: int


@dataclass(frozen=True, slots=True)
class Driven:
    """What became of a run in a real graph.

    Args:
        calls: Its model calls, in order.
        overhead: Those that only the strategy made.
        served: How many calls a cache answered.
        stopped: What ended it early: the kind of a breaker, "budget", or what a strategy says.
    """

    calls: tuple[Booked, ...] = ()
    overhead: tuple[Booked, ...] = ()
    served: int = 0
    stopped: str | None = None

    @property
    def nano(self) -> int:
        """What it cost, in nano-USD."""
        return sum(booked.nano for booked in (*self.calls, *self.overhead))


def drive(scene: Scene, strategy: Strategy, *, turns: Sequence[Turn] | None = None, warm: bool = False) -> Driven:
    """Make a run again in a real graph.

    Limits are the meter's; what else a strategy does happens in a node before the model's. Nothing of it is traced, and
    meters that are there without being passed see nothing of it, `install_global`'s aside.

    Args:
        scene: The run, its sizes and prices, and what the strategy remembers of earlier runs.
        strategy: The strategy.
        turns: The calls that are to be made, each with what is to be sent. None is every call as it was recorded.
        warm: Whether the provider's cache has the tools and system message when the run starts.

    Returns:
        What the meter booked.

    Raises:
        ReplayMismatch: If the graph sends something else.
        ReplayError: If the texts of the run are not known, or the environment switches meters off.
    """
    return Context().run(_drive, scene, strategy, turns, warm)


def _drive(scene: Scene, strategy: Strategy, turns: Sequence[Turn] | None, warm: bool) -> Driven:
    if not scene.episode.calls:
        return Driven()
    provider = provider_of(scene.sizes, scene.tariffs, warm=warm, conversation=scene.conversation)
    script = Script(scene.episode, provider=provider, sizes=scene.sizes, turns=turns)
    script.names()  # so that the price is known of what a strategy does before the first call
    stage = Stage(scene, without_limits(strategy).begin(scene), ReplayChatModel.playing(script))
    with MemoryLedger() as ledger, _meter(ledger, CardBook(script.cards), limits_of(strategy)) as meter:
        stopped = _run(stage, meter)
        meter.journal.flush()
        entries = sorted(ledger.entries({"kind": "llm", "status": "ok"}), key=_step)
    return Driven(
        calls=tuple([_booked(entry) for entry in entries if entry.attribution.node != PREPARE]),
        overhead=tuple([_booked(entry) for entry in entries if entry.attribution.node == PREPARE]),
        served=stage.served,
        stopped=stopped or stage.stopped,
    )


def _run(stage: Stage, meter: CostMeter) -> str | None:
    """Run the graph to its end. Returns what of the meter's limits ended it before."""
    config: RunnableConfig = {
        "callbacks": [meter],
        "configurable": {"thread_id": "replay"},
        "recursion_limit": stage.most_steps,
    }
    heard = _Heard()
    if meter.enforcer is not None:
        meter.enforcer.limiter.alerts = heard
    with tracing_context(enabled=False):
        try:
            state = stage.graph().invoke(stage.start(), config)
        except LimitUnavailable:
            raise
        except LimitReached as reached:
            return str(reached.evidence["kind"]) if isinstance(reached, BreakerTripped) else BUDGET
        except GraphDrained:
            return heard.reason
    return heard.reason if "__interrupt__" in state else None


def _meter(ledger: MemoryLedger, prices: PriceBook, limits: Iterable[Limit]) -> CostMeter:
    meter = CostMeter(ledger, prices=prices, budgets=limits, store=MemoryBudgetStore())
    if meter.mode != "enforce":
        raise ReplayError(f"{MODE_VARIABLE}={meter.mode} switches meters off: unset it to drive a real graph.")
    return meter


class _Heard(Unheard):
    """Notes what ended a run, and tells nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = BUDGET
        """What an alert said that ended the run."""

    def fire(self, alert: Alert, *, once: str | None = None, to: Iterable[AlertSink] = (), shared: bool = True) -> None:
        """Note what an alert says."""
        if alert.action in ("drain", "interrupt"):
            self.reason = str(alert.evidence["kind"]) if alert.kind == "tripped" else BUDGET


def limits_of(strategy: Strategy) -> tuple[Limit, ...]:
    """Give the limits that a strategy holds a run to; none where it is of another kind."""
    if isinstance(strategy, Combined):
        return tuple(limit for part in strategy.parts for limit in limits_of(part))
    return tuple(strategy.limits()) if isinstance(strategy, Limiting) else ()


def without_limits(strategy: Strategy) -> Strategy:
    """What a strategy does beside holding a run to limits."""
    if isinstance(strategy, Combined):
        return Combined(tuple(without_limits(part) for part in strategy.parts))
    return Nothing() if isinstance(strategy, Limiting) else strategy


def _booked(entry: Entry) -> Booked:
    return Booked(entry.usage or Usage(), entry.cost.total_nano if entry.cost is not None else 0)


def _step(entry: Entry) -> int:
    return entry.attribution.step or 0
