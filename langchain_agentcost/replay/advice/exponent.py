"""How input grows with the number of calls: log(total input) = a + p log(calls), by least squares over runs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import log
from typing import NamedTuple

from langchain_agentcost.replay.advice.thresholds import FIT_RUNS, FIT_SPREAD

DRAWS = 1000


class Moments(NamedTuple):
    """What a least-squares line needs of points: sums. Two can be added, so that no point has to be kept.

    Args:
        n: How many points.
        x: The sum of x.
        y: The sum of y.
        xx: The sum of x squared.
        xy: The sum of x times y.
    """

    n: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def plus(self, other: Moments) -> Moments:
        """Give the sums of both."""
        return _sum((self, other))

    def slope(self) -> float | None:
        """Give the slope of the line; None where all points have the same x."""
        spread = self.n * self.xx - self.x * self.x
        return (self.n * self.xy - self.x * self.y) / spread if spread > 1e-9 * self.n * self.n else None


class Exponent(NamedTuple):
    """A fitted exponent.

    Args:
        p: The exponent.
        low: The lower end of its 95 % bootstrap interval over tasks.
        high: The upper end.
    """

    p: float
    low: float
    high: float

    def __str__(self) -> str:
        """Write it with its interval."""
        return f"{self.p:.2f} [{self.low:.2f}, {self.high:.2f}]"


class Growth:
    """Runs of one traffic as points: the logarithms of their calls and of all tokens that they sent."""

    def __init__(self) -> None:
        self._tasks: dict[str, Moments] = {}
        self._least, self._most = 0, 0

    def add(self, task: str, calls: int, tokens: int) -> None:
        """Add a run; one that sent nothing is no point."""
        if calls < 1 or tokens < 1:
            return
        x, y = log(calls), log(tokens)
        self._tasks[task] = self._tasks.get(task, Moments()).plus(Moments(1, x, y, x * x, x * y))
        self._least = min(self._least or calls, calls)
        self._most = max(self._most, calls)

    def fit(self, *, seed: int = 0) -> Exponent | None:
        """Fit the exponent.

        Args:
            seed: Of the random numbers of the bootstrap: the same runs give the same interval.

        Returns:
            The exponent; None where there are too few runs, or all are about as long.
        """
        points = [self._tasks[task] for task in sorted(self._tasks)]  # the interval must not depend on their order
        whole = _sum(points)
        p = whole.slope()
        if p is None or whole.n < FIT_RUNS or len(points) < 2 or self._most < FIT_SPREAD * self._least:
            return None
        dice = random.Random(seed)  # noqa: S311  # a bootstrap, not a secret
        drawn = [_sum(dice.choices(points, k=len(points))).slope() for _ in range(DRAWS)]
        slopes = sorted(slope for slope in drawn if slope is not None)
        return Exponent(p, slopes[int(0.025 * len(slopes))], slopes[max(0, int(0.975 * len(slopes)) - 1)])


def _sum(points: Sequence[Moments]) -> Moments:
    _, *others = (sum(column) for column in zip(Moments(), *points, strict=True))
    return Moments(sum(point.n for point in points), *others)
