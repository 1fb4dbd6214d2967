"""Ways to send whole runs to one of two tiers, and what each is expected to cost and to achieve on recorded tasks.

Where something is left to chance (a coin, a verifier's mistakes, which run of several is drawn) the expected value is
given, and not one draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median_low
from typing import ClassVar, NamedTuple, Protocol

from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.outcomes.pairs import Pair
from langchain_agentcost.replay.outcomes.records import TaskRecord
from langchain_agentcost.routing.cascade_cost import Attempt
from langchain_agentcost.routing.cascade_cost import Cascade as CascadeCost

LOSES_MONEY = "loses money"
"""The router's name of the reason for which a cascade should not run."""


class Expected(NamedTuple):
    """What a policy is expected to do on a task.

    Args:
        cost_nano: What it costs, discarded drafts included, in nano-USD.
        success: How probably the task is solved.
        strong: How probably the strong tier is asked.
    """

    cost_nano: int
    success: float
    strong: float


class OutcomePolicy(Protocol):
    """A way to send runs to a tier."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    @property
    def hindsight(self) -> bool:
        """Whether it knows what nobody knows before the run."""
        ...

    def expect(self, pair: Pair) -> Sequence[Expected]:
        """Give what it does on each task of a pair, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class Coin:
    """A coin for every run: what a router has to beat.

    Args:
        strong: The share of runs that the strong tier gets.
    """

    hindsight: ClassVar[bool] = False

    strong: float = 0.5

    def __post_init__(self) -> None:
        _share("strong", self.strong)

    @property
    def name(self) -> str:
        """Its name with its share."""
        return f"coin {self.strong:.0%} strong"

    def expect(self, pair: Pair) -> Sequence[Expected]:
        """Mix both records."""
        return [_mixed(cheap, strong, self.strong) for cheap, strong in pair]


@dataclass(frozen=True, slots=True)
class Always:
    """Every run goes to the same tier.

    Args:
        strong: Whether that is the strong one.
    """

    hindsight: ClassVar[bool] = False

    strong: bool = True

    @property
    def name(self) -> str:
        """Which tier it is."""
        return "always strong" if self.strong else "always cheap"

    def expect(self, pair: Pair) -> Sequence[Expected]:
        """Give the record of that tier."""
        return [_mixed(cheap, strong, float(self.strong)) for cheap, strong in pair]


@dataclass(frozen=True, slots=True)
class Cascade:
    """The cheap tier tries; where a verifier rejects the result, the strong one starts over, once.

    The draft is spend either way. The verifier's mistakes do not depend on anything but whether the run was a success,
    and what a rejected run has written is taken to be undone.

    Args:
        accepts_right: The share of successes that the verifier accepts.
        accepts_wrong: The share of failures that it accepts.
        gated: Whether the router's own check comes first, on the records of the other tasks: where they say that the
            cascade costs no less than the strong tier alone, that one answers.

    Example:
        >>> Cascade().name, Cascade(0.9, 0.2).name
        ('cascade, perfect verifier', 'cascade, verifier accepts 90% of right, 20% of wrong')
    """

    accepts_right: float = 1.0
    accepts_wrong: float = 0.0
    gated: bool = False

    def __post_init__(self) -> None:
        _share("accepts_right", self.accepts_right)
        _share("accepts_wrong", self.accepts_wrong)

    @property
    def hindsight(self) -> bool:
        """A perfect verifier is the benchmark's own judge."""
        return self.accepts_right == 1 and self.accepts_wrong == 0

    @property
    def name(self) -> str:
        """What its verifier accepts."""
        rates = f"verifier accepts {self.accepts_right:.0%} of right, {self.accepts_wrong:.0%} of wrong"
        kind = "gated cascade" if self.gated else "cascade"
        return f"{kind}, {'perfect verifier' if self.hindsight else rates}"

    def precision(self, pair: Pair) -> float | None:
        """Give the share of accepted drafts that are right, at the cheap tier's own rate; None where none is."""
        right = sum(cheap.success for cheap, _ in pair) * self.accepts_right
        wrong = sum(1 - cheap.success for cheap, _ in pair) * self.accepts_wrong
        return right / (right + wrong) if right + wrong else None

    def refused(self, pair: Pair) -> tuple[str, ...]:
        """Name the reasons for which the router would refuse it with these records; none where it may run."""
        both = list(pair)
        cheap = _attempt(pair.cheap.name, [(one, 1.0) for one, _ in both])
        strong = _attempt(pair.strong.name, [(one, 1.0) for _, one in both])
        priced = CascadeCost(
            cheap=cheap,
            strong=strong,
            accepts_right=self.accepts_right,
            accepts_wrong=self.accepts_wrong,
            after_right=_attempt(pair.strong.name, [(other, one.success) for one, other in both]),
            after_wrong=_attempt(pair.strong.name, [(other, 1 - one.success) for one, other in both]),
        )
        return tuple(refusal.name for refusal in priced.refusals())

    def expect(self, pair: Pair) -> Sequence[Expected]:
        """Give the expected values of a draft, a verdict and perhaps a second run."""
        made = [self._one(cheap, strong) for cheap, strong in pair]
        if not self.gated:
            return made
        return [
            _mixed(cheap, strong, 1.0) if LOSES_MONEY in self.refused(_without(pair, place)) else one
            for place, (one, (cheap, strong)) in enumerate(zip(made, pair, strict=True))
        ]

    def _one(self, cheap: TaskRecord, strong: TaskRecord) -> Expected:
        right = cheap.success * self.accepts_right
        rejected = 1 - right - (1 - cheap.success) * self.accepts_wrong
        cost = cheap.cost_nano + round(rejected * strong.cost_nano)
        return Expected(cost, right + rejected * strong.success, rejected)


