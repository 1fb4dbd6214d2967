"""How good a check is: what it accepts of right answers, and what of wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.routed import EVALUATION_PURPOSE
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verifier

_CONFIG: RunnableConfig = {"metadata": {"agentcost_purpose": EVALUATION_PURPOSE}}


@dataclass(frozen=True, slots=True)
class Labelled:
    """An answer of which one knows whether it is right.

    Args:
        request: What was asked.
        answer: The answer.
        right: Whether it is.
    """

    request: RouteRequest
    answer: Any
    right: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """How many of some answers were accepted.

    Args:
        count: How many.
        tried: Of how many.
        confidence: How sure one is of the interval.

    Example:
        >>> accepted = Accepted(18, 20)
        >>> accepted.share, [round(bound, 2) for bound in accepted.interval]
        (0.9, [0.68, 0.99])
    """

    count: int
    tried: int
    confidence: float = 0.95

    @property
    def share(self) -> float | None:
        """The share that was accepted; None where nothing was tried."""
        return self.count / self.tried if self.tried else None

    @property
    def interval(self) -> tuple[float, float]:
        """The two-sided interval of Clopper and Pearson (Biometrika 26, 1934)."""
        bound = QualityFloor("accepted", min=0.5, confidence=(1 + self.confidence) / 2).lower_bound
        return bound(self.count, self.tried), 1 - bound(self.tried - self.count, self.tried)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a check accepts, for `Cascade`.

    Args:
        right: Of right answers.
        wrong: Of wrong ones: what a cascade loses in quality.

    Example:
        >>> found = Acceptance(right=Accepted(90, 100), wrong=Accepted(20, 100))
        >>> found.accepts_right, found.accepts_wrong, round(found.worst_wrong, 2)
        (0.9, 0.2, 0.29)
    """

    right: Accepted
    wrong: Accepted

    @property
    def accepts_right(self) -> float:
        """The share of right answers that pass; 0 where none was tried."""
        return self.right.share or 0.0

    @property
    def accepts_wrong(self) -> float:
        """The share of wrong answers that pass; 1 where none was tried, the worst that can be."""
        return 1.0 if self.wrong.share is None else self.wrong.share

    @property
    def worst_right(self) -> float:
        """The least share of right answers that may be expected to pass."""
        return self.right.interval[0]

    @property
    def worst_wrong(self) -> float:
        """The largest share of wrong answers that may be expected to pass."""
        return self.wrong.interval[1]

    def __str__(self) -> str:
        """Tell it in a line."""
        return f"accepts {_told(self.right)} right and {_told(self.wrong)} wrong answers"


def acceptance(verifier: Verifier, cases: Sequence[Labelled], *, confidence: float = 0.95) -> Acceptance:
    """Measure a check on answers of which one knows whether they are right.

    Args:
        verifier: The check. What models it asks is booked as evaluation.
        cases: The answers, best those of the cheap tier, and none that the check was trained or tuned on.
        confidence: How sure one wants to be of each interval.

    Raises:
        RoutingError: If there are no cases, or the confidence is not above 0 and below 1.

    Example:
        >>> from langchain_agentcost.routing.verifiers.user_test import UserTest
        >>> cases = [Labelled(RouteRequest.of("?"), text, text == "yes") for text in ("yes", "no", "no")]
        >>> str(acceptance(UserTest(lambda request, answer: answer == "yes"), cases))
        'accepts 1 of 1 (2.5-100 %) right and 0 of 2 (0-84.2 %) wrong answers'
    """
    _check(cases, confidence)
    return _counted(cases, [verifier.check(case.request, case.answer, _CONFIG).accepted for case in cases], confidence)


async def aacceptance(verifier: Verifier, cases: Sequence[Labelled], *, confidence: float = 0.95) -> Acceptance:
    """Measure a check in async code, one case after the other; see `acceptance`."""
    _check(cases, confidence)
    passed = [(await verifier.acheck(case.request, case.answer, _CONFIG)).accepted for case in cases]
    return _counted(cases, passed, confidence)


def _check(cases: Sequence[Labelled], confidence: float) -> None:
    if not cases or not 0 < confidence < 1:
        raise RoutingError(f"Give a case or more, and a confidence between 0 and 1, not {confidence!r}.")


def _counted(cases: Sequence[Labelled], passed: Sequence[bool], confidence: float) -> Acceptance:
    right = [accepted for case, accepted in zip(cases, passed, strict=True) if case.right]
    wrong = [accepted for case, accepted in zip(cases, passed, strict=True) if not case.right]
    return Acceptance(*(Accepted(sum(part), len(part), confidence) for part in (right, wrong)))


def _told(part: Accepted) -> str:
    if not part.tried:
        return "none tried of"
    low, high = (f"{100 * bound:.3g}" for bound in part.interval)
    return f"{part.count} of {part.tried} ({low}-{high} %)"
