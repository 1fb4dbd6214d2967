"""What circuit breakers and presets save on recorded runs, and how many successful ones they would have killed.

Each run is replayed (`langchain_agentcost.replay`) up to the first call that a limit refuses, through the real `Watch`
and `Limiter`: the calls before it are as they were recorded, so what they cost is exact, and a run that is stopped
counts as not successful. Every call is priced as claude-sonnet-4-5 at list price, with its prompt cache on and cold
when a run starts. Beside ours, in the same run: no limit, plain step caps (50 is the usual run_limit of LangChain's
ModelCallLimitMiddleware), and the step cap that saves as much as the default breakers.

Assumed: what `replay.strategies.limits.Held` says. Intervals are 95 % bootstraps over tasks; where nothing was killed,
the upper end is the rule of three, 3 in the number of tasks with a success. Rows are per benchmark, then per family
(benchmark "*"); runs that nobody judged count in dollars only, and sets of which only the winning runs were published
are left out.

    python benchmarks/breakers.py --data ../shared/data/traces --json breakers.json
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

from rows import parser, publish

from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.presets import PRESETS
from langchain_agentcost.money import from_nano
from langchain_agentcost.replay import Call, Episode, Faults, Fidelity, Session, Strategy, Tariffs, read_traces
from langchain_agentcost.replay.literals import Literals
from langchain_agentcost.replay.request import Decision, Request, Stopped
from langchain_agentcost.replay.run import Outcome, run
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.strategies.limits import Held
from langchain_agentcost.replay.strategy import Limit, Scene
from langchain_agentcost.tokens import TokenCounter

TARIFFS = Tariffs(model="claude-sonnet-4-5", at=datetime(2026, 11, 1, tzinfo=UTC))

DRAWS = 1000


class Run(NamedTuple):
    """A recorded run: what it is about, and the cost of each of its calls in nano-USD."""

    benchmark: str
    family: str
    task: str
    costs: Sequence[int]


class Told(NamedTuple):
    """What became of one run."""

    cost_nano: int
    saved_nano: int
    succeeded: bool
    stopped: bool


@dataclass(frozen=True)
class Under:
    """Holds runs to limits with what the package itself holds them with."""

    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = True

    name: str
    limits: Sequence[Limit]

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return Held(scene, self.limits)


@dataclass(frozen=True)
class StepCap:
    """The plain alternative: so many model calls a run."""

    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = False

    steps: int

    @property
    def name(self) -> str:
        """What it is called."""
        return f"step cap {self.steps}"

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Capped(scene, self.steps)

    def told(self, recorded: Run, *, succeeded: bool) -> Told:
        """Tell what it makes of a run without replaying it: the calls up to the cap are made."""
        return Told(sum(recorded.costs), sum(recorded.costs[self.steps :]), succeeded, len(recorded.costs) > self.steps)


class _Capped(Session):
    def __init__(self, scene: Scene, steps: int) -> None:
        super().__init__(scene)
        self._left = steps

    def before(self, call: Call, request: Request) -> Decision:
        """Count down."""
        self._left -= 1
        return request if self._left >= 0 else Stopped("step cap")


def systems() -> tuple[Strategy, ...]:
    """All that is compared, ours and the plain alternatives."""
    ours = [Under(f"breaker: {breaker.kind}", (breaker,)) for breaker in EACH]
    ours.append(Under(BREAKERS, CircuitBreaker.defaults()))
    for name, rows in PRESETS.items():
        ours.append(Under(f"preset {name}", Budget.presets(name)))
        for row in rows:
            others = dict.fromkeys(set(rows) - {row})
            ours.append(Under(f"preset {name}: {row}", Budget.presets(name, **others)))
    return Under("no limit", ()), *map(StepCap, (25, 50, 100)), *ours


BREAKERS = "default breakers"

EACH = (
    CircuitBreaker.identical_calls(),
    CircuitBreaker.tool_errors(),
    CircuitBreaker.tool_retries(),
    CircuitBreaker.no_progress(),
    CircuitBreaker.token_velocity(),
    CircuitBreaker.context_growth(),
)


def told(episode: Episode, recorded: Outcome, now: Outcome) -> Told:
    """Tell what became of a run that was replayed."""
    return Told(recorded.on_nano, recorded.on_nano - now.on_nano, episode.success is True, now.stopped is not None)


def rows(episodes: Iterable[Episode], *, draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """A row for each system and benchmark, then for each system and family."""
    runs, results = _replayed(episodes)
    for of, family, members in _groups(runs):
        part = {name: [given[i] for i in members] for name, given in results.items()}
        recorded = [runs[i] for i in members]
        steps = _cap_that_saves(sum(one.saved_nano for one in part[BREAKERS]), recorded)
        if steps is not None:
            cap, successes = StepCap(steps), [one.succeeded for one in part[BREAKERS]]
            pairs = zip(recorded, successes, strict=True)
            part["step cap that saves as much"] = [cap.told(one, succeeded=success) for one, success in pairs]
        for system, given in part.items():
            yield {"system": system, "benchmark": of, "family": family, **_summed(recorded, given, draws)}


def _replayed(episodes: Iterable[Episode]) -> tuple[list[Run], dict[str, list[Told]]]:
    """Every run under every system; the first one stops nothing."""
    compared = systems()
    runs: list[Run] = []
    results: dict[str, list[Told]] = {system.name: [] for system in compared}
    counter = TokenCounter()
    for episode in episodes:
        if episode.biased:
            continue
        tariff = TARIFFS.of_episode(episode)
        assert tariff is not None
        scene = Scene(episode, Sizes(episode, counter), tariff, TARIFFS, Literals(episode))
        outcomes = [run(scene, system) for system in compared]
        runs.append(Run(episode.benchmark, episode.family, episode.task, outcomes[0].costs))
        for system, outcome in zip(compared, outcomes, strict=True):
            results[system.name].append(told(episode, outcomes[0], outcome))
    return runs, results


def _groups(runs: Sequence[Run]) -> Iterator[tuple[str, str, list[int]]]:
    found: dict[tuple[bool, str, str], list[int]] = defaultdict(list)
    for i, one in enumerate(runs):
        found[False, one.family, one.benchmark].append(i)
        found[True, one.family, "*"].append(i)
    for (_, family, benchmark), members in sorted(found.items()):
        yield benchmark, family, members


def _cap_that_saves(saved_nano: int, runs: Sequence[Run]) -> int | None:
    """The highest step cap that saves at least so much; None where nothing has to be saved."""
    if not saved_nano:
        return None
    highest = max(len(one.costs) for one in runs)
    caps = range(highest, -1, -1)
    return next(cap for cap in caps if sum(sum(one.costs[cap:]) for one in runs) >= saved_nano)


def _summed(runs: Sequence[Run], given: Sequence[Told], draws: int) -> dict[str, Any]:
    """The columns of a row."""
    tasks: dict[str, list[Told]] = defaultdict(list)
    for recorded, one in zip(runs, given, strict=True):
        tasks[recorded.task].append(one)
    sums = [
        (
            sum(one.saved_nano for one in group),
            sum(one.cost_nano for one in group),
            sum(one.stopped and one.succeeded for one in group),
            sum(one.succeeded for one in group),
        )
        for group in tasks.values()
    ]
    saved, cost, killed, successes = (sum(column) for column in zip(*sums, strict=True))
    saved_low, saved_high, killed_low, killed_high = _intervals(sums, draws)
    if successes and not killed:
        killed_high = min(100.0, 300 / sum(1 for one in sums if one[3]))
    return {
        "saved_usd": from_nano(saved).quantize(Decimal("0.000001")),
        "saved_pct": _percent(saved, cost),
        "saved_pct_low": saved_low,
        "saved_pct_high": saved_high,
        "killed": killed,
        "successes": successes,
        "killed_pct": _percent(killed, successes),
        "killed_pct_low": killed_low,
        "killed_pct_high": killed_high,
        "stopped": sum(one.stopped for one in given),
        "n": len(given),
    }


def _intervals(sums: Sequence[tuple[int, int, int, int]], draws: int) -> tuple[float | None, ...]:
    """Bootstrap both shares over tasks: low and high of what is saved, low and high of what is killed."""
    dice = random.Random(0)  # noqa: S311  # a bootstrap, not a secret
    saved: list[float] = []
    killed: list[float] = []
    for _ in range(draws if any(one[0] or one[2] for one in sums) else 1):
        columns = [sum(column) for column in zip(*dice.choices(sums, k=len(sums)), strict=True)]
        for shares, part, whole in ((saved, *columns[:2]), (killed, *columns[2:])):
            share = _percent(part, whole)
            if share is not None:
                shares.append(share)
    return (*_ends(saved), *_ends(killed))


def _ends(shares: list[float]) -> tuple[float | None, float | None]:
    if not shares:
        return None, None
    shares.sort()
    return shares[int(0.025 * len(shares))], shares[max(0, int(0.975 * len(shares)) - 1)]


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def main(argv: Sequence[str] | None = None) -> None:
    """Replay and publish."""
    options = parser(__doc__, data=True).parse_args(argv)
    publish("breakers", list(rows(read_traces([options.data], Faults()))), options.json)


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # every budget that a replay uses up would be logged
    main()
