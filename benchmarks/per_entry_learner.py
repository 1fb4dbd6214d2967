"""A cache that learns a threshold for each entry: the peer that the error budget is compared with.

The idea is that of Schroeder et al., "vCache: Verified Semantic Prompt Caching" (arXiv 2502.03771), written anew from
its description: each entry keeps the similarities at which it was checked and whether it was right, fits a logistic
curve to them, and asks the model with just the probability that keeps the share of wrong answers among all answers
below a bound. That is another promise than ours, which is the share among hits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]

_MIDDLES = np.linspace(0.5, 1.0, 26)[:, None]
_SLOPES = np.array([5.0, 10.0, 20.0, 40.0, 80.0])[None, :]
_CERTAINTY = ((0.002, 8.284), (0.005, 6.635), (0.01, 5.412), (0.025, 3.841), (0.05, 2.706))
"""Chances that the true curve is worse than the worst kept, and the quantile of chi square that belongs to each."""


def _right(similarity: float) -> Table:
    """How likely an entry is right at a similarity, for each curve."""
    return 1 / (1 + np.exp(-_SLOPES * (similarity - _MIDDLES)))


def _prior() -> Table:
    """Two checks that every entry begins with: equal texts are right, and unrelated ones are not."""
    return np.log(_right(1.0)) + np.log1p(-_right(0.3))


@dataclass(slots=True)
class EntryLearner:
    """What one entry knows of itself.

    Args:
        max_wrong: The largest share of wrong answers among all answers.
    """

    max_wrong: float
    _likelihood: Table = field(default_factory=_prior)
    _checks: int = 0

    def record(self, similarity: float, *, right: bool) -> None:
        """Take in a check."""
        share = _right(similarity)
        self._likelihood = self._likelihood + np.log(share if right else np.maximum(1 - share, 1e-12))
        self._checks += 1

    def explores(self, similarity: float) -> float:
        """Give the probability with which the model is to be asked."""
        if not self._checks:
            return 1.0
        share, lost = _right(similarity), self._likelihood.max() - self._likelihood
        worst = max((1 - chance) * share[lost <= quantile / 2].min() for chance, quantile in _CERTAINTY)
        return float(np.clip(1 - self.max_wrong / max(1 - worst, 1e-12), 0, 1))
