"""What speaks against a tier, or against the whole router, as sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import sqrt
from statistics import NormalDist

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import written_count, written_share
from langchain_agentcost.finops.routing_measured import Measured

CONFIDENCE = 0.95
"""How sure one must be that a tier is the better one."""

LEAST_RUNS = 10
"""Fewer runs than this of a tier say nothing, whatever they say."""

LEAST_DECISIONS, NEARLY_ALL = 50, 0.95
"""A router that gives one tier more than this share of at least so many calls routes nothing."""


_Comparison = Callable[[Measured, Measured], bool]


def dominated(tiers: Sequence[Measured]) -> tuple[str, ...]:
    """Name the tiers that a stronger one beats at no more cost a run: whatever is sent there, the other does better.

    A stronger tier that does worse than a weaker one is not named: a router gives it what is harder.

    Args:
        tiers: How each has done, weakest first.

    Returns:
        A sentence for each of them. Quality has to be better by a one-sided 95 % interval; costs are compared as they
        were measured.

    Example:
        >>> weak, strong = Measured("small", 60, 25, 60_000_000_000), Measured("large", 60, 48, 54_000_000_000)
        >>> print(*dominated([weak, strong]))
        'small' does worse than 'large' and costs no less: 25 of 60 runs succeeded at $1.00 a run, against 48 of 60 at \
$0.90.
        >>> dominated([Measured("small", 2, 0, 2_000), Measured("large", 2, 2, 1_000)])
        ()
    """
    return _named(tiers, _is_dominated, "{} does worse than {} and costs no less: {}, against {}.")


def dearer_per_success(tiers: Sequence[Measured]) -> tuple[str, ...]:
    """Name the tiers that cost less a run than a stronger one, and more a success: a list price would not tell.

    Such a tier may still be right for what is easy; on the whole it is none.

    Args:
        tiers: How each has done, weakest first.
    """
    return _named(tiers, _is_dearer, "{} costs less a run than {} and more a success: {}, against {}.")


def near_constant(counts: Mapping[str, int]) -> str | None:
    """Say that a router gives nearly all calls to one tier, where it does.

    Args:
        counts: How often each tier was chosen.

    Example:
        >>> near_constant({"small": 1, "frontier": 119})
        "'frontier' was chosen for 99.2% of 120 calls: a router that always says the same routes nothing."
    """
    whole, most = sum(counts.values()), max(counts.values(), default=0)
    if whole < LEAST_DECISIONS or most <= NEARLY_ALL * whole:
        return None
    name = next(name for name, count in counts.items() if count == most)
    share = f"{written_share(most / whole)} of {written_count(whole)} calls"
    return f"{label(name)!r} was chosen for {share}: a router that always says the same routes nothing."


def better_by(better: Measured, worse: Measured, *, confidence: float = CONFIDENCE) -> float:
    """Give how much larger the one's share of successes is at least.

    Newcombe's hybrid score interval for two independent shares (Statistics in Medicine 17, 1998, method 10), its lower
    end alone, of Wilson's intervals (JASA 22, 1927).

    Args:
        better: The tier that may be better.
        worse: The other. Both have runs.
        confidence: How sure one must be.

    Returns:
        The lower bound of the difference, from -1 to 1.

    Example:
        >>> round(better_by(Measured("a", 100, 80, None), Measured("b", 100, 60, None)), 3)
        0.094
    """
    z = NormalDist().inv_cdf(confidence)
    high, low = better.solved / better.runs, worse.solved / worse.runs
    from_high = high - _wilson(better, -z)
    from_low = _wilson(worse, z) - low
    return high - low - sqrt(from_high**2 + from_low**2)


def _wilson(tier: Measured, z: float) -> float:
    share, runs = tier.solved / tier.runs, tier.runs
    middle = share + z * z / (2 * runs)
    return (middle + z * sqrt(share * (1 - share) / runs + z * z / (4 * runs * runs))) / (1 + z * z / runs)


def _named(tiers: Sequence[Measured], holds: _Comparison, sentence: str) -> tuple[str, ...]:
    """One sentence for each weaker tier of which it holds, with the first stronger one that it holds against."""
    found: dict[str, str] = {}
    for weak, strong in combinations(tiers, 2):
        if weak.name not in found and holds(weak, strong) and better_by(strong, weak) > 0:
            shown = (repr(label(weak.name)), repr(label(strong.name)), _did(weak, " runs succeeded"), _did(strong))
            found[weak.name] = sentence.format(*shown)
    return tuple(found.values())


def _is_dominated(weak: Measured, strong: Measured) -> bool:
    return _comparable(weak, strong) and _per_run(strong) <= _per_run(weak)


def _is_dearer(weak: Measured, strong: Measured) -> bool:
    if not _comparable(weak, strong) or _per_run(strong) <= _per_run(weak):
        return False
    # Over the successes, without dividing by those that there are none of.
    return (weak.nano or 0) * strong.solved >= (strong.nano or 0) * weak.solved


def _comparable(*tiers: Measured) -> bool:
    return all(tier.runs >= LEAST_RUNS and tier.nano is not None for tier in tiers)


def _per_run(tier: Measured) -> float:
    return (tier.nano or 0) / tier.runs


def _did(tier: Measured, what: str = "") -> str:
    return f"{written_count(tier.solved)} of {written_count(tier.runs)}{what} at {tier.per_run}{' a run' * bool(what)}"
