"""Bootstrap intervals: how far a share would move if other tasks had been recorded."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache

DRAWS = 1000
MOST_PICKS = 2_000_000
"""With very many tasks fewer draws are taken: their interval is narrow, and its ends are known well enough."""

MIN_DRAWS = 200


def percent_saved(now: Sequence[int], before: Sequence[int]) -> float | None:
    """Give what is saved in percent of what was spent before; None where nothing was.

    Example:
        >>> percent_saved([50, 100], [100, 200])
        50.0
    """
    whole = sum(before)
    return 100 * (1 - sum(now) / whole) if whole else None


def bootstrap(
    part: Sequence[int], whole: Sequence[int], *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float] | None:
    """Give the 95 % interval of 100 * (1 - sum(part) / sum(whole)) over tasks.

    The percentile bootstrap (Efron, Annals of Statistics 7, 1979): tasks, with all their runs, are drawn with
    replacement, as many as there are; the runs of a task are alike and are never torn apart.

    Args:
        part: What each task costs now.
        whole: What each cost before, in the same order.
        draws: How many times to draw, where there are not very many tasks.
        seed: Of the random numbers: the same data give the same interval.

    Returns:
        The 2.5th and the 97.5th percentile in percent; None where there are fewer than two tasks, or nothing was spent.

    Example:
        >>> bootstrap([50, 50, 50], [100, 100, 100])
        (50.0, 50.0)
    """
    return _ends(tuple(part), tuple(whole), draws, seed)


@lru_cache(maxsize=1024)
def _ends(part: tuple[int, ...], whole: tuple[int, ...], draws: int, seed: int) -> tuple[float, float] | None:
    """The interval; remembered, since a table, a file and a page of the same result ask for the same ones."""
    if len(part) < 2 or not any(whole):
        return None
    dice = random.Random(seed)  # noqa: S311  # a bootstrap, not a secret
    tasks = range(len(part))
    shares = []
    for _ in range(max(MIN_DRAWS, min(draws, MOST_PICKS // len(part)))):
        picked = dice.choices(tasks, k=len(part))
        spent = sum(map(whole.__getitem__, picked))
        if spent:
            shares.append(100 * (1 - sum(map(part.__getitem__, picked)) / spent))
    shares.sort()
    return shares[int(0.025 * len(shares))], shares[max(0, int(0.975 * len(shares)) - 1)]
