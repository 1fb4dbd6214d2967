"""Several checks, all of which an answer has to pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict, Verifier


class AllOf:
    """Accepts what all of its checks accept. The first that does not ends it, and the cheapest come first.

    Args:
        *verifiers: The checks. Those that ask a model come after those that do not; else their order is kept. How many
            models a check of your own asks it says in an attribute `calls`; without one it counts as asking none.

    Raises:
        RoutingError: If there is none.

    Example:
        >>> from langchain_agentcost.routing.verifiers.user_test import UserTest
        >>> both = AllOf(UserTest(lambda request, answer: "a" in answer), UserTest(lambda request, answer: False))
        >>> both.check(RouteRequest.of("?"), "b", {}).reasons
        ('user test: not passed',)
    """

    def __init__(self, *verifiers: Verifier) -> None:
        if not verifiers:
            raise RoutingError("AllOf needs a verifier or more.")
        self.verifiers: tuple[Verifier, ...] = tuple(sorted(verifiers, key=_calls))

    @property
    def name(self) -> str:
        """The names of the checks, in the order in which they are made."""
        return " + ".join(verifier.name for verifier in self.verifiers)

    @property
    def calls(self) -> int:
        """How many models it asks at most."""
        return sum(map(_calls, self.verifiers))

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer; of several scores the lowest counts."""
        passed: list[Verdict] = []
        for verifier in self.verifiers:
            verdict = verifier.check(request, answer, config)
            if not verdict.accepted:
                return _named(verifier, verdict)
            passed.append(verdict)
        return _together(passed)

    async def acheck(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer in async code; see `check`."""
        passed: list[Verdict] = []
        for verifier in self.verifiers:
            verdict = await verifier.acheck(request, answer, config)
            if not verdict.accepted:
                return _named(verifier, verdict)
            passed.append(verdict)
        return _together(passed)


def _calls(verifier: Verifier) -> int:
    return int(getattr(verifier, "calls", 0))


def _named(verifier: Verifier, verdict: Verdict) -> Verdict:
    if isinstance(verifier, AllOf):
        return verdict
    said = verdict.reasons or ("not passed",)
    return replace(verdict, accepted=False, reasons=tuple(f"{verifier.name}: {why}" for why in said))


def _together(passed: Sequence[Verdict]) -> Verdict:
    scores = [verdict.score for verdict in passed if verdict.score is not None]
    reasons = tuple(why for verdict in passed for why in verdict.reasons)
    return Verdict(accepted=True, reasons=reasons, score=min(scores, default=None))
