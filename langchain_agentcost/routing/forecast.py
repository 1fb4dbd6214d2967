"""How long answers will be, by step and tier: models differ, and reasoning is billed as output."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import NamedTuple

from langchain_agentcost.recent import Recent
from langchain_agentcost.routing.signature import Signature

UNKNOWN_OUTPUT_TOKENS = 300
"""What an answer is taken to be while nothing is known: on SWE-bench Pro agents' answers were 116 to 230 tokens in the
mean (GPT-5 and Claude Sonnet 4.5; nilenso, 2025), and there is to be room for reasoning."""

SHRINKAGE = 5.0
"""So many answers of the coarser kind count beside a signature's own."""

_SIGNATURES_KEPT = 4_000


class _Seen(NamedTuple):
    answers: float
    tokens: float


class OutputForecast:
    """The mean length of answers, learnt from those that came.

    A signature's own mean is shrunk towards that of its coarser kinds, of the tier, and at last towards
    `UNKNOWN_OUTPUT_TOKENS`: (n m + k p) / (n + k), the posterior mean of a normal prior that weighs k observations.
    Safe to use from many threads.

    Example:
        >>> forecast, step = OutputForecast(), Signature("extract", "user", "", None, "<1k")
        >>> for _ in range(95):
        ...     forecast.learn(step, "small", 20)
        >>> forecast.tokens(step, "small") < 40 < forecast.tokens(step, "frontier")
        True
    """

    def __init__(self) -> None:
        self._seen: Recent[tuple[str, str], _Seen] = Recent(_SIGNATURES_KEPT)
        self._lock = Lock()

    def learn(self, signature: Signature, tier: str, output_tokens: int) -> None:
        """Take in an answer's length, reasoning included."""
        with self._lock:
            for key in _keys(signature):
                answers, tokens = self._seen.get((key, tier)) or (0.0, 0.0)
                self._seen.put((key, tier), _Seen(answers + 1, tokens + output_tokens))

    def tokens(self, signature: Signature, tier: str, *, at_most: int | None = None) -> int:
        """Give how long an answer is expected to be.

        Args:
            signature: The step.
            tier: Who answers.
            at_most: What caps it.
        """
        expected = float(UNKNOWN_OUTPUT_TOKENS)
        for key in reversed(list(_keys(signature))):
            seen = self._seen.get((key, tier))
            if seen is not None:
                expected = (seen.tokens + SHRINKAGE * expected) / (seen.answers + SHRINKAGE)
        return round(min(expected, at_most) if at_most is not None else expected)


def _keys(signature: Signature) -> Iterable[str]:
    """The finest first; the empty one is of all calls."""
    return dict.fromkeys((*signature.coarser(), ""))
