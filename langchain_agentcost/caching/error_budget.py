"""How many wrong hits a semantic cache may serve, and from which score on that is proven."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from itertools import accumulate
from math import exp, inf, log, log1p
from threading import Lock
from typing import Literal, NamedTuple, Self

from langchain_agentcost.caching.store import Audit
from langchain_agentcost.errors import CacheError

Decision = Literal["serve", "audit", "ask"]
"""Answer from the cache; ask the model and compare the answers; ask the model."""

GRID = tuple(1 / (1 + exp(0.35 * step - 4.6)) for step in range(17))
"""The scores that can be thresholds, strictest first: 0.99 to 0.27, evenly spaced in their log-odds.

They stand before any label is seen, and are few, because they share the chance of being wrong.
"""

_BETS = ((0.0, 0.4), (0.1, 0.2), (0.25, 0.2), (0.5, 0.2))
"""Which wrong rates are bet on, as shares of the budget, and with what share of the stake each."""

_LOGARITHMS = tuple((share, log(stake), log(share) if share else -inf) for share, stake in _BETS)

_ODDS = (2, 4)
"""How many times the odds of the budget the alarm bets on."""

_NONE = (False,) * len(GRID)

_STEPS = 40
"""Bisections of the unit interval."""


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """What share of a semantic cache's hits may be wrong, and how sure one must be of it.

    Args:
        max_wrong_per_hit: The largest share of hits that may be wrong, above 0 and at most 0.5.
        confidence: How sure one must be before anything is served, above 0.5 and below 1.
        audit_rate: The share of would-be hits that are checked while the cache serves, above 0 and at most 1.
        window: How many audits count, newest first: older ones say nothing of today.

    Raises:
        CacheError: If a number is out of its bounds, or if so few audits cannot prove so small a share.

    Example:
        >>> Evidence(ErrorBudget()).needed(), Evidence(ErrorBudget(0.05)).needed()
        (639, 126)
    """

    max_wrong_per_hit: float = 0.01
    _: KW_ONLY
    confidence: float = 0.95
    audit_rate: float = 0.05
    window: int = 4000

    def __post_init__(self) -> None:
        if not 0 < self.max_wrong_per_hit <= 0.5:
            raise CacheError(f"max_wrong_per_hit is above 0 and at most 0.5, not {self.max_wrong_per_hit!r}.")
        if not 0.5 < self.confidence < 1:
            raise CacheError(f"confidence is above 0.5 and below 1, not {self.confidence!r}.")
        if not 0 < self.audit_rate <= 1:
            raise CacheError(f"audit_rate is above 0 and at most 1, not {self.audit_rate!r}.")
        if self.window < (least := _clean(self.max_wrong_per_hit, self.share)):
            raise CacheError(
                f"A budget of {self.max_wrong_per_hit:.2%} wrong hits takes {least} right audits to prove; a window of "
                f"{self.window!r} never holds them."
            )

    @property
    def share(self) -> float:
        """The chance of being wrong that each score of the grid has for itself."""
        return (1 - self.confidence) / len(GRID)


class Outlook(NamedTuple):
    """What the audits say of a threshold.

    Args:
        threshold: The score.
        audits: How many audits had at least that score.
        wrong: How many of them were wrong.
        wrong_upper: The share of wrong hits that the truth is at most, at the budget's confidence.
        proven: Whether that is within the budget.
    """

    threshold: float
    audits: int
    wrong: int
    wrong_upper: float
    proven: bool


class Evidence:
    """What one series of audits proves, and what a cache may do by it. May be used from any thread.

    A series belongs to one cache with one embedder and one verifier. It begins in shadow mode: every would-be hit is
    audited and none is served. A threshold is used once the wrong rate of the hits at or above it is proven to be
    within the budget. Then a random `audit_rate` of all would-be hits is audited, also below the threshold, so that no
    score is seen more often than it comes. Record these and no others: what is chosen otherwise proves nothing.

    For each score of `GRID` an e-process bets that fewer hits are wrong than the budget allows (likelihood ratios
    against the largest rate allowed, mixed over four rates below it; Waudby-Smith and Ramdas, JRSS B 86, 2024). Where
    the wrong rate is beyond the budget, the chance that the bets ever win 1 / a is at most a, however often one looks
    (Ville's inequality). The scores share 1 - confidence; what is proven hands its share on to the next score below
    (the fallback procedure, Wiens 2003). So the chance of ever serving at a threshold that is beyond the budget is at
    most 1 - confidence within a window of audits. What is proven stays so until more speaks against it than for it.

    Rates change. Two things make the threshold stricter again or end serving: older audits leave the window, and a
    CUSUM over the audits at or above the threshold raises an alarm, at most once in window / (1 - confidence) audits
    where the budget holds. What was seen before the change began is then forgotten.

    Args:
        budget: What may be wrong.
        audits: What is known already, oldest first: `CacheStore.audits(series, newest=budget.window)`.

    Example:
        >>> evidence = Evidence(ErrorBudget(0.05, window=500))
        >>> for at in range(evidence.needed()):
        ...     evidence.record(Audit(0.999, right=True, at_s=float(at)))
        >>> evidence.decide(0.999, draw=0.5), evidence.decide(0.3, draw=0.5), evidence.decide(0.999, draw=0.01)
        ('serve', 'ask', 'audit')
    """

    def __init__(self, budget: ErrorBudget, audits: Iterable[Audit] = ()) -> None:
        self.budget = budget
        self._lock = Lock()
        self._recent: deque[_Seen] = deque()
        self._counts = _Counts()
        self._alarm = _Alarm(budget)
        self._proven = _NONE
        self._place: int | None = None
        for audit in audits:
            self.record(audit)

    @classmethod
    def restored(cls, budget: ErrorBudget, audits: Iterable[Audit]) -> Self:
        """Rebuild what a store remembers; the audits oldest first."""
        return cls(budget, audits)

    @property
    def threshold(self) -> float | None:
        """The score from which on hits are served; None in shadow mode, where nothing is."""
        place = self._place
        return None if place is None else GRID[place]

    @property
    def wrong_upper(self) -> float | None:
        """The share of wrong hits at the threshold that the truth is at most; None in shadow mode."""
        place = self._place
        return None if place is None else self.outlook()[place].wrong_upper

    def decide(self, score: float, draw: float) -> Decision:
        """Say what to do with a candidate.

        Args:
            score: How sure the cache is that the stored answer serves, 0 to 1.
            draw: A random number from 0 up to 1, drawn for this candidate.

        Returns:
            "serve": answer from the cache. "audit": ask the model, compare the answers and `record`. "ask": ask the
            model, without a record.
        """
        place = self._place
        if not score >= GRID[-1]:  # so that NaN is asked
            return "ask"
        if place is None or draw < self.budget.audit_rate:
            return "audit"
        return "serve" if score >= GRID[place] else "ask"

    def record(self, audit: Audit) -> None:
        """Take in an audit."""
        seen = _Seen(_cell(audit.score), audit.right)
        if seen.cell == len(GRID):
            return
        with self._lock:
            self._recent.append(seen)
            self._counts.add(seen)
            if len(self._recent) > self.budget.window:
                self._counts.add(self._recent.popleft(), times=-1)
            place = self._place
            if place is not None and seen.cell <= place and self._alarm.rung(right=seen.right):
                self._forget(self._alarm.since, place)
            self._proven = tuple(self._prove())
            self._place = self._lowest()
            if self._place != place:
                self._alarm.reset()

    def needed(self) -> int:
        """Give how many more audits, all of them right and of the highest score, it takes to serve; 0 where it does."""
        with self._lock:
            if self._place is not None:
                return 0
            return min(
                _clean(self.budget.max_wrong_per_hit, self.budget.share, audits=audits, wrong=wrong) - audits
                for audits, wrong in self._counts.down()
            )

    def outlook(self) -> tuple[Outlook, ...]:
        """Say for each score of the grid what the audits say of it, strictest first: what serving there would do."""
        with self._lock:
            rows = zip(GRID, self._counts.down(), self._levels(), self._proven, strict=True)
            return tuple(
                Outlook(score, audits, wrong, self._upper(audits, wrong, level, proven=proven), proven)
                for score, (audits, wrong), level, proven in rows
            )

    def _prove(self) -> Iterator[bool]:
        """Tell for each score whether it is proven: once it is, until more speaks against it than for it."""
        level = 0.0
        for (audits, wrong), was in zip(self._counts.down(), self._proven, strict=True):
            level += self.budget.share
            proven = _evidence(audits, wrong, self.budget.max_wrong_per_hit) >= (0.0 if was else -log(level))
            yield proven
            if not proven:
                level = 0.0

    def _lowest(self) -> int | None:
        """Where the threshold is: the lowest score that is proven, but not below what was audited."""
        counts = list(self._counts.down())
        places = [at for at, proven in enumerate(self._proven) if proven and (not at or counts[at] != counts[at - 1])]
        return max(places, default=None)

    def _levels(self) -> Iterator[float]:
        """The chance of being wrong that each score of the grid has: its own, and what those above it hand on."""
        level = 0.0
        for proven in self._proven:
            level += self.budget.share
            yield level
            if not proven:
                level = 0.0

    def _upper(self, audits: int, wrong: int, level: float, *, proven: bool) -> float:
        """The bound that the audits give; what was proven stays so, by the same inequality."""
        upper = _not_ruled_out(audits, wrong, level)
        return min(upper, self.budget.max_wrong_per_hit) if proven else upper

    def _forget(self, since: int, place: int) -> None:
        """Forget the audits before the newest `since` of those at or above a place of the grid."""
        kept = deque[_Seen]()
        while since:
            seen = self._recent.pop()
            kept.appendleft(seen)
            since -= seen.cell <= place
        self._recent = kept
        self._counts = _Counts()
        self._proven = _NONE
        for seen in kept:
            self._counts.add(seen)


class _Seen(NamedTuple):
    """An audit, and the strictest place of the grid that its score reaches; the grid's length for none."""

    cell: int
    right: bool


class _Counts:
    """How many audits there are in each cell of the grid, and how many were wrong."""

    def __init__(self) -> None:
        self._audits = [0] * len(GRID)
        self._wrong = [0] * len(GRID)

    def add(self, seen: _Seen, times: int = 1) -> None:
        self._audits[seen.cell] += times
        self._wrong[seen.cell] += times * (not seen.right)

    def down(self) -> Iterator[tuple[int, int]]:
        """Audits and wrong ones at or above each score of the grid, strictest first."""
        return zip(accumulate(self._audits), accumulate(self._wrong), strict=True)


class _Alarm:
    """Rings when hits are wrong more often than the budget allows: Page's CUSUM (Biometrika 41, 1954).

    It bets on twice and on four times the odds of the budget, each from the best moment to have begun. Where the budget
    holds, the expected run until a false alarm is at least what has to be won, shared among the bets.

    Attributes:
        since: How many audits ago the change began that it rings for.
    """

    def __init__(self, budget: ErrorBudget) -> None:
        most = budget.max_wrong_per_hit
        worse = [times * most / (1 + (times - 1) * most) for times in _ODDS]
        self._bets = [(log(rate / most), log((1 - rate) / (1 - most))) for rate in worse]
        self._limit = log(len(_ODDS) * budget.window / (1 - budget.confidence))
        self.reset()

    def reset(self) -> None:
        self._sums = [0.0] * len(_ODDS)
        self._runs = [0] * len(_ODDS)
        self.since = 0

    def rung(self, *, right: bool) -> bool:
        for bet, (lost, won) in enumerate(self._bets):
            goes_on = self._sums[bet] > 0
            self._sums[bet] = max(0.0, self._sums[bet]) + (won if right else lost)
            self._runs[bet] = self._runs[bet] + 1 if goes_on else 1
        best = max(range(len(_ODDS)), key=self._sums.__getitem__)
        self.since = self._runs[best]
        return self._sums[best] >= self._limit


def _cell(score: float) -> int:
    return next((place for place, least in enumerate(GRID) if score >= least), len(GRID))


def _evidence(audits: int, wrong: int, most: float) -> float:
    """The logarithm of what was won by betting that fewer than `most` are wrong."""
    right = audits - wrong
    won = [
        stake + (wrong * lost if wrong else 0.0) + right * log1p((1 - share) * most / (1 - most))
        for share, stake, lost in _LOGARITHMS
    ]
    best = max(won)
    return best + log(sum(exp(one - best) for one in won))


def _not_ruled_out(audits: int, wrong: int, level: float) -> float:
    """The largest wrong rate that the evidence does not rule out at a level."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _evidence(audits, wrong, middle) >= -log(level):
            high = middle
        else:
            low = middle
    return high


def _clean(most: float, level: float, *, audits: int = 0, wrong: int = 0) -> int:
    """How many audits it takes to prove a budget, if all that follow are right."""
    high = audits + 1
    while _evidence(high, wrong, most) < -log(level):
        high *= 2
    low = audits
    while high - low > 1:
        middle = (low + high) // 2
        if _evidence(middle, wrong, most) >= -log(level):
            high = middle
        else:
            low = middle
    return high
