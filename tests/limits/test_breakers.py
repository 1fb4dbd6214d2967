"""What a circuit breaker may be."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.breakers import CircuitBreaker


def test_the_defaults_warn_at_4_and_stop_at_8() -> None:
    """Identical calls, errors in a row and no progress, with the same two numbers."""
    found = [(one.kind, one.warn, one.stop, one.on_trip) for one in CircuitBreaker.defaults()]
    assert found == [
        ("identical_calls", 4, 8, "raise"),
        ("tool_errors", 4, 8, "raise"),
        ("no_progress", 4, 8, "raise"),
    ]


def test_every_kind_can_be_made_with_its_own_numbers_alone() -> None:
    """Each kind's method has numbers to start from, and takes another stop first."""
    kinds = [
        CircuitBreaker.identical_calls,
        CircuitBreaker.tool_errors,
        CircuitBreaker.tool_retries,
        CircuitBreaker.no_progress,
        CircuitBreaker.token_velocity,
        CircuitBreaker.context_growth,
    ]
    for make in kinds:
        assert make().kind == make.__name__
        assert make().stop is not None
        assert make(99).stop == 99


def test_a_breaker_that_only_warns_never_stops() -> None:
    """None as the stop is never."""
    assert CircuitBreaker.identical_calls(None).stop is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "loops", "stop": 3}, "one of identical_calls"),
        ({"kind": "no_progress"}, "needs warn= or stop="),
        ({"kind": "identical_calls", "stop": 1}, "whole number from 2, not 1"),
        ({"kind": "identical_calls", "stop": 2.5}, "whole number from 2, not 2.5"),
        ({"kind": "tool_errors", "stop": True}, "whole number from 1, not True"),
        ({"kind": "tool_errors", "stop": "8"}, "not '8'"),
        ({"kind": "context_growth", "stop": float("nan")}, "number from 1"),
        ({"kind": "tool_retries", "stop": -1}, "from 0, not -1"),
        ({"kind": "no_progress", "warn": 8, "stop": 8}, "warns before it stops: 8 is not below 8"),
        ({"kind": "no_progress", "stop": 8, "tool": "search"}, "not a tool"),
        ({"kind": "tool_errors", "stop": 8, "on_trip": "explode"}, "on_trip cannot be 'explode'"),
        ({"kind": "tool_errors", "stop": 8, "on_trip": "downgrade"}, "one of raise, drain, interrupt, warn"),
        ({"kind": "token_velocity", "stop": 8, "window_s": 0}, "window_s must be a number above 0"),
        ({"kind": "context_growth", "stop": 8, "floor_tokens": -1}, "floor_tokens must be a number above 0"),
    ],
)
def test_what_cannot_be_is_refused_with_what_could(settings: dict[str, Any], said: str) -> None:
    """The error names the number or choice that was wrong."""
    with pytest.raises(BudgetError) as raised:
        CircuitBreaker(**settings)
    assert said in str(raised.value)


def test_titles_tell_breakers_of_one_kind_apart() -> None:
    """By tool and by number, so that what a person overrules is one of them."""
    titles = {
        CircuitBreaker.tool_retries(3).title,
        CircuitBreaker.tool_retries(5).title,
        CircuitBreaker.tool_retries(3, tool="pay").title,
        CircuitBreaker.tool_errors(None, warn=3).title,
    }
    assert len(titles) == 4
