"""How long answers get: a bound that a share of them stays within, whatever their distribution is."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from langchain_agentcost.quality import QualityFloor

WHOLE = QualityFloor("answers whole", min=0.99)
"""What caps are fitted to: of 100 answers 99 are within the bound, at 95 % confidence. It takes 299 calls."""


def upper_bound(lengths: Mapping[int, int], floor: QualityFloor = WHOLE, *, cut: int = 0) -> int | None:
    """Give a length that at least a share of all answers stays within, at the floor's confidence.

    It is the k-th shortest of n answers, with the smallest k for which a Binomial(n, share) is k or more with a
    probability of at most 1 - confidence: the distribution-free tolerance bound of Wilks (Ann. Math. Stat. 12, 1941).
    With k = n, the longest answer seen, that is share ** n <= 1 - confidence, so it takes
    n >= log(1 - confidence) / log(share) answers. It holds for independent answers of one kind; those of one run are
    alike, which makes the true confidence lower: a headroom on top is for that, and for days unlike those seen.

    Args:
        lengths: How many whole answers had which length, in tokens.
        floor: The share and the confidence.
        cut: How many answers were cut, whose length nobody knows. They count as longer than all others.

    Returns:
        The bound in tokens; None where there are too few answers, or it lies among those that were cut.

    Example:
        >>> upper_bound({length: 1 for length in range(1, 1001)})
        996
        >>> upper_bound({10: 298}) is None, upper_bound({10: 299})
        (True, 10)
    """
    seen = sum(lengths.values()) + cut
    if seen < floor.needed():
        return None
    rank = _rank(seen, floor)
    for length in sorted(lengths):
        rank -= lengths[length]
        if rank <= 0:
            return length
    return None


def _rank(seen: int, floor: QualityFloor) -> int:
    """The smallest k for which the k-th shortest is a bound: k of n, all shorter, prove the share."""
    low, high = ceil(floor.min * seen) - 1, seen
    while high - low > 1:
        middle = (low + high) // 2
        if floor.proven(middle, seen):
            high = middle
        else:
            low = middle
    return high
