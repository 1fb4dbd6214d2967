"""How a policy's scores were spread when it was calibrated, as counts in a few bins."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

BINS = 8
"""Into how many bins scores are cut at most, but for those of kinds of call of which no example was seen."""

UNSEEN = 1.0
"""What a tier is expected to lose on a kind of call of which no example was seen: all. No threshold is as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBins:
    """Counts of scores.

    Args:
        edges: What is between two bins, rising. There is one bin more than edges, and then one for `UNSEEN`.
        references: By source of the scores, how many were in each bin. The first is of the scores that were calibrated
            with. A policy that learns has a second: that of the policy as it is used, which saw the examples. Where it
            goes by a table, traffic looks like the second; where it goes by text, like the first.

    Example:
        >>> bins = ScoreBins.of([0.1] * 3 + [0.5])
        >>> bins.edges, bins.references, bins.bin(0.2), bins.bin(0.4)
        ((0.3,), ((3, 1, 0),), 0, 1)
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
        found = cls(edges=_edges(sorted(score for score in scores if score < UNSEEN), bins), references=())
        return replace(found, references=tuple(found._counts(each) for each in (scores, *others)))

    @property
    def count(self) -> int:
        """How many bins there are."""
        return len(self.edges) + 2

    def bin(self, score: float) -> int:
        """Say in which bin a score is, from 0."""
        return len(self.edges) + 1 if score >= UNSEEN else bisect_left(self.edges, score)

    def _counts(self, scores: Iterable[float]) -> tuple[int, ...]:
        counts = [0] * self.count
        for score in scores:
            counts[self.bin(score)] += 1
        return tuple(counts)


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
