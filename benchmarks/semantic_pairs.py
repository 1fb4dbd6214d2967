"""Pairs of texts: which a system would serve, at a threshold or at the one that lets 2 % of the traps through."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import mean
from typing import Any

from semantic_data import Pair

from langchain_agentcost.caching.matching.fitting import LabelledPair, fit_verifier
from langchain_agentcost.caching.matching.guard import guard
from langchain_agentcost.caching.matching.verifier import Verifier
from langchain_agentcost.quality import QualityFloor

LICENSED = frozenset(("fow", "gen", "checklist"))
"""The sources that a verifier may be trained on."""

STATIC = (0.8, 0.9, 0.95)
TRAPS_SERVED = 0.02
NEVER = -1.0
"""The score of a pair that a rule forbids."""

Score = Callable[[Pair], float]
passes = lru_cache(maxsize=None)(guard)


@dataclass(frozen=True, slots=True)
class System:
    """Something that scores pairs, and from which score on it serves.

    Args:
        name: What it is called.
        training: What its verifier was trained on with respect to the pair's source; empty without a verifier.
        score: How sure it is of a pair.
        threshold: The least score that it serves, for a pair, as it may depend on the source left out.
    """

    name: str
    training: str
    score: Score
    threshold: Callable[[Pair], float]

    def serves(self, pair: Pair) -> bool:
        """Tell whether it would serve b with the answer to a."""
        return self.score(pair) >= self.threshold(pair)


def rows(development: Sequence[Pair], test: Sequence[Pair], *, split: str) -> Iterator[dict[str, Any]]:
    """Give the rows of all systems: by source, their mean, and by category of the traps."""
    for system in systems(development):
        served = [(pair, system.serves(pair)) for pair in test]
        named = f"{split}, {system.training}" if system.training else split
        head = {"system": system.name, "split": named}
        thresholds = {system.threshold(pair) for pair in test}
        tail = {"threshold": round(thresholds.pop(), 4) if len(thresholds) == 1 else None}
        by_source = _grouped(served, lambda pair: pair.source)
        each = {source: _counted(cases) for source, cases in sorted(by_source.items())}
        for source, counted in each.items():
            yield {**head, "source": source, **counted, **tail}
        yield {**head, "source": "macro", **_counted(served), **_means(each.values()), **tail}
        traps = [(pair, was) for pair, was in served if pair.source != "qqp"]
        for category, cases in sorted(_grouped(traps, lambda pair: pair.category).items()):
            yield {**head, "source": f"category:{category}", **_counted(cases), **tail}


def systems(development: Sequence[Pair]) -> Iterator[System]:
    """Make the systems; whatever is set or trained, is so on the development pairs."""
    for least in STATIC:
        yield System(f"cosine >= {least}", "", _cosine, _always(least))
    yield _at_two_percent("cosine", "", _cosine, development)
    yield _at_two_percent("cosine + guard", "", guarded(_cosine), development)
    for training, verifier_of in _trainings(development):
        score = _scores(verifier_of)
        yield _at_two_percent("verifier", training, score, development)
        yield _at_two_percent("guard + verifier", training, guarded(score), development)
        yield System("guard + verifier, own threshold", training, guarded(score), _own_threshold(verifier_of))
    shipped = Verifier.load()
    score = guarded(_scores(lambda _: shipped))
    yield System("guard + verifier as shipped", "in-distribution", score, _always(shipped.threshold))


def _cosine(pair: Pair) -> float:
    return pair.similarity


def _always(least: float) -> Callable[[Pair], float]:
    return lambda _: least


def _own_threshold(verifier_of: Callable[[Pair], Verifier]) -> Callable[[Pair], float]:
    return lambda pair: verifier_of(pair).threshold


def _trainings(development: Sequence[Pair]) -> Iterator[tuple[str, Callable[[Pair], Verifier]]]:
    """The verifier for a pair: one that has not seen the pair's source, and one that has, where that is allowed."""
    without = {source: _fitted(development, source) for source in LICENSED}
    whole = _fitted(development)
    yield "leave-one-source-out", lambda pair: without.get(pair.source, whole)
    yield "in-distribution", lambda _: whole


def _fitted(development: Sequence[Pair], left_out: str | None = None) -> Verifier:
    return fit_verifier(
        [
            LabelledPair(pair.a, pair.b, pair.same, similarity=pair.similarity, source=pair.source)
            for pair in development
            if pair.source in LICENSED and pair.source != left_out
        ],
        traps_served=TRAPS_SERVED,
    )


def _scores(verifier_of: Callable[[Pair], Verifier]) -> Score:
    return lru_cache(maxsize=None)(lambda pair: verifier_of(pair).score(pair.a, pair.b, pair.similarity))


def guarded(score: Score) -> Score:
    """A score that no pair has which a rule forbids."""
    return lambda pair: score(pair) if passes(pair.a, pair.b) is None else NEVER


def _at_two_percent(name: str, training: str, score: Score, development: Sequence[Pair]) -> System:
    """A system at the lowest threshold that serves 2 % of the development traps, by the mean over the sources."""
    traps = defaultdict(list)
    for pair in development:
        if not pair.same:
            traps[pair.source].append(score(pair))
    candidates = sorted({one for scores in traps.values() for one in scores if one != NEVER})
    least = next(
        (least for least in candidates if mean(_share(scores, least) for scores in traps.values()) <= TRAPS_SERVED),
        max(candidates, default=1.0) + 1e-9,
    )
    return System(f"{name}, {TRAPS_SERVED:.0%} of traps", training, score, _always(least))


def _share(scores: Sequence[float], least: float) -> float:
    return sum(score >= least for score in scores) / len(scores)


def upper95(wrong: int, of: int) -> float:
    """The share that the truth is at most, with 95 % confidence (Clopper and Pearson)."""
    return 1 - QualityFloor("hits right", min=0.5).lower_bound(of - wrong, of)


def lower95(wrong: int, of: int) -> float:
    """The share that the truth is at least, likewise."""
    return QualityFloor("hits wrong", min=0.5).lower_bound(wrong, of)


def _grouped(served: Iterable[tuple[Pair, bool]], key: Callable[[Pair], str]) -> dict[str, list[tuple[Pair, bool]]]:
    groups = defaultdict(list)
    for pair, was in served:
        groups[key(pair)].append((pair, was))
    return groups


def _counted(cases: Sequence[tuple[Pair, bool]]) -> dict[str, Any]:
    right = [was for pair, was in cases if pair.same]
    wrong = [was for pair, was in cases if not pair.same]
    hits = sum(right) + sum(wrong)
    return {
        "recall_pct": _percent(sum(right), len(right)),
        "traps_served_pct": _percent(sum(wrong), len(wrong)),
        "wrong_of_hits_pct": _percent(sum(wrong), hits),
        "wrong_upper95_pct": 100 * upper95(sum(wrong), hits) if hits else None,
        "n": len(cases),
    }


def _percent(count: int, of: int) -> float | None:
    return 100 * count / of if of else None


def _means(each: Iterable[dict[str, Any]]) -> dict[str, float | None]:
    """Recall and traps served as the mean over the sources; hits are counted over all pairs."""
    columns = {
        name: [row[name] for row in each if row[name] is not None] for name in ("recall_pct", "traps_served_pct")
    }
    return {name: mean(values) if values else None for name, values in columns.items()}
