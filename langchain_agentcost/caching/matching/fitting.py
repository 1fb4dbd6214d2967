"""Fits a verifier to labelled pairs, and sets its threshold on sources it has not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import Any

from langchain_agentcost.caching.matching.features import SIGNS, features
from langchain_agentcost.caching.matching.guard import guard
from langchain_agentcost.caching.matching.verifier import Verifier
from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.quality import QualityFloor

_FOLDS = 5
_CONFIDENCE = 0.95
_PRIOR = 5.0
"""What the cosine weighs at least, per standard deviation.

The encoder has read a billion pairs and this fit has a few thousand, in which most cosines are high by design: left
alone, the fit distrusts the cosine and then does worse than it on other people's questions (measured: macro recall at
1.85 % of traps over six sources 55.1 % without, 60.8 % with it).
"""
_SPREAD = 0.03
"""Variance of the weights around what is expected of them: small, since the sources are few."""
_DECIMALS = 6
_STEP = 1e-6


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two texts, and whether one answer serves both.

    Args:
        a: One text.
        b: The other.
        same: Whether one answer serves both.
        similarity: The cosine of their embeddings; None has it computed, see `fit_verifier`.
        source: Where it is from. The threshold is set on sources the model has not seen, so name them apart.
        support: Whether it only supports the fit, and says nothing about the threshold: pairs made by rule.
    """

    a: str
    b: str
    same: bool
    similarity: float | None = None
    source: str = ""
    support: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A pair, measured: its figures, and whether the guard lets it pass."""

    figures: tuple[float, ...]
    same: bool
    passes: bool
    source: str
    support: bool


def fit_verifier(
    pairs: Iterable[LabelledPair],
    *,
    traps_served: float = 0.02,
    similarity: Callable[[str, str], float] | None = None,
    name: str = "own",
    provenance: Mapping[str, Any] | None = None,
) -> Verifier:
    """Fit a verifier to your own pairs.

    The weights are those of a logistic regression on pairs that pass the guard, every source and either answer
    weighing the same, the signs held to `features.SIGNS`. The threshold is the lowest at which, on sources left out of
    the fit in turn (or fifths of the pairs, where there is one source), the share of different pairs served stays
    under `traps_served`, by the mean of the sources' exact upper 95 % bounds. No randomness: equal pairs, equal model.

    Args:
        pairs: At least one that is the same and one that is not; some hundred of each are of use.
        traps_served: The share of different pairs that may be served, above 0 and below 1.
        similarity: Gives the cosine of two texts, for pairs that come without it.
        name: What to call it.
        provenance: What to write down about it.

    Returns:
        The verifier; save it with `Verifier.save`. Where too few pairs prove the share, its threshold is 1.

    Raises:
        MissingExtra: If numpy or scipy is not installed.
        ValueError: If there is nothing to learn from, or a similarity is missing.
    """
    if not 0 < traps_served < 1:
        raise ValueError(f"traps_served is a share above 0 and below 1, not {traps_served!r}.")
    cases = measured(pairs, similarity=similarity)
    held_out = scores_of_unseen(cases)
    intercept, weights = _fitted(cases)
    return Verifier(
        name=name,
        threshold=threshold_of(held_out, traps_served=traps_served),
        intercept=intercept,
        weights=weights,
        provenance=provenance or {},
    )


def measured(pairs: Iterable[LabelledPair], *, similarity: Callable[[str, str], float] | None = None) -> list[Case]:
    """Take the figures of each pair, and ask the guard."""
    cases = []
    for number, pair in enumerate(pairs):
        cosine = pair.similarity
        if cosine is None:
            if similarity is None:
                raise ValueError(f"pair {number} has no similarity: give it one, or give fit_verifier `similarity`.")
            cosine = similarity(pair.a, pair.b)
        passes = guard(pair.a, pair.b) is None
        cases.append(Case(features(pair.a, pair.b, cosine), pair.same, passes, pair.source, pair.support))
    return cases


def scores_of_unseen(cases: Sequence[Case]) -> dict[str, list[tuple[float, bool]]]:
    """Score each case by a model that has not seen its source; a case the guard holds back scores -1.

    Returns:
        For each source, or fold of the only one, score and label of its cases.
    """
    if len({case.source for case in cases}) > 1:
        keys = [case.source for case in cases]
    else:
        keys = [f"fold {_fold(case)}" for case in cases]
    unseen: dict[str, list[tuple[float, bool]]] = {}
    for key in sorted({key for key, case in zip(keys, cases, strict=True) if not case.support}):
        rest = [case for case, other in zip(cases, keys, strict=True) if other != key]
        here = [case for case, other in zip(cases, keys, strict=True) if other == key and not case.support]
        if _teaches(rest):
            unseen[key] = scored(_fitted(rest), here)
    return unseen


def scored(model: tuple[float, dict[str, float]], cases: Iterable[Case]) -> list[tuple[float, bool]]:
    """Score cases, -1 where the guard holds one back."""
    verifier = Verifier(name="", threshold=1.0, intercept=model[0], weights=model[1])
    return [(verifier.probability(case.figures) if case.passes else -1.0, case.same) for case in cases]


def threshold_of(unseen: Mapping[str, Sequence[tuple[float, bool]]], *, traps_served: float) -> float:
    """Give the lowest threshold whose share of traps served is under the budget, by upper bounds.

    The bound of each source is exact (Clopper and Pearson, 1934); their mean is above the bound of the mean.
    """
    candidates = sorted({score for cases in unseen.values() for score, same in cases if not same and score >= 0})
    floor = QualityFloor("traps held back", min=1 - traps_served, confidence=_CONFIDENCE)
    traps = [sorted(score for score, same in cases if not same) for cases in unseen.values()]
    traps = [scores for scores in traps if scores]
    for least in (0.0, *(score + _STEP for score in candidates)):
        bounds = [1 - floor.lower_bound(sum(s < least for s in scores), len(scores)) for scores in traps]
        if bounds and sum(bounds) / len(bounds) <= traps_served:
            return min(round(least, _DECIMALS), 1.0)
    return 1.0


def _fold(case: Case) -> int:
    return sha256(repr(case.figures).encode()).digest()[0] % _FOLDS


def _teaches(cases: Iterable[Case]) -> bool:
    return {case.same for case in cases if case.passes} == {True, False}


def _fitted(cases: Sequence[Case]) -> tuple[float, dict[str, float]]:
    """Fit intercept and weights: a logistic regression around what is expected, with signs that are given."""
    passing = [case for case in cases if case.passes]
    if not _teaches(passing):
        raise ValueError("Of the pairs that pass the guard some must be the same and some not.")
    numpy, optimize = _library("numpy"), _library("scipy.optimize")
    x = numpy.array([case.figures for case in passing])
    sides = numpy.array([1.0 if case.same else -1.0 for case in passing])
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    x = numpy.hstack([(x - mean) / scale, numpy.ones((len(x), 1))])
    counts = Counter((case.source, case.support, case.same) for case in passing)
    shares = numpy.array([1 / counts[case.source, case.support, case.same] for case in passing])
    shares *= len(passing) / shares.sum()
    expected = numpy.array([_PRIOR if name == "similarity" else 0.0 for name in SIGNS] + [0.0])
    pull = numpy.array([1 / _SPREAD] * len(SIGNS) + [0.0])

    def loss(weights: Any) -> tuple[float, Any]:
        margins = numpy.clip(sides * (x @ weights), -50, 50)
        slope = x.T @ (-shares * sides / (1 + numpy.exp(margins))) + pull * (weights - expected)
        return float(shares @ numpy.logaddexp(0, -margins) + pull @ (weights - expected) ** 2 / 2), slope

    bounds = [(_PRIOR, None) if sign > 0 else (None, 0.0) for sign in SIGNS.values()] + [(None, None)]
    found = optimize.minimize(loss, expected, jac=True, bounds=bounds, method="L-BFGS-B").x
    weights = found[:-1] / scale
    intercept = round(float(found[-1] - weights @ mean), _DECIMALS)
    return intercept, {name: round(float(weight), _DECIMALS) for name, weight in zip(SIGNS, weights, strict=True)}


def _library(name: str) -> Any:
    """Import a library of the extra; untyped, since scipy has no types."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtra(name.partition(".")[0], extra="semantic", what="Fitting a verifier") from error
