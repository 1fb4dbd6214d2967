"""The sets of limits to start from."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.presets import PRESETS


def rows(*limits: Budget | CircuitBreaker) -> list[tuple[Any, ...]]:
    """Limits as (what, per or tool, how much)."""
    return [
        (limit.kind, limit.tool, limit.stop)
        if isinstance(limit, CircuitBreaker)
        else (*limit.limits, limit.per, *limit.limits.values())
        for limit in limits
    ]


def test_typical_is_the_table_that_teams_are_usually_told() -> None:
    """8,000 tokens a step, 50 steps a run, $5.00 a session, 3 retries a tool, and nothing else."""
    assert rows(*Budget.presets("typical")) == [
        ("total_tokens", "step", 8_000),
        ("steps", "run", 50),
        ("usd", "session", 5_000_000_000),
        ("tool_retries", None, 3),
    ]


@pytest.mark.parametrize(
    ("override", "row"),
    [
        ({"step_tokens": 4_000}, ("total_tokens", "step", 4_000)),
        ({"run_steps": 20}, ("steps", "run", 20)),
        ({"session_usd": Decimal("0.50")}, ("usd", "session", 500_000_000)),
        ({"tool_retries": 2}, ("tool_retries", None, 2)),
    ],
)
def test_each_row_can_be_changed_alone(override: dict[str, Any], row: tuple[Any, ...]) -> None:
    """The row has the new value and the other three the old ones."""
    changed, standing = rows(*Budget.presets("typical", **override)), rows(*Budget.presets("typical"))
    assert row in changed
    assert len(changed) == 4
    assert len(set(changed) & set(standing)) == 3


@pytest.mark.parametrize("row", ["step_tokens", "run_steps", "session_usd", "tool_retries"])
def test_each_row_can_be_left_out(row: str) -> None:
    """None is no limit."""
    left = rows(*Budget.presets("typical", **{row: None}))
    assert len(left) == 3
    assert set(left) < set(rows(*Budget.presets("typical")))


def test_breakers_can_be_added_to_typical() -> None:
    """A row that a preset does not have can be given."""
    added = Budget.presets("typical", breakers=CircuitBreaker.defaults())
    assert added[4:] == CircuitBreaker.defaults()


@pytest.mark.parametrize("name", ["support", "coding"])
def test_measured_presets_have_every_row_and_the_default_breakers(name: str) -> None:
    """Four rows as in the table, with numbers of their own, and the breakers."""
    measured = Budget.presets(name)
    assert [row[:2] for row in rows(*measured[:4])] == [row[:2] for row in rows(*Budget.presets("typical"))]
    assert measured[4:] == CircuitBreaker.defaults()


def test_a_coding_agent_may_take_more_than_a_support_agent() -> None:
    """Every number of coding is larger."""
    for row in ("step_tokens", "run_steps", "session_usd", "tool_retries"):
        assert Decimal(PRESETS["coding"][row]) > Decimal(PRESETS["support"][row])


def test_an_unknown_preset_is_refused_with_the_choices() -> None:
    """The error names all three."""
    with pytest.raises(BudgetError, match="no preset 'cheap': choose one of typical, support, coding"):
        Budget.presets("cheap")


def test_an_unknown_row_is_refused_with_the_rows() -> None:
    """The error names the rows that there are."""
    with pytest.raises(BudgetError, match="no row 'steps': its rows are step_tokens, run_steps"):
        Budget.presets("typical", steps=3)


def test_a_value_that_cannot_be_is_refused() -> None:
    """What a budget would refuse, a preset refuses."""
    with pytest.raises(BudgetError, match="whole number"):
        Budget.presets("typical", run_steps="1.5")
