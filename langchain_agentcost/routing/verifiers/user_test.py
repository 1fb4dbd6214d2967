"""A check that is the user's own code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict

Said = bool | float | Verdict
"""What a test may say: whether it passed, how good the answer is from 0 to 1, or all of it."""


@dataclass(frozen=True, slots=True)
class UserTest:
    """Accepts what a function accepts, such as a run of unit tests on the code that a model wrote.

    Args:
        fn: Takes the request and the answer; says whether it passed, how good it is from 0 to 1, or a `Verdict`. An
            async function works where the router is called in async code. One that raises does not accept; what ends
            or interrupts a graph goes through.
        threshold: The least number that passes.
        name: What it is called in decisions and reports.

    Raises:
        RoutingError: If the threshold is not from 0 to 1; when checking, if the function says anything else, or is
            async in sync code.

    Example:
        >>> UserTest(lambda request, answer: 0.7).check(RouteRequest.of("?"), "an answer", {})
        Verdict(accepted=True, reasons=('0.70, at least 0.50 passes',), score=0.7)
    """

    fn: Callable[[RouteRequest, Any], Said | Awaitable[Said]]
    threshold: float = 0.5
    name: str = "user test"

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise RoutingError(f"threshold is from 0 to 1, not {self.threshold!r}.")

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer."""
        try:
            said = self.fn(request, answer)
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001  # the user's own code: a test that fails may raise, as in pytest
            return _raised(error)
        if isawaitable(said):
            _close(said)
            raise RoutingError(f"{self.name} is an async function: call the router with ainvoke or astream.")
        return self._verdict(said)

    async def acheck(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer in async code."""
        try:
            said = self.fn(request, answer)
            said = await said if isawaitable(said) else said
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001  # as in `check`
            return _raised(error)
        return self._verdict(said)

    def _verdict(self, said: Any) -> Verdict:
        if isinstance(said, Verdict):
            return said
        if isinstance(said, bool):
            return Verdict(said, () if said else ("not passed",))
        if isinstance(said, int | float) and 0 <= said <= 1:
            return Verdict(said >= self.threshold, (f"{said:.2f}, at least {self.threshold:.2f} passes",), float(said))
        raise RoutingError(f"{self.name} says a bool, a number from 0 to 1 or a Verdict, not {type(said).__name__}.")


def _raised(error: Exception) -> Verdict:
    """The verdict on an answer whose test raised. The error's text may quote the answer, so it is not told."""
    return Verdict(accepted=False, reasons=(f"it raised {type(error).__name__}",))


def _close(said: Any) -> None:
    close = getattr(said, "close", None)
    if close is not None:
        close()
