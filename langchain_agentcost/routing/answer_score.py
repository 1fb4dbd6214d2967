"""A check that has learnt from answers of which one knows whether they were right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from math import exp, log
from pathlib import Path
from typing import Any, Self

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.canonical import as_json, digest
from langchain_agentcost.errors import MissingExtra, RoutingError
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.routing.verifiers.acceptance import Labelled
from langchain_agentcost.routing.verifiers.answer import as_text
from langchain_agentcost.routing.verifiers.answer_features import figures, grams
from langchain_agentcost.routing.verifiers.pure import Pure

VERSION = 1
"""Of the file; one of another version is not read."""

_LEAST = 20
"""Right answers, and wrong ones, below which nothing is learnt."""

_FOLDS = 5
_PENALTIES = (0.3, 1.0, 3.0)
_CUTS = (0.25, 0.5, 0.75)
"""Quantiles at which a figure may change what it means: more is not always better."""

_DECIMALS = 5
_STEPS = [round(0.95 - 0.05 * step, 2) for step in range(19)]


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt: plain numbers, without any text of prompts or answers.

    Args:
        intercept: The log-odds of an answer of which nothing is known.
        weights: What each figure or hashed word adds.
        cuts: At which values of a figure it adds something else.
        cases: How many answers it was learnt from.
        right: How many of them were right.
        auc: How often a right answer scores above a wrong one, on answers that were held back: 0.5 is a coin toss.
    """

    intercept: float
    weights: Mapping[str, float]
    cuts: Mapping[str, Sequence[float]]
    cases: int
    right: int
    auc: float


