"""Streams of requests: what is inserted on a miss is looked up by what follows.

A hit is wrong where its entry is of another class. A request that is asked because of an audit or of shadow mode is a
call, not a hit. An entry that an audit finds wrong is dropped, and one that an audit finds right is not entered twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from per_entry_learner import EntryLearner
from semantic_data import Request, Vector, Vectors, shuffled
from semantic_pairs import lower95, passes, upper95

from langchain_agentcost.caching.error_budget import ErrorBudget, Evidence
from langchain_agentcost.caching.matching.verifier import Verifier
from langchain_agentcost.caching.store import Audit

BUDGETS = (0.01, 0.02, 0.05, 0.10)
STATIC = (0.8, 0.85, 0.9, 0.95)
WINDOWS = 4
SLIDING, STEP = 1000, 250
_NEIGHBOURS = 5
_LOOKED_AT = 64
"""So many earlier requests are kept as possible neighbours; of those that were entered, the nearest five count."""


class Found(NamedTuple):
    """An earlier request, by its number, and how near it is."""

    number: int
    similarity: float


class Outcome(NamedTuple):
    """What came of a request: the number of the entry that it was served with, and whether it is entered itself."""

    served: int | None
    entered: bool = True


class Cache(Protocol):
    """A cache under test."""

    def ask(self, request: Request, near: Sequence[Found]) -> Outcome:
        """Serve the request or have the model asked; `near` are the entries that are nearest, nearest first."""
        ...


@dataclass(slots=True)
class Ordered:
    """A stream in one order, with the earlier neighbours of each request."""

    requests: Sequence[Request]
    neighbours: Sequence[Sequence[Found]]


class StaticCache:
    """Serves the nearest entry from a cosine on, or the nearest that no rule forbids."""

    def __init__(self, order: Ordered, _: int, *, least: float, guarded: bool) -> None:
        self._requests, self._least, self._guarded = order.requests, least, guarded

    def ask(self, request: Request, near: Sequence[Found]) -> Outcome:
        """Serve what is near enough."""
        for found in near:
            if found.similarity >= self._least and not (self._guarded and _forbidden(self._requests, found, request)):
                return Outcome(found.number, entered=False)
        return Outcome(None)


class BudgetedCache:
    """Ours: guard and verifier give a score, and an `ErrorBudget` decides; or the cosine alone is the score."""

    def __init__(self, order: Ordered, seed: int, *, budget: ErrorBudget, verified: bool) -> None:
        self._requests = order.requests
        self._evidence = Evidence(budget)
        self._verified = verified
        self._dice = random.Random(seed)  # noqa: S311  # which hits are audited is no secret
        self._dropped: set[int] = set()

    def ask(self, request: Request, near: Sequence[Found]) -> Outcome:
        """Serve, audit or ask, as the budget says."""
        scored = [(self._score(found, request), found.number) for found in near if found.number not in self._dropped]
        score, best = max(scored, default=(-1.0, -1))
        decision = self._evidence.decide(score, self._dice.random())
        if decision == "serve":
            return Outcome(best, entered=False)
        if decision == "ask":
            return Outcome(None)
        right = self._requests[best].cls == request.cls
        self._evidence.record(Audit(score, right, 0.0))
        if not right:
            self._dropped.add(best)
        return Outcome(None, entered=not right)

    def _score(self, found: Found, request: Request) -> float:
        if not self._verified:
            return found.similarity
        if _forbidden(self._requests, found, request):
            return -1.0
        return _verified(self._requests[found.number].text, request.text, round(found.similarity, 6))


class PerEntryCache:
    """The peer: every entry learns for itself; the nearest one is asked."""

    def __init__(self, order: Ordered, seed: int, *, max_wrong: float) -> None:
        self._requests, self._max_wrong = order.requests, max_wrong
        self._learners: dict[int, EntryLearner] = {}
        self._dice = random.Random(seed)  # noqa: S311  # same

    def ask(self, request: Request, near: Sequence[Found]) -> Outcome:
        """Serve the nearest entry, or check it."""
        if not near:
            return Outcome(None)
        number, similarity = near[0]
        learner = self._learners.setdefault(number, EntryLearner(self._max_wrong))
        if self._dice.random() >= learner.explores(similarity):
            return Outcome(number, entered=False)
        right = self._requests[number].cls == request.cls
        learner.record(similarity, right=right)
        return Outcome(None, entered=not right)


Make = Callable[[Ordered, int], Cache]


def caches() -> Iterator[tuple[str, float | None, Make]]:
    """Name each cache, the bound that it is held to, and how it is made for an order and a seed."""
    for least in STATIC:
        yield f"cosine >= {least}", None, partial(StaticCache, least=least, guarded=False)
        yield f"cosine >= {least} + guard", None, partial(StaticCache, least=least, guarded=True)
    for most in BUDGETS:
        yield "full policy", most, partial(BudgetedCache, budget=ErrorBudget(most), verified=True)
        yield "cosine + error budget", most, partial(BudgetedCache, budget=ErrorBudget(most), verified=False)
        yield "per-entry learner", most, partial(PerEntryCache, max_wrong=most)


def rows(name: str, requests: Sequence[Request], vectors: Vectors, *, orders: int) -> Iterator[dict[str, Any]]:
    """Give the rows of a stream: over all of it, and by quarters; counts are summed over the orders."""
    cosines = _cosines(requests, vectors)
    several = [_ordered(requests, cosines, seed=seed) for seed in range(orders)]
    for system, most, make in caches():
        played = [_played(order, make(order, seed)) for seed, order in enumerate(several)]
        head = {"system": system if most is None else f"{system}, at most {most:.0%} wrong", "source": name}
        yield {**head, "split": "stream", **_row(played, most), **_windows(played, most)}
        size = -(-len(requests) // WINDOWS)
        for window in range(WINDOWS):
            parts = [one[window * size : (window + 1) * size] for one in played]
            yield {**head, "split": f"stream, window {window + 1} of {WINDOWS}", **_row(parts, most)}


class Played(NamedTuple):
    """What came of a request: a hit that was right or wrong, or None for a call; and whether a hit could be."""

    right: bool | None
    possible: bool


def _played(order: Ordered, cache: Cache) -> list[Played]:
    """Play a stream to a cache."""
    entered, seen = set[int](), set[str]()
    played = []
    for number, request in enumerate(order.requests):
        near = [found for found in order.neighbours[number] if found.number in entered][:_NEIGHBOURS]
        outcome = cache.ask(request, near)
        if outcome.entered:
            entered.add(number)
        right = None if outcome.served is None else order.requests[outcome.served].cls == request.cls
        played.append(Played(right, request.cls in seen))
        seen.add(request.cls)
    return played


def _cosines(requests: Sequence[Request], vectors: Vectors) -> Vector:
    """The cosine of each text with each other, a row for each."""
    whole = vectors.of([request.text for request in requests])
    return whole @ whole.T


def _ordered(requests: Sequence[Request], cosines: Vector, *, seed: int) -> Ordered:
    """Put a stream into an order, and find the earlier neighbours of each request."""
    order = np.array(shuffled(range(len(requests)), seed=seed))
    neighbours = list[list[Found]]()
    for number, request in enumerate(order):
        earlier = cosines[request, order[:number]]
        nearest = np.argpartition(-earlier, _LOOKED_AT)[:_LOOKED_AT] if number > _LOOKED_AT else np.arange(number)
        nearest = nearest[np.argsort(-earlier[nearest], kind="stable")]
        neighbours.append([Found(int(other), float(earlier[other])) for other in nearest])
    return Ordered([requests[request] for request in order], neighbours)


def _forbidden(requests: Sequence[Request], found: Found, request: Request) -> bool:
    return passes(requests[found.number].text, request.text) is not None


@cache
def _verified(a: str, b: str, similarity: float) -> float:
    return Verifier.load().score(a, b, similarity)


def _row(parts: Sequence[Sequence[Played]], most: float | None) -> dict[str, Any]:
    requests = sum(map(len, parts))
    hits = sum(one.right is not None for part in parts for one in part)
    wrong = sum(one.right is False for part in parts for one in part)
    possible = sum(one.possible for part in parts for one in part)
    shares = [100 * sum(one.right is not None for one in part) / max(1, len(part)) for part in parts]
    return {
        "recall_pct": 100 * (hits - wrong) / possible if possible else None,
        "traps_served_pct": 100 * wrong / max(1, requests),
        "wrong_of_hits_pct": 100 * wrong / hits if hits else None,
        "wrong_upper95_pct": 100 * upper95(wrong, hits) if hits else None,
        "n": requests,
        "hits_pct": 100 * hits / max(1, requests),
        "hits_low_pct": min(shares),
        "hits_high_pct": max(shares),
        "bound_pct": None if most is None else 100 * most,
        "violated": None if most is None else _violates(parts, most),
    }


def _violates(parts: Sequence[Sequence[Played]], most: float) -> int:
    """In how many orders the hits are wrong more often than the bound, with 95 % confidence."""
    return sum(_beyond(part, most) for part in parts)


def _beyond(part: Sequence[Played], most: float) -> bool:
    hits = [one.right for one in part if one.right is not None]
    return bool(hits) and lower95(hits.count(False), len(hits)) > most


def _windows(played: Sequence[Sequence[Played]], most: float | None) -> dict[str, Any]:
    """How many windows of 1,000 requests there are in all orders, and how many violate the bound."""
    if most is None:
        return {}
    starts = range(0, max(1, len(played[0]) - SLIDING + 1), STEP)
    parts = [order[start : start + SLIDING] for order in played for start in starts]
    return {"sliding": len(parts), "sliding_violated": _violates(parts, most)}
