"""How long answers will be, by step and tier: models differ, and reasoning is billed as output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import exp, log
from threading import Lock
from typing import NamedTuple

from langchain_agentcost.recent import Recent
from langchain_agentcost.routing.signature import Signature

UNKNOWN_OUTPUT_TOKENS = 300
"""What an answer is taken to be while nothing is known: on SWE-bench Pro agents' answers were 116 to 230 tokens in the
mean (GPT-5 and Claude Sonnet 4.5; nilenso, 2025), and there is to be room for reasoning."""

SHRINKAGE = 5.0
"""So many answers of the coarser kind, or of other tiers, count beside a signature's own; and so many of equal length
beside what was seen of how tiers differ."""

MOST_APART = 20.0
"""An answer counts as at most this many times as long as another tier's, so that one freak does not bend a ratio."""

_SIGNATURES_KEPT = 4_000


class _Seen(NamedTuple):
    answers: float = 0.0
    tokens: float = 0.0


class OutputForecast:
    """The mean length of answers, learnt from those that came.

    From the coarsest kind of step to the finest, a tier's mean is shrunk towards what is expected so far: (n m + k p) /
    (n + k), the posterior mean of a normal prior that weighs k observations; it begins at `UNKNOWN_OUTPUT_TOKENS`. What
    other tiers answered to a kind counts first, times how much longer this tier's answers are than theirs; then its own
    answers. So a tier that was never asked is taken to answer as the others do, and not as it does elsewhere.

    How much longer is learnt where both answered steps of one signature: the mean of the one's lengths over the other's
    mean, on a log scale and shrunk to equal. A router that gives a tier the harder steps of a signature makes it look
    wordier than it is; shadow answers do not. Safe to use from many threads.

    Example:
        >>> forecast, step = OutputForecast(), Signature("extract", "user", "", None, "<1k")
        >>> for _ in range(95):
        ...     forecast.learn(step, "small", 20)
        >>> forecast.tokens(step, "small"), forecast.tokens(step, "frontier")
        (20, 20)
        >>> forecast.tokens(Signature("plan", "user", "", None, "<1k"), "frontier")
        34
    """

    def __init__(self) -> None:
        self._seen: Recent[str, Mapping[str, _Seen]] = Recent(_SIGNATURES_KEPT)
        self._longer: dict[tuple[str, str], _Seen] = {}
        self._lock = Lock()

    def learn(self, signature: Signature, tier: str, output_tokens: int) -> None:
        """Take in an answer's length, reasoning included."""
        with self._lock:
            for other, seen in (self._seen.get(str(signature)) or {}).items():
                if other != tier:
                    self._compare(tier, other, max(output_tokens, 1) / max(seen.tokens / seen.answers, 1.0))
            for key in _keys(signature):
                by_tier = self._seen.get(key) or {}
                answers, tokens = by_tier.get(tier) or _Seen()
                self._seen.put(key, {**by_tier, tier: _Seen(answers + 1, tokens + output_tokens)})

    def tokens(self, signature: Signature, tier: str, *, at_most: int | None = None) -> int:
        """Give how long an answer is expected to be.

        Args:
            signature: The step.
            tier: Who answers.
            at_most: What caps it.
        """
        expected = float(UNKNOWN_OUTPUT_TOKENS)
        for key in reversed(list(_keys(signature))):
            by_tier = self._seen.get(key) or {}
            others = [
                seen._replace(tokens=seen.tokens * self.ratio(tier, other))
                for other, seen in by_tier.items()
                if other != tier
            ]
            expected = _shrunk(others, expected)
            expected = _shrunk([by_tier.get(tier) or _Seen()], expected)
        return round(min(expected, at_most) if at_most is not None else expected)

    def ratio(self, tier: str, other: str) -> float:
        """Give how many times as long a tier's answers are as another one's, on steps of the same signature."""
        there, back = (self._longer.get(pair) or _Seen() for pair in ((tier, other), (other, tier)))
        logs = _log_sum(there) - _log_sum(back)
        return exp(logs / (there.answers + back.answers + SHRINKAGE))

    def _compare(self, tier: str, other: str, times: float) -> None:
        answers, whole = self._longer.get((tier, other)) or _Seen()
        whole += min(max(times, 1 / MOST_APART), MOST_APART)
        self._longer[tier, other] = _Seen(answers + 1, whole)


def _log_sum(seen: _Seen) -> float:
    return seen.answers * log(seen.tokens / seen.answers) if seen.answers else 0.0


def _shrunk(seen: Iterable[_Seen], expected: float) -> float:
    answers, tokens = 0.0, SHRINKAGE * expected
    for one in seen:
        answers, tokens = answers + one.answers, tokens + one.tokens
    return tokens / (answers + SHRINKAGE)


def _keys(signature: Signature) -> Iterable[str]:
    """The finest first; the empty one is of all calls."""
    return dict.fromkeys((*signature.coarser(), ""))
