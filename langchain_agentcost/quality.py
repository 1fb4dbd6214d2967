"""The quality that a saving may not go below, and when that is proven."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log, log1p

_STEPS = 60
"""Bisections of the unit interval: more than a double has digits."""


@dataclass(frozen=True, slots=True)
class QualityFloor:
    """The least quality that is acceptable, and how sure one must be of it.

    Advice, caches, context and routing share it: a saving counts where the quality after it is proven to be at least
    `min`, and not where it merely looks so on a few runs.

    Args:
        metric: What is counted, such as "successes kept" or "answers right": a share of trials.
        min: The least share, above 0 and at most 1.
        confidence: How sure one must be that the true share is at least `min`, above 0.5 and below 1.

    Raises:
        ValueError: If a number is out of its bounds.

    Example:
        >>> floor = QualityFloor("successes kept", min=0.95)
        >>> floor.proven(58, 58), floor.proven(59, 59), floor.proven(980, 1000)
        (False, True, True)
    """

    metric: str
    min: float
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.min <= 1:
            raise ValueError(f"min is a share above 0 and at most 1, not {self.min!r}.")
        if not 0.5 < self.confidence < 1:
            raise ValueError(f"confidence is above 0.5 and below 1, not {self.confidence!r}.")

    def lower_bound(self, good: int, trials: int) -> float:
        """Give the share that the truth is at least, at this confidence.

        The exact one-sided bound of Clopper and Pearson (Biometrika 26, 1934): the share p at which `good` or more of
        `trials` would come out with probability 1 - confidence. It holds for any number of trials.

        Args:
            good: How many trials were good.
            trials: How many there were.

        Returns:
            A share from 0 to 1; 0 where nothing was tried.

        Raises:
            ValueError: If the counts are negative or more were good than were tried.
        """
        if not 0 <= good <= trials:
            raise ValueError(f"{good} of {trials} trials cannot be good.")
        if not good:
            return 0.0
        low, high = 0.0, good / trials
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if _at_least(good, trials, middle) > 1 - self.confidence:
                high = middle
            else:
                low = middle
        return low

    def proven(self, good: int, trials: int) -> bool:
        """Tell whether the floor is held, at its confidence."""
        return self.lower_bound(good, trials) >= self.min

    def needed(self) -> int:
        """Give how many trials, all of them good, it takes to prove the floor; a floor of 1 cannot be proven.

        Raises:
            ValueError: If the floor is 1.
        """
        if self.min == 1:
            raise ValueError("No number of trials proves that nothing ever goes wrong; set min below 1.")
        needed = max(1, int(log(1 - self.confidence) / log(self.min)))
        while not self.proven(needed, needed):
            needed += 1
        return needed


def _at_least(good: int, trials: int, share: float) -> float:
    """The probability of `good` or more out of `trials`, for a share of at most good / trials: the terms fall."""
    if share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    ways = lgamma(trials + 1) - lgamma(good + 1) - lgamma(trials - good + 1)
    logarithm = ways + good * log(share) + (trials - good) * log1p(-share)
    term = total = exp(logarithm)
    for count in range(good, trials):
        term *= (trials - count) / (count + 1) * share / (1 - share)
        total += term
        if term <= total * 1e-17:
            break
    return total