@dataclass(frozen=True, slots=True)
class Oracle:
    """Knows of every task beforehand which tier solves it, and takes the cheaper one where both or neither do."""

    name: ClassVar[str] = "oracle"
    hindsight: ClassVar[bool] = True

    def expect(self, pair: Pair) -> Sequence[Expected]:
        """Take the tier that solves the task more often, else the cheaper one."""
        return [_mixed(cheap, strong, float(_better(cheap, strong))) for cheap, strong in pair]


@dataclass(frozen=True, slots=True)
class Sticky:
    """Decides once a run, on what the user said first, and stays there: no prompt cache is ever lost.

    Args:
        title: What the rule is called.
        rule: Gives how hard a run looks by its first words. Those that look harder than most other tasks go to the
            strong tier; nobody needs to know how they end.
    """

    hindsight: ClassVar[bool] = False

    title: str = "long first message"
    rule: Callable[[str], float] = len

    @property
    def name(self) -> str:
        """Its rule."""
        return f"sticky: strong for a {self.title}"

    def expect(self, pair: Pair) -> Sequence[Expected]:
        """Send each task by its opening; the line is the median of the other tasks."""
        both = list(pair)
        hard = [self.rule(cheap.opening) for cheap, _ in both]
        made = []
        for place, (cheap, strong) in enumerate(both):
            others = hard[:place] + hard[place + 1 :]
            above = bool(others) and hard[place] > median_low(others)
            made.append(_mixed(cheap, strong, float(above)))
        return made


@dataclass(frozen=True, slots=True)
class MeasuredTier:
    """Each task goes to the tier that has done better on the other tasks: by cost per success, within a quality floor.

    It never sees the task that it decides on. Without a floor the tier with the lower cost per success is taken. With
    one the cheap tier is taken only where its share of successes among the tasks that the strong tier solves is proven
    to hold the floor; too few tasks prove nothing, and the strong tier stays.

    Args:
        floor: The least share of the strong tier's successes that must stay; 0 asks for none.
        confidence: How sure one must be.
    """

    hindsight: ClassVar[bool] = False

    floor: float = 0.0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        _share("floor", self.floor)

    @property
    def name(self) -> str:
        """Its floor."""
        return f"measured tier, floor {self.floor:.0%}" if self.floor else "measured tier, cost per success"

    def expect(self, pair: Pair) -> Sequence[Expected]:
        """Decide on each task by the others."""
        both = list(pair)
        made = []
        for place, (cheap, strong) in enumerate(both):
            others = both[:place] + both[place + 1 :]
            made.append(_mixed(cheap, strong, float(not self._cheap_will_do(others))))
        return made

    def _cheap_will_do(self, others: Sequence[tuple[TaskRecord, TaskRecord]]) -> bool:
        if not self.floor:
            costs = [sum(pair[tier].cost_nano for pair in others) for tier in (0, 1)]
            solved = [sum(pair[tier].success for pair in others) for tier in (0, 1)]
            return costs[0] * solved[1] < costs[1] * solved[0]
        held = [cheap.success for cheap, strong in others if strong.success >= 0.5]
        floor = QualityFloor("successes kept", min=self.floor, confidence=self.confidence)
        return floor.proven(int(sum(held)), len(held))


def _without(pair: Pair, place: int) -> Pair:
    """The same pair without one of its tasks."""
    return replace(pair, tasks=pair.tasks[:place] + pair.tasks[place + 1 :])


def _attempt(name: str, weighted: Sequence[tuple[TaskRecord, float]]) -> Attempt:
    """What a tier costs and solves on tasks that count for so much."""
    weight = sum(share for _, share in weighted) or 1.0
    nano = sum(record.cost_nano * share for record, share in weighted) / weight
    quality = sum(record.success * share for record, share in weighted) / weight
    return Attempt(name, round(nano), min(1.0, quality))


def _mixed(cheap: TaskRecord, strong: TaskRecord, share: float) -> Expected:
    cost = round((1 - share) * cheap.cost_nano + share * strong.cost_nano)
    return Expected(cost, (1 - share) * cheap.success + share * strong.success, share)


def _better(cheap: TaskRecord, strong: TaskRecord) -> bool:
    """Whether the strong tier is the one to ask."""
    if cheap.success != strong.success:
        return strong.success > cheap.success
    return strong.cost_nano < cheap.cost_nano


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is from 0 to 1, not {value}.")
