"""How a policy's scores were spread when it was calibrated, as counts in a few bins."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

BINS = 8
"""Into how many bins scores are cut at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBins:
    """Counts of scores.

    Args:
        edges: What is between two bins, rising; there is one bin more than edges.
        references: By source of the scores, how many were in each bin. The first is of the scores that were calibrated
            with. A policy that learns has a second: that of the policy as it is used, which saw the examples. Where it
            goes by a table, traffic looks like the second; where it goes by text, like the first.

    Example:
        >>> bins = ScoreBins.of([0.1] * 3 + [0.5])
        >>> bins.edges, bins.references, bins.bin(0.2), bins.bin(0.4)
        ((0.3,), ((3, 1),), 0, 1)
    """

    edges: tuple[float, ...]
    references: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, scores: Sequence[float], *others: Sequence[float], bins: int = BINS) -> Self:
        """Cut scores into bins of about the same size, at the widest gaps that are near: equal scores stay together.

        Args:
            scores: The scores that were calibrated with.
            *others: Scores from other sources, counted in the same bins.
            bins: How many bins there are at most.
        """
        edges = _edges(sorted(scores), bins)
        return cls(edges=edges, references=tuple(_counts(edges, each) for each in (scores, *others)))

    def bin(self, score: float) -> int:
        """Say in which bin a score is, from 0."""
        return bisect_left(self.edges, score)


def _edges(ranked: Sequence[float], bins: int) -> tuple[float, ...]:
    """In the middle of the widest gap within half a bin around each even cut."""
    reach = max(1, len(ranked) // (2 * bins))
    found = set()
    for part in range(1, bins):
        cut = len(ranked) * part // bins
        near = range(max(1, cut - reach), min(len(ranked) - 1, cut + reach) + 1)
        gap, at = max(((ranked[place] - ranked[place - 1], place) for place in near), default=(0.0, 0))
        if gap > 0:
            found.add((ranked[at] + ranked[at - 1]) / 2)
    return tuple(sorted(found))


def _counts(edges: tuple[float, ...], scores: Iterable[float]) -> tuple[int, ...]:
    counts = [0] * (len(edges) + 1)
    for score in scores:
        counts[bisect_left(edges, score)] += 1
    return tuple(counts)
