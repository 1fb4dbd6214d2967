"""Whether the traffic is still what a router was calibrated for."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist
from threading import Lock
from typing import Any

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.calibration import Calibration

WINDOW = 300
"""After how many calls it is looked, each time at the calls since the last look."""

BLOCKS = 10
"""Into how many blocks of consecutive calls a window is cut, to see how much calls come in bursts."""

_LEAST_WINDOW = 50


class DriftMonitor:
    """Compares the scores of calls, and how often drafts are answered again, with those of the calibration.

    After every `window` calls their counts by bin are compared with the calibration's, as two samples: 4 nm / (n + m)
    times the squared Hellinger distance, which is chi-squared distributed where both are of one traffic (Freeman and
    Tukey, Annals of Mathematical Statistics 21, 1950). It is divided by how much more than independent calls the blocks
    within the windows differ (the design effect of Rao and Scott, JASA 76, 1981), since calls of one run are alike; and
    as that is known better with each look, by 1 + 1 / k at the k-th. The k-th look may be wrong with probability
    (1 - confidence) / (k (k + 1)), so all looks for ever add up to at most 1 - confidence. Once it has drifted it stays
    so: calibrate again and make a new one. A call costs two additions.

    That bound is for calls that are independent of one another, or alike in runs that are short beside a window. It
    was simulated on 15,000 calls of unchanged traffic each, with 400 examples, where nine of ten calls of a run have
    one score: no alarm in 160 streams of independent calls and 260 with runs of 20, in 2 of 260 with runs of 50, but
    in 34 of 260 with runs of 100; and in 6 of 60 where the examples too came in runs of 50. Traffic that goes to and
    fro (85 % easy calls, then 15 %) raised none in 40 streams of 10,000 calls where both together take no more than a
    window, and an alarm in each of 40 where each takes one, as day and night may: take a window that holds both.

    Where 40 % of calls become others it takes 300 calls, or with 100 examples 900 in one of ten cases. Where 20 % do
    it takes 600 with 400 examples, and more than 6,000 with 100. Calls of a kind that no example was of are found
    from 5 % on, after 600 calls. That a model gets worse at the very same calls cannot be seen by scores, which say
    what is expected and not what comes: calibrate again, now and then, on fresh examples of a `Shadow`.

    Escalations are compared with those of the first window, since examples say nothing of a verifier.

    Args:
        calibration: What the traffic is compared with.
        window: How many calls a look is at, at least 50, in tens. More of them show smaller changes, and later.
        confidence: How sure it is that independent calls of stable traffic never raise an alarm.

    Raises:
        RoutingError: If a number is out of its bounds.

    Example:
        >>> from langchain_agentcost.routing.score_bins import ScoreBins
        >>> calibration = Calibration(
        ...     policy="step",
        ...     tiers={"small": None, "big": None},
        ...     floor=0.95,
        ...     confidence=0.95,
        ...     examples=400,
        ...     draws=400,
        ...     steps=(),
        ...     missing=0,
        ...     scores=ScoreBins.of([0.1, 0.9] * 200),
        ... )
        >>> monitor = DriftMonitor(calibration)
        >>> for _ in range(300):
        ...     monitor.observe(0.9)
        >>> monitor.drifted, monitor.why
        (True, 'scores of the last 300 calls are not those of the 400 examples')
    """

    def __init__(self, calibration: Calibration, *, window: int = WINDOW, confidence: float = 0.99) -> None:
        if window < _LEAST_WINDOW or not 0.5 < confidence < 1:
            raise RoutingError(
                f"A window has {_LEAST_WINDOW} calls or more, and a confidence is above 0.5 and below 1."
            )
        window = -(-window // BLOCKS) * BLOCKS
        bins = calibration.scores
        self._bin = bins.bin
        self._level = (1 - confidence) / 2
        self._scores = _Watch([each for each in bins.references if sum(each)], bins.count, window)
        self._escalations = _Watch([], 2, window)
        self._why: str | None = None
        self._lock = Lock()
        self._calls = 0
        self._said = (
            f"scores of the last {window:,} calls are not those of the {calibration.examples:,} examples",
            f"drafts of the last {window:,} were answered again at another rate than in the first",
        )

    def observe(self, score: float, *, escalated: bool | None = None) -> None:
        """Take in a call.

        Args:
            score: What the cheapest tier was expected to lose.
            escalated: Whether its draft was answered again; None where there was none.
        """
        with self._lock:
            self._calls += 1
            changed = self._scores.add(self._bin(score), self._level)
            escalates = escalated is not None and self._escalations.add(int(escalated), self._level)
            if self._why is None and (changed or escalates):
                self._why = self._said[0] if changed else self._said[1]

    @property
    def drifted(self) -> bool:
        """Whether the traffic is another."""
        return self._why is not None

    @property
    def why(self) -> str:
        """What is another; empty where nothing is."""
        return self._why or ""

    def as_dict(self) -> dict[str, Any]:
        """Give its state as plain data: statistics are from 0, and above 1 they are an alarm."""
        with self._lock:
            return {
                "drifted": self.drifted,
                "why": self.why,
                "calls": self._calls,
                "looks": self._scores.looks,
                "scores": self._scores.last,
                "escalations": self._escalations.last,
                "design_effect": self._scores.design_effect,
            }


class _Watch:
    """Counts by bin over tumbling windows, compared with references.

    Args:
        references: Counts; the window has to differ from all of them. Where there are none, the first window is it.
        bins: How many bins there are.
        window: How many calls a window has.
    """

    def __init__(self, references: Sequence[Sequence[int]], bins: int, window: int) -> None:
        self.references = list(references)
        self.looks = 0
        self.last: float | None = None
        self._window = window
        self._size = window // BLOCKS
        self._bins = bins
        self._block, self._blocks = [0] * bins, list[list[int]]()
        self._seen = 0
        self._single, self._double = _Spread(), _Spread()

    @property
    def design_effect(self) -> float:
        """How many calls weigh as much as one independent call; at least 1.

        That of blocks of n calls is short of that of long ones by about c / n, so that twice the blocks' of 2 n less
        that of n is nearer. The largest of the three is taken: the error is on the safe side.
        """
        single, double = self._single.ratio, self._double.ratio
        return max(1.0, single, double, 2 * double - single)

    def add(self, at: int, level: float) -> bool:
        """Count a call; true where a window has just ended that differs."""
        self._block[at] += 1
        self._seen += 1
        if self._seen % self._size == 0 and len(self._blocks) < BLOCKS:
            self._blocks.append(self._block)
            self._block = [0] * self._bins
        return self._seen == self._window and self._looked(level)

    def _looked(self, level: float) -> bool:
        blocks, self._blocks, self._seen = self._blocks, [], 0
        counts = _sum(*blocks)
        self._single.learn(blocks)
        self._double.learn([_sum(*pair) for pair in zip(blocks[::2], blocks[1::2], strict=True)])
        if not self.references:
            self.references = [counts]
            return False
        self.looks += 1
        freedom = max(1, self._bins - 1)
        unsure = 1 + 1 / self.looks  # the design effect is hardly known at first
        most = chi_squared(level / (self.looks * (self.looks + 1)), freedom) * self.design_effect * unsure
        self.last = min(distance(counts, each) for each in self.references) / most
        return self.last > 1


class _Spread:
    """How much blocks of a window differ from its mean, of what they would if calls were independent."""

    def __init__(self) -> None:
        self._squares = 0.0
        self._freedom = 0

    @property
    def ratio(self) -> float:
        return self._squares / self._freedom if self._freedom else 1.0

    def learn(self, blocks: Sequence[Sequence[int]]) -> None:
        means = [total / len(blocks) for total in _sum(*blocks) if total]
        columns = [column for column in zip(*blocks, strict=True) if any(column)]
        for mean, column in zip(means, columns, strict=True):
            self._squares += sum((count - mean) ** 2 for count in column) / mean
        self._freedom += (len(blocks) - 1) * (len(means) - 1)


def _sum(*blocks: Sequence[int]) -> list[int]:
    return [sum(column) for column in zip(*blocks, strict=True)]


def distance(counts: Sequence[int], others: Sequence[int]) -> float:
    """Give 4 nm / (n + m) times the squared Hellinger distance of two tables of counts.

    Example:
        >>> distance([50, 50], [100, 100]), round(distance([50, 50], [90, 10]), 1)
        (0.0, 42.2)
    """
    n, m = sum(counts), sum(others)
    apart = sum((sqrt(mine / n) - sqrt(theirs / m)) ** 2 for mine, theirs in zip(counts, others, strict=True))
    return 4 * n * m / (n + m) * apart


def chi_squared(level: float, freedom: int) -> float:
    """Give what a chi-squared variable exceeds with a small probability (Wilson and Hilferty, PNAS 17, 1931).

    Example:
        >>> round(chi_squared(0.05, 7), 1)
        14.0
    """
    part = 2 / (9 * freedom)
    return freedom * (1 - part - NormalDist().inv_cdf(level) * sqrt(part)) ** 3
