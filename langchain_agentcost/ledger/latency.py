"""Durations counted in buckets, so that percentiles of millions of calls can be added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil, log

GROWTH = 1.02
"""Each bucket ends 2 % above the one before, so a bucket's middle is within 1 % of every duration in it."""

_LOG_GROWTH = log(GROWTH)
_SHORTEST_S, _LONGEST_S = 1e-6, 1e9
_SHORTEST, _LONGEST = ceil(log(_SHORTEST_S) / _LOG_GROWTH), ceil(log(_LONGEST_S) / _LOG_GROWTH)


def bucket(duration_s: float) -> int:
    """Give the number of the bucket that a duration falls in; what no clock can measure goes to the outermost ones.

    Args:
        duration_s: The duration in seconds.

    Example:
        >>> bucket(1.0), bucket(0.0) == bucket(1e-6)
        (0, True)
    """
    if _SHORTEST_S < duration_s < _LONGEST_S:
        return ceil(log(duration_s) / _LOG_GROWTH)
    return _SHORTEST if duration_s <= _SHORTEST_S else _LONGEST


def counted(written: Mapping[str, int]) -> Counter[int]:
    """Count durations that are written down as "BUCKET", or "BUCKET:HOW_MANY", given how often each stands there.

    Example:
        >>> counted({"7": 2, "7:10": 1, "9": 1})
        Counter({7: 12, 9: 1})
    """
    counts: dict[int, int] = {}
    for item, times in written.items():
        bucket_number, _, how_many = item.partition(":")
        number = int(bucket_number)
        counts[number] = counts.get(number, 0) + (int(how_many) * times if how_many else times)
    return Counter(counts)


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Give a percentile by nearest rank, within 1 %.

    Args:
        counts: How many durations fell into each bucket.
        share: Which percentile, from 0 to 1.

    Returns:
        The duration in seconds; None where there are none.

    Example:
        >>> round(percentile({bucket(2.0): 9, bucket(30.0): 1}, 0.5), 1)
        2.0
    """
    rank = ceil(share * sum(counts.values()))
    for number in sorted(counts):
        rank -= counts[number]
        if rank <= 0:
            return float(GROWTH ** (number - 0.5))
    return None
