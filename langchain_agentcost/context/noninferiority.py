"""Whether a changed wording is no worse: a paired test on the user's own examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_agentcost.quality import QualityFloor

MOST_MISSING = 1_000_000
"""More examples than anybody collects: `Verdict.missing` is None where it would take more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a paired test found.

    Only examples that were right before can be lost, so only they are trials: a change cannot look harmless because
    most examples fail either way.

    Args:
        floor: What had to be proven.
        kept: How many examples were right before and after.
        lost: How many were right before and are wrong after.
        won: How many were wrong before and are right after. They are told and make up for nothing: whoever asked one of
            the lost ones has no use for them.
        lower: The share of right answers that is kept at least, at the floor's confidence.
        proven: Whether that reaches the floor.
        missing: How many more examples that were right before, all of them kept, would prove it; 0 where it is proven,
            None where no number helps (the floor is 1, or it is refuted) or it would take more than `MOST_MISSING`.
        refuted: Whether it is proven, at the same confidence, that the floor is not reached.
    """

    floor: QualityFloor
    kept: int
    lost: int
    won: int
    lower: float
    proven: bool
    missing: int | None
    refuted: bool

    def __bool__(self) -> bool:
        """Whether the change may be accepted."""
        return self.proven

    def __str__(self) -> str:
        """Say it in a sentence."""
        seen = f"{self.kept} of {self.kept + self.lost} right answers kept"
        bound = f"at least {self.lower:.1%} at {self.floor.confidence:.0%} confidence, asked {self.floor.min:.1%}"
        if self.proven:
            return f"No worse: {seen}, {bound}."
        if self.refuted:
            return f"Worse: {seen}, {bound}."
        more = "" if self.missing is None else f" {self.missing} more examples that were right before would do."
        return f"Not proven: {seen}, {bound}.{more}"


def noninferior(pairs: Sequence[tuple[bool, bool]], floor: QualityFloor) -> Verdict:
    """Tell whether a change keeps what was right, at a floor.

    The trials are the examples that were right before; those that still are count as good, and
    `QualityFloor.lower_bound` (Clopper and Pearson, exact) bounds the true share. A model that answers differently each
    time loses some right answers by chance alone, which counts as lost here: ask at temperature 0, or test the
    unchanged wording against itself first to see how much that is. The bound is for a set that is looked at once:
    whoever tests ten wordings on the same examples, or adds examples until it is proven, needs a higher confidence.

    Args:
        pairs: One per example: whether it was right before, and whether it is after.
        floor: The least share that must be kept, and how sure one must be.

    Returns:
        The verdict, true where it is proven; with the number of examples that are missing.

    Example:
        >>> floor = QualityFloor("answers right", min=0.95)
        >>> print(noninferior([(True, True)] * 50 + [(False, True)] * 5, floor))
        Not proven: 50 of 50 right answers kept, at least 94.2% at 95% confidence, asked 95.0%. 9 more examples that \
were right before would do.
        >>> bool(noninferior([(True, True)] * 59, floor))
        True
    """
    kept = sum(1 for before, after in pairs if before and after)
    lost = sum(1 for before, after in pairs if before and not after)
    won = sum(1 for before, after in pairs if after and not before)
    lower = floor.lower_bound(kept, kept + lost)
    refuted = floor.lower_bound(lost, kept + lost) > 1 - floor.min
    missing = None if refuted else _missing(kept, lost, floor)
    return Verdict(floor, kept, lost, won, lower, lower >= floor.min, missing, refuted)


def _missing(kept: int, lost: int, floor: QualityFloor) -> int | None:
    """The least number of further kept examples that proves the floor: more of them never lower the bound."""
    low, high = -1, 0
    while not floor.proven(kept + high, kept + lost + high):
        low, high = high, max(1, 2 * high)
        if floor.min == 1 or high > MOST_MISSING:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if floor.proven(kept + middle, kept + lost + middle):
            high = middle
        else:
            low = middle
    return high