@dataclass(frozen=True, slots=True)
class AnswerScore(Pure):
    """Accepts an answer that a logistic regression holds for right: by figures of it (`figures`), and by its words.

    Length and punctuation told nothing of Mixtral's answers to grade-school maths (AUC .51), figures and words
    together something (.68, with boosted trees). Look at `learnt.auc` before you use one: at 0.5 it has learnt nothing.

    Scoring needs no library, fitting needs numpy and scipy.

    Args:
        threshold: The least probability that passes.
        learnt: What `fit` has learnt; without it nothing can be checked.

    Raises:
        RoutingError: If the threshold is not from 0 to 1; when checking, if nothing was learnt.

    Example:
        >>> cases = [(f"Are {n} and 1 more {n + 1}?", "yes indeed" if n % 2 else "well no", n % 2 == 1)
        ...          for n in range(60)]
        >>> scorer = AnswerScore().fit(cases)
        >>> scorer.score("Are 7 and 1 more 8?", "yes indeed") > 0.5 > scorer.score("Are 7 and 1 more 9?", "well no")
        True
    """  # fmt: skip

    threshold: float = 0.5
    learnt: Learnt | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise RoutingError(f"threshold is from 0 to 1, not {self.threshold!r}.")

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "answer score"

    @property
    def digest(self) -> str:
        """What was learnt, in 32 characters, for a calibration that relies on it."""
        return digest(as_json(self._as_dict())).hex()

    def fit(self, cases: Iterable[tuple[RouteRequest | str, Any, bool]]) -> Self:
        """Give the check with what answers teach; this one stays as it is.

        The strength of the penalty is chosen, and the AUC measured, on answers that were held back by prompt.

        Args:
            cases: What was asked, the answer, and whether it was right; some hundred, best of the cheap tier.

        Raises:
            RoutingError: If there are fewer than 20 right or 20 wrong ones.
            MissingExtra: If numpy or scipy is not installed.
        """
        rows = [(_asked(prompt), as_text(answer), bool(right)) for prompt, answer, right in cases]
        right = sum(label for *_, label in rows)
        if min(right, len(rows) - right) < _LEAST:
            given = f"{right} and {len(rows) - right}"
            raise RoutingError(f"Give at least {_LEAST} right and {_LEAST} wrong answers, not {given}.")
        return replace(self, learnt=_learnt(rows))

    def score(self, prompt: RouteRequest | str, answer: Any) -> float:
        """Give the probability that an answer is right.

        Args:
            prompt: What was asked.
            answer: The answer, as a message, what was parsed of one, or a text.

        Raises:
            RoutingError: If nothing was learnt.
        """
        learnt = self.learnt
        if learnt is None:
            raise RoutingError("An answer score has to learn first: fit it, or load one.")
        seen = _seen(figures(_asked(prompt), as_text(answer)), _asked(prompt), as_text(answer), learnt.cuts)
        odds = learnt.intercept + sum(learnt.weights.get(name, 0.0) * value for name, value in seen.items())
        return 1 / (1 + exp(-max(min(odds, 50.0), -50.0)))

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer."""
        score = self.score(request, answer)
        reason = f"right with probability {score:.2f}, at least {self.threshold:.2f} passes"
        return Verdict(score >= self.threshold, (reason,), score)

    def with_most_wrong(self, cases: Sequence[Labelled], *, share: float = 0.2, confidence: float = 0.95) -> Self:
        """Give the check with the lowest threshold at which it is proven to accept few wrong answers.

        Thresholds are tried from the strictest on, and the first that is not proven ends it, so that trying many costs
        no confidence (fixed-sequence testing).

        Args:
            cases: Answers that it was not fitted on.
            share: The most of the wrong ones that may be accepted.
            confidence: How sure one wants to be.

        Raises:
            RoutingError: If even the strictest is not proven.
        """
        floor = QualityFloor("wrong answers held back", min=1 - share, confidence=confidence)
        wrong = [self.score(case.request, case.answer) for case in cases if not case.right]
        proven: float | None = None
        for threshold in _STEPS:
            if not floor.proven(sum(score < threshold for score in wrong), len(wrong)):
                break
            proven = threshold
        if proven is None:
            raise RoutingError(
                f"{len(wrong)} wrong answers do not prove that at most {share:.0%} of them pass: it takes "
                f"{floor.needed()} or more."
            )
        return replace(self, threshold=proven)

    def save(self, path: str | Path) -> None:
        """Write it to a file, as JSON that a person can read.

        Args:
            path: Where to.
        """
        Path(path).write_text(json.dumps(self._as_dict(), indent=1, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Args:
            path: Where from.

        Raises:
            RoutingError: If it is no such file, or one of another version.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            if data["version"] != VERSION:
                raise RoutingError(f"{path} is of version {data['version']}, and {VERSION} is read: fit it anew.")
            return cls(data["threshold"], Learnt(**data["learnt"]))
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise RoutingError(f"{path} is no answer score: {type(error).__name__}.") from error

    def _as_dict(self) -> dict[str, Any]:
        if self.learnt is None:
            raise RoutingError("An answer score has to learn first: fit it, or load one.")
        return {"version": VERSION, "threshold": self.threshold, "learnt": asdict(self.learnt)}


_Row = tuple[str, str, bool]


def _asked(prompt: RouteRequest | str) -> str:
    return prompt if isinstance(prompt, str) else prompt.text


def _seen(
    measured: Mapping[str, float], prompt: str, answer: str, cuts: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """All that a regression sees of an answer."""
    above = {f"{name} > {cut}": 1.0 for name, value in measured.items() for cut in cuts.get(name, ()) if value > cut}
    return {**above, **grams(answer, of="answer"), **grams(prompt, of="prompt")}


def _learnt(rows: Sequence[_Row]) -> Learnt:
    measured = [figures(prompt, answer) for prompt, answer, _ in rows]
    cuts = {name: _quantiles([figure[name] for figure in measured]) for name in measured[0]}
    seen = [_seen(figure, *row[:2], cuts) for figure, row in zip(measured, rows, strict=True)]
    names, scale, x = _matrix(seen)
    labels = [label for *_, label in rows]
    folds = [digest(prompt)[0] % _FOLDS for prompt, *_ in rows]
    unseen = {penalty: _unseen(x, labels, folds, penalty) for penalty in _PENALTIES}
    penalty = min(_PENALTIES, key=lambda one: _log_loss(unseen[one], labels))
    found = _fitted(x, labels, penalty)
    weights = {name: round(float(weight), _DECIMALS) for name, weight in zip(names, found[:-1] * scale, strict=True)}
    return Learnt(
        intercept=round(float(found[-1]), _DECIMALS),
        weights={name: weight for name, weight in weights.items() if weight},
        cuts=cuts,
        cases=len(rows),
        right=sum(labels),
        auc=round(_auc(unseen[penalty], labels), 4),
    )


def _quantiles(values: Sequence[float]) -> tuple[float, ...]:
    ordered = sorted(values)
    return tuple(sorted({round(ordered[int(cut * (len(ordered) - 1))], _DECIMALS) for cut in _CUTS}))


def _matrix(seen: Sequence[Mapping[str, float]]) -> tuple[list[str], Any, Any]:
    """Write what is seen as a sparse matrix, a row an answer, and tell what each column is and by how much it counts.

    What only one answer has teaches nothing and is left out; rare words count more (TF-IDF).
    """
    numpy, sparse = _library("numpy"), _library("scipy.sparse")
    found = Counter(name for row in seen for name in row)
    names = sorted(name for name, count in found.items() if count > 1)
    columns = {name: place for place, name in enumerate(names)}
    cells = [(row, columns[n], value) for row, one in enumerate(seen) for n, value in one.items() if n in columns]
    at_row, at_column, values = zip(*cells, strict=True) if cells else ((), (), ())
    x = sparse.csr_matrix((values, (at_row, at_column)), shape=(len(seen), len(names)), dtype=float)
    scale = numpy.array([1.0 if " > " in name else 1 + log(len(seen) / found[name]) for name in names])
    return names, scale, x @ sparse.diags(scale)


def _unseen(x: Any, labels: Sequence[bool], folds: Sequence[int], penalty: float) -> list[float]:
    """Score each answer by a regression that has not seen its prompt."""
    numpy = _library("numpy")
    scores, of, sides = numpy.zeros(len(labels)), numpy.array(folds), numpy.array(labels)
    for fold in set(folds):
        found = _fitted(x[of != fold], sides[of != fold], penalty)
        scores[of == fold] = x[of == fold] @ found[:-1] + found[-1]
    return [float(score) for score in scores]


def _fitted(x: Any, labels: Any, penalty: float) -> Any:
    """Fit a logistic regression: a weight for each column, and last the intercept."""
    numpy, optimize = _library("numpy"), _library("scipy.optimize")
    sides = numpy.where(numpy.array(labels), 1.0, -1.0)

    def loss(at: Any) -> tuple[float, Any]:
        margins = numpy.clip(sides * (x @ at[:-1] + at[-1]), -50, 50)
        pull = -sides / (1 + numpy.exp(margins))
        slope = numpy.append(x.T @ pull + penalty * at[:-1], pull.sum())
        return float(numpy.logaddexp(0, -margins).sum() + penalty * (at[:-1] @ at[:-1]) / 2), slope

    def curve(at: Any, way: Any) -> Any:
        sure = 1 / (1 + numpy.exp(-numpy.clip(x @ at[:-1] + at[-1], -50, 50)))
        pull = sure * (1 - sure) * (x @ way[:-1] + way[-1])
        return numpy.append(x.T @ pull + penalty * way[:-1], pull.sum())

    # not L-BFGS-B: its threads wait for one another, 7 ms a step on busy cores
    start = numpy.zeros(x.shape[1] + 1)
    return optimize.minimize(loss, start, jac=True, hessp=curve, method="Newton-CG", options={"xtol": 1e-4}).x


def _log_loss(scores: Sequence[float], labels: Sequence[bool]) -> float:
    return sum(log(1 + exp(min(-score if label else score, 50.0))) for score, label in zip(scores, labels, strict=True))


def _auc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """How often a right one is above a wrong one, ties by half (Mann and Whitney)."""
    counts: dict[float, list[int]] = {}
    for score, label in zip(scores, labels, strict=True):
        counts.setdefault(score, [0, 0])[label] += 1
    below, above = 0, 0.0
    for score in sorted(counts):
        wrong, right = counts[score]
        above += right * (below + wrong / 2)
        below += wrong
    return above / (below * sum(labels))


def _library(name: str) -> Any:
    """Import a library of the extra; untyped, since scipy has no types."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtra(name.partition(".")[0], extra="semantic", what="Fitting an answer score") from error
