"""What our router is compared with: controls, rules without training, and the usual learners.

None knows anything of the benchmarks' prompts. A learner's scores of the calls it learns from are of five folds: each
is scored by a model that has not seen it, as thresholds are set on those scores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, Literal, NamedTuple

import numpy as np
from routing_data import Calls, Numbers
from semantic_data import Vectors
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression, Ridge

FOLDS = 5
NEIGHBOURS = 150
RIDGE = 1.0
SHRINKAGE = 10
"""As many calls as a label's mean is drawn to the mean of all by."""

Kind = Literal["ours", "baseline", "peer", "control"]

Scorer = Callable[[Calls], Numbers]
"""Gives each call a score: the higher, the more the strong model is expected to add."""


class Learned(NamedTuple):
    """A system after training.

    Args:
        known: The scores of the calls it learnt from, by models that had not seen them.
        score: What scores others.
    """

    known: Numbers
    score: Scorer


@dataclass(frozen=True, slots=True)
class System:
    """What routes.

    Args:
        name: What it is called.
        kind: What it is here for.
        learn: Trains it.
        embeds: Whether it needs the text's vector.
        labels: Whether it is told the task's label.
        ms: What a decision takes, where it was measured elsewhere.
        rule: What it makes of a text, where it learns nothing.
    """

    name: str
    kind: Kind
    learn: Callable[[Calls], Learned]
    embeds: bool = False
    labels: bool = False
    ms: float | None = None
    rule: Callable[[str], float] | None = None


def baselines(vectors: Vectors, texts: Sequence[str]) -> list[System]:
    """Make the controls and the baselines.

    Args:
        vectors: Of the texts.
        texts: All that will be asked for, so that their words are counted once.
    """
    return [
        untrained("random", "control", _random),
        System("oracle", "control", lambda calls: Learned(calls.gain, lambda others: others.gain)),
        untrained("length", "baseline", len),
        untrained("keyword rule", "baseline", _keywords),
        System("TF-IDF ridge", "baseline", crossed(_Ridge(texts).fit)),
        System("kNN MiniLM", "baseline", crossed(_neighbours(vectors)), embeds=True),
        System("logistic MiniLM", "baseline", crossed(_logistic(vectors)), embeds=True),
        System("label mean", "baseline", crossed(_label_means), labels=True),
    ]


def untrained(name: str, kind: Kind, rule: Callable[[str], float], *, ms: float | None = None) -> System:
    """Make of a rule a system that learns nothing; a text is scored once."""
    remembered = cache(rule)

    def score(calls: Calls) -> Numbers:
        return np.array([remembered(text) for text in calls.texts], dtype=np.float64)

    return System(name, kind, lambda calls: Learned(score(calls), score), ms=ms, rule=rule)


def crossed(fit: Callable[[Calls], Scorer], *, seed: int = 0) -> Callable[[Calls], Learned]:
    """Make of a learner a system whose own calls are scored by folds."""

    def learn(calls: Calls) -> Learned:
        fold = np.random.default_rng(seed).permutation(len(calls)) % FOLDS
        known = np.zeros(len(calls))
        for out in range(FOLDS):
            rest, held = np.flatnonzero(fold != out), np.flatnonzero(fold == out)
            known[held] = fit(calls.take(rest))(calls.take(held))
        return Learned(known, fit(calls))

    return learn


def _random(text: str) -> float:
    return int.from_bytes(sha256(f"coin {text}".encode("utf-8", "surrogatepass")).digest()[:6]) / 2**48


_REASONING = re.compile(
    r"\b(why|how|prove|derive|explain|compare|analy[sz]e|evaluate|design|plan|debug|optimi[sz]e|calculate|compute|solve"
    r"|determine|justify|infer|reason|implement|refactor|diagnose)\b",
    re.IGNORECASE,
)


def _keywords(text: str) -> float:
    """A rule as people write it: verbs of reasoning, numbers, code and length each say "hard" a little."""
    numbers = min(len(re.findall(r"\d+", text)), 8) / 4
    return min(len(_REASONING.findall(text)), 4) + numbers + min(len(text) / 1000, 2) + ("```" in text)


class _Ridge:
    """Words and pairs of words, weighed by TF-IDF; ridge regression of what the strong model adds.

    Which words there are is counted once for all texts. One that is not in two of the calls it learns from has no
    weight, so nothing is known of others before they are scored.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._counts = CountVectorizer(min_df=2, ngram_range=(1, 2), dtype=np.float64).fit_transform(texts).tocsr()
        self._rows = {text: row for row, text in enumerate(texts)}

    def fit(self, calls: Calls) -> Scorer:
        counts = self._of(calls)
        kept = np.flatnonzero(np.bincount(counts.indices, minlength=counts.shape[1]) >= 2)
        weighed = TfidfTransformer(sublinear_tf=True).fit(counts[:, kept])
        model = Ridge(alpha=RIDGE).fit(weighed.transform(counts[:, kept]), calls.gain)
        return lambda others: model.predict(weighed.transform(self._of(others)[:, kept]))

    def _of(self, calls: Calls) -> Any:
        return self._counts[[self._rows[text] for text in calls.texts]]


def _neighbours(vectors: Vectors) -> Callable[[Calls], Scorer]:
    """The mean gain of the nearest calls."""

    def fit(calls: Calls) -> Scorer:
        base, most = vectors.of(calls.texts), min(NEIGHBOURS, max(1, len(calls) // 4))

        def score(others: Calls) -> Numbers:
            alike = vectors.of(others.texts) @ base.T
            nearest = np.argpartition(-alike, most - 1, axis=1)[:, :most]
            return calls.gain[nearest].mean(axis=1)  # type: ignore[no-any-return]

        return score

    return fit


def _logistic(vectors: Vectors) -> Callable[[Calls], Scorer]:
    """Two heads: how probably the strong model is right, less how probably the cheap one is."""

    def fit(calls: Calls) -> Scorer:
        base = vectors.of(calls.texts)
        heads = [_head(base, quality >= 0.5) for quality in (calls.strong, calls.cheap)]
        return lambda others: heads[0](vectors.of(others.texts)) - heads[1](vectors.of(others.texts))

    return fit


def _head(base: np.ndarray, right: np.ndarray) -> Callable[[np.ndarray], Numbers]:
    if right.all() or not right.any():
        return lambda others: np.full(len(others), float(right[0]))
    model = LogisticRegression(max_iter=300, tol=1e-3).fit(base, right)
    return lambda others: model.predict_proba(others)[:, 1]


def _label_means(calls: Calls) -> Scorer:
    """The mean gain of the task, drawn to the mean of all where there are few calls of it."""
    whole = float(calls.gain.mean())
    gains: dict[str, list[float]] = {}
    for label, gain in zip(calls.labels, calls.gain, strict=True):
        gains.setdefault(label, []).append(float(gain))
    means = {label: (sum(of) + SHRINKAGE * whole) / (len(of) + SHRINKAGE) for label, of in gains.items()}
    return lambda others: np.array([means.get(label, whole) for label in others.labels])
