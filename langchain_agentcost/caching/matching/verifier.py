"""The learned score: how likely one answer serves two texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import exp, isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

from langchain_agentcost.caching.matching.features import SIGNS, features
from langchain_agentcost.caching.matching.guard import guard

_FORMAT = 1
_SHIPPED = Path(__file__).with_name("verifier.json")
_NO_DIFFERENCE = (0.0,) * (len(SIGNS) - 1)
_STEEPEST = 60.0
"""Beyond it a logistic is 0 or 1 in a double anyway."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """An additive model: the logistic of a weighted sum of seven figures.

    One number a figure, so that anyone can read what it learned, and little room to learn a data set by heart. Fit one
    on your own pairs with `langchain_agentcost.caching.matching.fitting.fit_verifier`.

    Args:
        name: What it is called in reports.
        threshold: The score from which on an answer may be served, 0 to 1.
        intercept: The sum where all figures are 0.
        weights: What each figure of `features.SIGNS` adds to the sum, per unit.
        provenance: What it was trained on, under which licences, how, and what it measured.

    Raises:
        ValueError: If a figure has no weight, an unknown one has, or a number is not finite.

    Example:
        >>> verifier = Verifier.load()
        >>> again = verifier.score("How do I reset my password?", "How can I reset my password?", 0.98)
        >>> other = verifier.score("How do I reset my password?", "How do I reset my router?", 0.75)
        >>> again > verifier.threshold > other
        True
    """

    name: str
    threshold: float
    intercept: float
    weights: Mapping[str, float]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.weights) != set(SIGNS):
            raise ValueError(f"weights has {sorted(self.weights)}, expected exactly {sorted(SIGNS)}: fit it again.")
        numbers = (self.threshold, self.intercept, *self.weights.values())
        if not all(map(isfinite, numbers)):
            raise ValueError("threshold, intercept and weights are finite numbers.")
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    @classmethod
    def load(cls, path: Path | None = None) -> Verifier:
        """Read a verifier from JSON.

        Args:
            path: The file; None gives the one that is shipped, which is read once.

        Raises:
            ValueError: If the file is not a verifier of this format.
            OSError: If it cannot be read.
        """
        return _shipped() if path is None else _read(path)

    def score(self, a: str, b: str, similarity: float) -> float:
        """Tell how likely the answer to a serves b too; the guard is not asked.

        Args:
            a: One text.
            b: The other; which comes first makes no difference.
            similarity: The cosine of their embeddings; one that is no number scores 0.

        Returns:
            0 to 1, like a probability among pairs half of which are equal.
        """
        if not isfinite(similarity):
            return 0.0
        return self.probability(features(a, b, min(max(similarity, -1.0), 1.0)))

    def ceiling(self, similarity: float) -> float:
        """Give the highest score that any two texts of this cosine can have: every other figure only lowers it.

        Args:
            similarity: The cosine.
        """
        return self.probability((min(max(similarity, -1.0), 1.0), *_NO_DIFFERENCE)) if isfinite(similarity) else 0.0

    def probability(self, figures: tuple[float, ...]) -> float:
        """Score figures that were taken before.

        Args:
            figures: In the order of `features.SIGNS`.

        Returns:
            0 to 1.
        """
        total = self.intercept + sum(self.weights[name] * figure for name, figure in zip(SIGNS, figures, strict=True))
        return 1 / (1 + exp(-min(max(total, -_STEEPEST), _STEEPEST)))

    def save(self, path: Path) -> None:
        """Write it as readable JSON.

        Args:
            path: The file, which is replaced.
        """
        path.write_text(json.dumps(_plain(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def matches(a: str, b: str, similarity: float, *, verifier: Verifier, threshold: float | None = None) -> bool:
    """Tell whether the answer to a may be served for b: no rule forbids it, and the score is high enough.

    Args:
        a: The text that was answered before.
        b: The text that is asked now.
        similarity: The cosine of their embeddings.
        verifier: What scores them.
        threshold: The least score; the verifier's own by default.

    Example:
        >>> matches("Cancel order 12", "Cancel order 13", 0.99, verifier=Verifier.load())
        False
    """
    least = verifier.threshold if threshold is None else threshold
    return guard(a, b) is None and verifier.score(a, b, similarity) >= least


def _plain(verifier: Verifier) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "name": verifier.name,
        "threshold": verifier.threshold,
        "intercept": verifier.intercept,
        "weights": dict(verifier.weights),
        "provenance": dict(verifier.provenance),
    }


@lru_cache(maxsize=1)
def _shipped() -> Verifier:
    return _read(_SHIPPED)


def _read(path: Path) -> Verifier:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        known = fields.pop("format") == _FORMAT
        verifier = Verifier(**fields)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not a verifier ({error!r}); write one with Verifier.save.") from error
    if not known:
        raise ValueError(f"{path} is not of format {_FORMAT}; write it again with Verifier.save.")
    return verifier
