"""What a check accepts of right and of wrong answers, and how sure that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta  # type: ignore[import-untyped]

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.cascade_cost import Attempt, Cascade
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verifiers.acceptance import (
    Acceptance,
    Accepted,
    Labelled,
    aacceptance,
    acceptance,
)
from langchain_agentcost.routing.verifiers.user_test import UserTest

CASES = [Labelled(RouteRequest.of("?"), n, right=n < 60) for n in range(100)]
EVEN = UserTest(lambda request, answer: answer % 2 == 0 or answer < 30)


async def test_right_and_wrong_answers_are_counted_apart() -> None:
    """Sync and async code count the same."""
    found = acceptance(EVEN, CASES)
    assert found == Acceptance(right=Accepted(45, 60), wrong=Accepted(20, 40))
    assert await aacceptance(EVEN, CASES) == found


def test_what_is_measured_goes_into_the_economics_of_a_cascade() -> None:
    """The shares are those that a cascade asks for, and the careful ones are worse on both sides."""
    found = acceptance(EVEN, CASES)
    cheap, strong = Attempt("small", 100, 0.6), Attempt("frontier", 1000, 0.8)

    def quality(right: float, wrong: float) -> float:
        cascade = Cascade(cheap=cheap, strong=strong, accepts_right=right, accepts_wrong=wrong)
        assert cascade.quality is not None
        return float(cascade.quality)

    assert found.worst_right < found.accepts_right
    assert found.worst_wrong > found.accepts_wrong
    assert quality(found.accepts_right, found.worst_wrong) < quality(found.accepts_right, found.accepts_wrong)


def test_where_nothing_was_tried_the_worst_is_assumed() -> None:
    """No wrong answer seen is no proof that none would pass."""
    found = acceptance(EVEN, CASES[:10])
    assert (found.accepts_wrong, found.wrong.interval, found.wrong.share) == (1.0, (0.0, 1.0), None)
    assert str(found) == "accepts 10 of 10 (69.2-100 %) right and none tried of wrong answers"
    assert acceptance(EVEN, CASES[90:]).accepts_right == 0


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95]))
def test_the_interval_is_that_of_clopper_and_pearson(counts: tuple[int, int], confidence: float) -> None:
    """SciPy's beta quantiles give the same bounds."""
    count, tried = counts
    tail = (1 - confidence) / 2
    low = beta.ppf(tail, count, tried - count + 1) if count else 0.0
    high = beta.ppf(1 - tail, count + 1, tried - count) if count < tried else 1.0
    assert Accepted(count, tried, confidence).interval == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(("cases", "confidence"), [([], 0.95), (CASES, 1.0)])
async def test_a_measurement_that_cannot_be_is_refused(cases: list[Labelled], confidence: float) -> None:
    """Nothing measured says nothing."""
    with pytest.raises(RoutingError, match="Give a case or more"):
        acceptance(EVEN, cases, confidence=confidence)
    with pytest.raises(RoutingError, match="Give a case or more"):
        await aacceptance(EVEN, cases, confidence=confidence)
