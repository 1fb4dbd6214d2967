"""The user's own code as a check."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.errors import GraphInterrupt

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict, Verifier
from langchain_agentcost.routing.verifiers.user_test import UserTest

REQUEST = RouteRequest.of("?")


@pytest.mark.parametrize(
    ("said", "accepted", "score"),
    [(True, True, None), (False, False, None), (0.8, True, 0.8), (0.79, False, 0.79), (1, True, 1.0), (0, False, 0.0)],
)
def test_what_it_says_is_what_counts(said: Any, accepted: bool, score: float | None) -> None:
    """A bool is the verdict, a number passes from the threshold on."""
    verdict = UserTest(lambda request, answer: said, threshold=0.8).check(REQUEST, "x", {})
    assert (verdict.accepted, verdict.score) == (accepted, score)


def test_a_verdict_is_taken_as_it_is() -> None:
    """Whoever gives reasons keeps them."""
    given = Verdict(accepted=False, reasons=("2 of 9 tests failed",), score=0.7)
    assert UserTest(lambda request, answer: given).check(REQUEST, "x", {}) is given


def test_one_that_raises_does_not_accept_and_says_so() -> None:
    """A failed assertion is a failed test; its text may quote the answer, so only its kind is told."""

    def fails(request: RouteRequest, answer: Any) -> bool:
        raise AssertionError(f"{answer} is wrong")

    verdict = UserTest(fails).check(REQUEST, "a secret", {})
    assert verdict == Verdict(accepted=False, reasons=("it raised AssertionError",))


async def test_what_ends_a_graph_goes_through() -> None:
    """A limit or a question to a person is no verdict on the answer."""

    def asks(request: RouteRequest, answer: Any) -> bool:
        raise GraphInterrupt

    with pytest.raises(GraphInterrupt):
        UserTest(asks).check(REQUEST, "x", {})
    with pytest.raises(GraphInterrupt):
        await UserTest(asks).acheck(REQUEST, "x", {})


async def test_an_async_test_is_awaited_where_that_can_be() -> None:
    """Async code may test in async code; in sync code it is told what to do, and nothing is left hanging."""

    async def fine(request: RouteRequest, answer: Any) -> float:
        return 0.9

    async def fails(request: RouteRequest, answer: Any) -> float:
        raise ValueError

    test = UserTest(fine, name="unit tests")
    assert isinstance(test, Verifier)
    assert (await test.acheck(REQUEST, "x", {})).score == 0.9
    assert (await UserTest(lambda request, answer: True).acheck(REQUEST, "x", {})).accepted
    assert (await UserTest(fails).acheck(REQUEST, "x", {})).reasons == ("it raised ValueError",)
    with pytest.raises(RoutingError, match="unit tests is an async function"):
        test.check(REQUEST, "x", {})


@pytest.mark.parametrize("said", [1.2, -0.1, float("nan"), "yes", None])
def test_one_that_says_nothing_usable_is_a_mistake(said: Any) -> None:
    """A test that forgets to return is not taken for one that passes or fails."""
    with pytest.raises(RoutingError, match="a bool, a number from 0 to 1 or a Verdict"):
        UserTest(lambda request, answer: said).check(REQUEST, "x", {})


def test_a_threshold_that_cannot_be_is_refused() -> None:
    """A share is from 0 to 1."""
    with pytest.raises(RoutingError, match="from 0 to 1, not 95"):
        UserTest(lambda request, answer: True, threshold=95)
