"""How far a router may go towards its cheap tiers: thresholds tested one after the other, from all-strong downwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, exp, fsum, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

from langchain_agentcost.errors import RoutingError

STEPS = 20
"""Into how many equal parts the calls are cut: no more than so many thresholds are tested, for each cheap tier."""

MOST_NEEDED = 1_000_000
"""More examples than anybody collects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A threshold that was tested.

    Args:
        threshold: The most that a call may be expected to lose; None sends everything to the strongest tier.
        strong_share: The share of examples that the strongest tier answers there, from 0 to 1.
        quality: The mean quality of the router there, from 0 to 1.
        strong_quality: That of the strongest tier alone.
        bound: What the router's mean quality is above `floor` times the strongest tier's, at least, at the confidence
            that was asked for. For the first step nothing is uncertain: it is the difference itself.
        passed: Whether the bound is not below 0.
    """

    threshold: float | None
    strong_share: float
    quality: float
    strong_quality: float
    bound: float
    passed: bool


Routed = Callable[[float], tuple[Sequence[float], Sequence[bool]]]
"""From a threshold to each example's quality there, and whether the strongest tier answers it."""


def fixed_sequence(
    losses: Sequence[float],
    cheap: Sequence[float],
    strong: Sequence[float],
    *,
    floor: float,
    confidence: float,
    steps: int = STEPS,
    groups: Sequence[Hashable] | None = None,
) -> tuple[Step, ...]:
    """Test thresholds of two tiers, from all-strong downwards, and stop at the first that fails.

    Each threshold is tested at the full confidence. That costs nothing for being many: to go wrong, the first threshold
    that is truly below the floor has to pass, and that is one test (fixed-sequence testing; Angelopoulos et al., "Learn
    then Test", Annals of Applied Statistics 2025). The last step that passed may be used.

    Args:
        losses: What the cheap tier is expected to lose on each example. The router sends an example to it where that is
            at most the threshold.
        cheap: How good the cheap tier's answers are, from 0 to 1.
        strong: How good the strong tier's are.
        floor: The share of the strong tier's mean quality that must be kept, above 0 and at most 1.
        confidence: How sure that must be, from 0.5 to 1.
        steps: Into how many equal parts the examples are cut.
        groups: Which examples belong together (a conversation's), so that they are one draw and not several; None
            takes each for itself.

    Returns:
        The steps, the first of them all-strong, the last of them failed unless everything may go to the cheap tier.

    Raises:
        RoutingError: If the sequences differ in length, are empty, or a number is out of its bounds.

    Example:
        >>> steps = fixed_sequence(
        ...     [0.0] * 80 + [0.9] * 20, [1.0] * 80 + [0.0] * 20, [1.0] * 100, floor=0.9, confidence=0.95
        ... )
        >>> [(step.threshold, step.strong_share, step.passed) for step in steps]
        [(None, 1.0, True), (0.0, 0.2, True), (0.9, 0.0, False)]
    """
    if not len(losses) == len(cheap) == len(strong):
        raise RoutingError(f"{len(losses)} losses, {len(cheap)} and {len(strong)} qualities are not of the same calls.")

    def routed(threshold: float) -> tuple[Sequence[float], Sequence[bool]]:
        kept = [loss > threshold for loss in losses]
        return [dear if keep else low for keep, low, dear in zip(kept, cheap, strong, strict=True)], kept

    grid = thresholds(losses, steps=steps)
    return fixed_sequence_of(routed, grid, strong, floor=floor, confidence=confidence, groups=groups)


def fixed_sequence_of(
    routed: Routed,
    grid: Iterable[float],
    strong: Sequence[float],
    *,
    floor: float,
    confidence: float,
    groups: Sequence[Hashable] | None = None,
    largest: int | None = None,
) -> tuple[Step, ...]:
    """Test thresholds of any number of tiers; see `fixed_sequence`.

    Args:
        routed: What happens to the examples at a threshold.
        grid: The thresholds, rising: the same ones whatever the qualities are.
        strong: How good the strongest tier's answers are.
        floor: The share of the strongest tier's mean quality that must be kept.
        confidence: How sure that must be.
        groups: Which examples belong together.
        largest: How many examples can belong together at most; None takes the most that do.
    """
    if not strong or not 0 < floor <= 1 or not 0.5 < confidence < 1:
        raise RoutingError("It takes examples, a floor above 0 and at most 1, and a confidence above 0.5 and below 1.")
    dear = fsum(strong) / len(strong)
    found = [
        Step(
            threshold=None,
            strong_share=1.0,
            quality=dear,
            strong_quality=dear,
            bound=(1 - floor) * dear,
            passed=True,
        )
    ]
    for threshold in grid:
        quality, kept = routed(threshold)
        above = [value - floor * best for value, best in zip(quality, strong, strict=True)]
        bound = lower_bound(above, worst=-floor, confidence=confidence, groups=groups, largest=largest)
        found.append(
            Step(
                threshold=threshold,
                strong_share=sum(kept) / len(strong),
                quality=fsum(quality) / len(quality),
                strong_quality=dear,
                bound=bound,
                passed=bound >= 0,
            )
        )
        if bound < 0:
            break
    return tuple(found)


