"""Policies on a pair of tiers: dollars, successes, and what a coin would have got for the same money."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from langchain_agentcost.interval import DRAWS, bootstrap, percent_saved
from langchain_agentcost.money import from_nano
from langchain_agentcost.replay.outcomes.pairs import Pair
from langchain_agentcost.replay.outcomes.policies import Always, Cascade, Expected, OutcomePolicy
from langchain_agentcost.replay.strategy import Fidelity

Interval = tuple[float, float] | None
"""The ends of a 95 % interval over tasks, both in the unit of what they are about; None with fewer than two tasks."""


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """A policy on a pair of tiers. Everything is compared with the strong tier alone, on the same tasks.

    Args:
        benchmark: The benchmark.
        cheap: The cheap tier.
        strong: The strong tier.
        policy: The policy.
        fidelity: `RECORDED_OUTCOME`; `PRICE_BOUND` where only a price was put on recorded answers.
        hindsight: Whether the policy knows what nobody knows before the run: a bound, and no router.
        n: Tasks.
        runs: Recorded runs of both tiers on them.
        strong_pct: The share of tasks that the strong tier is asked for.
        usd_per_task: What a task costs.
        usd_per_success: What a success costs, failures paid along; None where there is none.
        saved_pct: Dollars saved.
        saved_interval: Its interval.
        success_pct: Tasks solved; None where only a price is known.
        success_interval: Its interval.
        points: Success less that of the strong tier, in points.
        points_interval: Its interval, paired by task.
        over_coin: Success less that of a coin between the tiers that costs the same, in points. Where the policy costs
            less than the cheap tier or more than the strong one, less that of the nearer tier.
        over_coin_interval: Its interval, paired by task; the coin costs the same in every draw.
        precision: The share of a verifier's accepted drafts that are right; None without one.
        refused: Why the package's own router would not run this cascade: "loses money", "dominated".
    """

    benchmark: str
    cheap: str
    strong: str
    policy: str
    fidelity: Fidelity
    hindsight: bool
    n: int
    runs: int
    strong_pct: float | None
    usd_per_task: Decimal
    usd_per_success: Decimal | None
    saved_pct: float | None
    saved_interval: Interval
    success_pct: float | None = None
    success_interval: Interval = None
    points: float | None = None
    points_interval: Interval = None
    over_coin: float | None = None
    over_coin_interval: Interval = None
    precision: float | None = None
    refused: tuple[str, ...] = ()


def compare(
    pair: Pair, policies: Iterable[OutcomePolicy], *, draws: int = DRAWS, seed: int = 0
) -> tuple[OutcomeRow, ...]:
    """Compare policies on a pair of tiers.

    Args:
        pair: The tiers.
        policies: The policies.
        draws: Draws of the bootstrap over tasks.
        seed: Of its random numbers: the same data give the same intervals.

    Returns:
        A row for each policy; last, where the cheap model's price was put on the strong model's runs, what that says.
    """
    sides = [list(Always(strong).expect(pair)) for strong in (False, True)]
    rows = [_row(pair, policy, sides, _Draws(len(pair.tasks), draws, seed)) for policy in policies]
    bound = _bound(pair)
    return (*rows, bound) if bound is not None else tuple(rows)


class _Draws:
    """Tasks drawn with replacement; the same ones for every figure of a row, and of every row."""

    def __init__(self, tasks: int, draws: int, seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311  # a bootstrap, not a secret
        self._all = range(tasks)
        self._drawn = [dice.choices(self._all, k=tasks) for _ in range(draws)] if tasks > 1 else []

    def interval(self, figure: Callable[[Sequence[int]], float]) -> tuple[float, Interval]:
        """Give a figure over all tasks, and its interval over draws of them."""
        found = sorted(map(figure, self._drawn))
        ends = (found[int(0.025 * len(found))], found[max(0, int(0.975 * len(found)) - 1)]) if found else None
        return figure(self._all), ends


def _row(pair: Pair, policy: OutcomePolicy, sides: Sequence[Sequence[Expected]], draws: _Draws) -> OutcomeRow:
    made = list(policy.expect(pair))
    cheap, strong = sides

    def success(tasks: Sequence[int]) -> float:
        return _mean(made, tasks)

    def points(tasks: Sequence[int]) -> float:
        return success(tasks) - _mean(strong, tasks)

    def over_coin(tasks: Sequence[int]) -> float:
        return success(tasks) - _coin(cheap, strong, _spent(made, tasks), tasks)

    figures = [draws.interval(figure) for figure in (success, points, over_coin)]
    solved = sum(one.success for one in made)
    costs, before = [one.cost_nano for one in made], [one.cost_nano for one in strong]
    return OutcomeRow(
        benchmark=pair.benchmark,
        cheap=pair.cheap.name,
        strong=pair.strong.name,
        policy=policy.name,
        fidelity=Fidelity.RECORDED_OUTCOME,
        hindsight=policy.hindsight,
        n=len(made),
        runs=sum(record.runs for both in pair for record in both),
        strong_pct=100 * sum(one.strong for one in made) / len(made),
        usd_per_task=from_nano(round(sum(costs) / len(made))),
        usd_per_success=from_nano(round(sum(costs) / solved)) if solved else None,
        saved_pct=percent_saved(costs, before),
        saved_interval=bootstrap(costs, before),
        success_pct=figures[0][0],
        success_interval=figures[0][1],
        points=figures[1][0],
        points_interval=figures[1][1],
        over_coin=figures[2][0],
        over_coin_interval=figures[2][1],
        precision=policy.precision(pair) if isinstance(policy, Cascade) else None,
        refused=policy.refused(pair) if isinstance(policy, Cascade) else (),
    )


def _bound(pair: Pair) -> OutcomeRow | None:
    """What the cheap model's price would say of the strong model's recorded runs."""
    known = [strong.bound_nano(pair.cheap.model) for _, strong in pair]
    costs = [nano for nano in known if nano is not None]
    if len(costs) < len(known):
        return None
    before = [strong.cost_nano for _, strong in pair]
    return OutcomeRow(
        benchmark=pair.benchmark,
        cheap=pair.cheap.name,
        strong=pair.strong.name,
        policy="the cheap model's price on the strong model's answers",
        fidelity=Fidelity.PRICE_BOUND,
        hindsight=False,
        n=len(costs),
        runs=sum(strong.runs for _, strong in pair),
        strong_pct=None,
        usd_per_task=from_nano(round(sum(costs) / len(costs))),
        usd_per_success=None,
        saved_pct=percent_saved(costs, before),
        saved_interval=bootstrap(costs, before),
    )


def _mean(made: Sequence[Expected], tasks: Sequence[int]) -> float:
    """The share of tasks that are solved, in percent."""
    return 100 * sum(made[task].success for task in tasks) / len(tasks)


def _spent(made: Sequence[Expected], tasks: Sequence[int]) -> int:
    return sum(made[task].cost_nano for task in tasks)


def _coin(cheap: Sequence[Expected], strong: Sequence[Expected], nano: int, tasks: Sequence[int]) -> float:
    """What a coin between the tiers that costs so much solves, in percent."""
    low, high = _spent(cheap, tasks), _spent(strong, tasks)
    share = min(1.0, max(0.0, (nano - low) / (high - low))) if high != low else 1.0
    return (1 - share) * _mean(cheap, tasks) + share * _mean(strong, tasks)
