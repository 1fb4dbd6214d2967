"""What circuit breakers and presets save on recorded runs, and how many successful ones they would have killed.

Each run is replayed up to the first call that a limit refuses, through the real `Watch` and `Limiter`: the calls before
it are as they were recorded, so what they cost is exact, and a run that is stopped counts as not successful. Prices,
tokens and caching are those of `episodes`. Beside ours, in the same run: no limit, plain step caps (50 is the usual
run_limit of LangChain's ModelCallLimitMiddleware), and the step cap that saves as much as the default breakers.

Assumed: the worst case of a call is its recorded input and the length of its recorded answer, as with an exact count
and a max_tokens that fits; each run is a session of its own; tools run one after the other. Intervals are 95 %
bootstraps over tasks; where nothing was killed, the upper end is the rule of three, 3 in the number of tasks with a
success. Rows are per benchmark, then per family (benchmark "*"); runs that nobody judged count in dollars only.

    python benchmarks/breakers.py --data ../shared/data/traces --json breakers.json
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from episodes import PRICED_AS, PRICED_AT, Episode, Step, read_episodes
from rows import parser, publish

from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.demand import Demand, Taken
from langchain_agentcost.limits.limiter import Admission, Limiter
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.presets import PRESETS
from langchain_agentcost.limits.watch import Trip, Watch
from langchain_agentcost.money import from_nano
from langchain_agentcost.pricing import PriceBook, PriceCard

Limits = Sequence[Budget | CircuitBreaker]
Replay = Callable[[Episode], int | None]
"""Replays a run: how many model calls were made (and paid) when it was stopped; None where it was not."""

DRAWS = 1000


class Told(NamedTuple):
    """What became of one run."""

    cost_nano: int
    saved_nano: int
    succeeded: bool
    stopped: bool


@dataclass(frozen=True)
class Held:
    """Holds runs to limits with what the package itself holds them with."""

    limits: Limits
    card: PriceCard

    def __call__(self, episode: Episode) -> int | None:
        """Replay a run."""
        watch = Watch(limit for limit in self.limits if isinstance(limit, CircuitBreaker))
        budgets = Limiter((limit for limit in self.limits if isinstance(limit, Budget)), MemoryBudgetStore())
        for number, step in enumerate(episode.steps):
            trips = watch.before_model(input_tokens=step.input_tokens, at_s=step.at_s)
            if _stops(trips) or not self._take(budgets, episode, number, step):
                return number
            if _loops(watch, step):
                return number + 1
        return None

    def _take(self, budgets: Limiter, episode: Episode, number: int, step: Step) -> bool:
        """Reserve and settle a call; False where there is no room for it."""
        if not budgets.rules:
            return True
        worst = self.card.worst(step.input_tokens)
        assert worst is not None
        demand = Demand(
            "llm",
            input_tokens=step.input_tokens,
            output_tokens=step.output_tokens,
            input_nano=worst[0],
            output_token_nano=worst[1],
        )
        call_id = f"{episode.id}:{number}"
        labels = {"run": episode.id, "session": episode.id, "step": number + 1, "model": self.card.model}
        answer = budgets.admit(call_id, labels, demand, call_id=call_id)
        if not isinstance(answer, Admission):
            return False
        answer.settle(Taken(step.cost_nano, step.input_tokens, step.output_tokens), call_id=call_id)
        return True


def _loops(watch: Watch, step: Step) -> bool:
    """Let the watch see an answer and its tool calls; True where it stops before one of them."""
    watch.model_answered(
        input_tokens=step.input_tokens,
        output_tokens=step.output_tokens,
        at_s=step.at_s,
        fingerprint=step.fingerprint,
    )
    for use in step.tools:
        if _stops(watch.before_tool(use.tool)):
            return True
        watch.tool_returned(tool=use.tool, call=use.call, result=use.result, failed=use.failed)
    return False


def _stops(trips: Iterable[Trip]) -> bool:
    return any(trip.level == "stop" for trip in trips)


@dataclass(frozen=True)
class StepCap:
    """The plain alternative: so many model calls a run."""

    steps: int

    def __call__(self, episode: Episode) -> int | None:
        """Replay a run."""
        return self.steps if len(episode.steps) > self.steps else None


def systems() -> dict[str, Replay]:
    """All that is compared, ours and the plain alternatives."""
    card = PriceBook().card(PRICED_AS, at=PRICED_AT)
    assert card is not None
    single = {f"breaker: {breaker.kind}": (breaker,) for breaker in EACH}
    ours: dict[str, Limits] = {**single, "default breakers": CircuitBreaker.defaults()}
    for name, rows in PRESETS.items():
        ours[f"preset {name}"] = Budget.presets(name)
        for row in rows:
            others = dict.fromkeys(set(rows) - {row})
            ours[f"preset {name}: {row}"] = Budget.presets(name, **others)
    plain = {f"step cap {steps}": StepCap(steps) for steps in (25, 50, 100)}
    return {"no limit": Held((), card), **plain, **{name: Held(limits, card) for name, limits in ours.items()}}


EACH = (
    CircuitBreaker.identical_calls(),
    CircuitBreaker.tool_errors(),
    CircuitBreaker.tool_retries(),
    CircuitBreaker.no_progress(),
    CircuitBreaker.token_velocity(),
    CircuitBreaker.context_growth(),
)


def told(replay: Replay, episode: Episode) -> Told:
    """Replay a run and add up."""
    made = replay(episode)
    saved = 0 if made is None else sum(step.cost_nano for step in episode.steps[made:])
    cost = sum(step.cost_nano for step in episode.steps)
    return Told(cost, saved, episode.success is True, made is not None)


def rows(episodes: Sequence[Episode], *, draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """A row for each system and benchmark, then for each system and family."""
    all_systems = systems()
    results = {name: [told(replay, episode) for episode in episodes] for name, replay in all_systems.items()}
    for of, family, members in _groups(episodes):
        part = {name: [given[i] for i in members] for name, given in results.items()}
        runs = [episodes[i] for i in members]
        steps = _cap_that_saves(sum(one.saved_nano for one in part["default breakers"]), runs)
        if steps is not None:
            part["step cap that saves as much"] = [told(StepCap(steps), run) for run in runs]
        for system, given in part.items():
            yield {"system": system, "benchmark": of, "family": family, **_summed(runs, given, draws)}


def _groups(episodes: Sequence[Episode]) -> Iterator[tuple[str, str, list[int]]]:
    found: dict[tuple[bool, str, str], list[int]] = defaultdict(list)
    for i, episode in enumerate(episodes):
        found[False, episode.family, episode.benchmark].append(i)
        found[True, episode.family, "*"].append(i)
    for (_, family, benchmark), members in sorted(found.items()):
        yield benchmark, family, members


def _cap_that_saves(saved_nano: int, runs: Sequence[Episode]) -> int | None:
    """The highest step cap that saves at least so much; None where nothing has to be saved."""
    if not saved_nano:
        return None
    highest = max(len(run.steps) for run in runs)
    caps = range(highest, -1, -1)
    return next(cap for cap in caps if sum(told(StepCap(cap), run).saved_nano for run in runs) >= saved_nano)


def _summed(runs: Sequence[Episode], given: Sequence[Told], draws: int) -> dict[str, Any]:
    """The columns of a row."""
    tasks: dict[str, list[Told]] = defaultdict(list)
    for run, one in zip(runs, given, strict=True):
        tasks[run.task].append(one)
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
    publish("breakers", list(rows(list(read_episodes(options.data)))), options.json)


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # every budget that a replay uses up would be logged
    main()