def thresholds(losses: Sequence[float], *, steps: int = STEPS) -> tuple[float, ...]:
    """Give the thresholds that cut expected losses into equal parts, rising; equal ones once.

    Example:
        >>> thresholds([0.4, 0.1, 0.2, 0.3], steps=2), thresholds([0.5, 0.5, 0.5])
        ((0.2, 0.4), (0.5,))
    """
    ranked = sorted(losses)
    cuts = (ranked[ceil(len(ranked) * part / steps) - 1] for part in range(1, steps + 1)) if ranked else ()
    return tuple(dict.fromkeys(cuts))


def lower_bound(
    values: Sequence[float],
    *,
    worst: float,
    confidence: float,
    groups: Sequence[Hashable] | None = None,
    largest: int | None = None,
) -> float:
    """Give what a mean is at least, for values with few and large losses among them.

    Student's one-sided bound, with one draw of the worst value added to those seen, as conformal risk control does
    (Angelopoulos et al., 2024). Without it a handful of examples that all went well has no spread, and proves anything.
    Nor is the bound above the exact one for draws that are all alike, none of them the worst.

    Of the bounds that were tried on 120 cases (10 populations, among them the four pairs of the routing benchmark; 40
    to 800 examples; floors of 0.8, 0.95 and 0.99; 600 draws each, confidence 0.95), this one let a threshold below the
    floor through in 4.8 % of draws at worst and sent 65 % of calls to the strongest tier on average; without the added
    draw that was 60 % and 58 %, by betting (Waudby-Smith and Ramdas, JRSS-B 2024) 4.0 % and 68 %, with an added term
    for the skew 4.7 % and 67 %; Hoeffding and Bentkus' bound let nearly nothing through at all.

    Args:
        values: The values that were seen.
        worst: The least that a value can be.
        confidence: How sure it must be, above 0.5 and below 1.
        groups: Which values belong together: their sum is one draw.
        largest: How many values can belong together at most: what was never seen is the worst draw. None takes the most
            that do, which is too bold where few groups are much larger than the others.

    Example:
        >>> (
        ...     round(lower_bound([0.05] * 50, worst=-0.95, confidence=0.95), 3),
        ...     round(lower_bound([0.05] * 200, worst=-0.95, confidence=0.95), 3),
        ... )
        (-0.008, 0.035)
    """
    draws, most = _draws(values, groups, largest)
    bound = _Moments.of(draws).bound(len(draws), worst=worst * most, confidence=confidence)
    return bound * len(draws) / len(values)


def needed(
    values: Sequence[float],
    *,
    worst: float,
    confidence: float,
    groups: Sequence[Hashable] | None = None,
    largest: int | None = None,
) -> int | None:
    """Give how many values it takes until their lower bound reaches 0, if the others are as those that were seen.

    Where their mean is below 0, it takes those that are as good as the upper bound of what was seen leaves possible.

    Returns:
        The number, with those that were seen; None where even the upper bound is not above 0, or it would take more
        than `MOST_NEEDED`.

    Example:
        >>> needed([0.05], worst=-0.95, confidence=0.95), needed([-0.5] * 100, worst=-0.95, confidence=0.95)
        (59, None)
    """
    draws, most = _draws(values, groups, largest)
    worst *= most
    seen = _Moments.of(draws)
    if seen.mean <= 0:
        margin = NormalDist().inv_cdf(confidence) * sqrt((seen.variance + (worst / len(draws)) ** 2) / len(draws))
        seen = seen._replace(mean=seen.mean + margin)
    short, enough = 0, 1
    while seen.mean <= 0 or seen.bound(enough, worst=worst, confidence=confidence) < 0:
        short, enough = enough, 2 * enough
        if seen.mean <= 0 or enough > MOST_NEEDED:
            return None
    while enough - short > 1:
        middle = (short + enough) // 2
        holds = seen.bound(middle, worst=worst, confidence=confidence) >= 0
        short, enough = (short, middle) if holds else (middle, enough)
    return ceil(enough * len(values) / len(draws))


class _Moments(NamedTuple):
    """The mean and the variance of draws."""

    mean: float
    variance: float

    @classmethod
    def of(cls, draws: Sequence[float]) -> _Moments:
        mean = fsum(draws) / len(draws)
        return cls(mean, fsum((draw - mean) ** 2 for draw in draws) / len(draws))

    def bound(self, count: int, *, worst: float, confidence: float) -> float:
        """What the mean is at least if so many draws had these moments, with one of the worst added."""
        mean = (count * self.mean + worst) / (count + 1)
        squares = count * (self.variance + (self.mean - mean) ** 2) + (worst - mean) ** 2
        error = sqrt(squares / count / (count + 1))
        flawless = self.mean - (self.mean - worst) * (1 - exp(log(1 - confidence) / count))
        return min(mean - _student(NormalDist().inv_cdf(confidence), count) * error, flawless)


def _draws(values: Sequence[float], groups: Sequence[Hashable] | None, largest: int | None) -> tuple[list[float], int]:
    """The sums of what belongs together, and how many values the largest of them has, or can have."""
    if groups is None:
        return list(values), largest or 1
    sums: dict[Hashable, list[float]] = defaultdict(list)
    for value, group in zip(values, groups, strict=True):
        sums[group].append(value)
    return [fsum(each) for each in sums.values()], largest or max(len(each) for each in sums.values())


def _student(normal: float, freedom: float) -> float:
    """Student's quantile from the normal one (Abramowitz and Stegun 26.7.5)."""
    z = normal
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
