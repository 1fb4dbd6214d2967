"""Money on LangSmith's wire: floats that show the exact amount."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.exporters.langsmith.costs import costs_of, stated_nano, usd_of
from langchain_agentcost.pricing.cost import PARTS, Cost

NANO = st.integers(min_value=0, max_value=10**12)


@given(st.lists(NANO, min_size=6, max_size=6))
def test_both_sides_sum_to_the_total_to_the_nano_dollar(parts: list[int]) -> None:
    """As JSON shows the numbers, input and output sum to the total, and the details fit into the input."""
    named: dict[str, Any] = dict(zip(PARTS[1:], parts, strict=True))
    cost = Cost(sum(parts), **named)
    written = json.loads(json.dumps(costs_of(cost)))
    total = Decimal(str(written["total_cost"]))
    assert Decimal(str(written["input_cost"])) + Decimal(str(written["output_cost"])) == total == cost.total
    details = written.get("input_cost_details", {}).values()
    assert sum(Decimal(str(usd)) for usd in details) + cost.input == Decimal(str(written["input_cost"]))


@given(st.integers(min_value=0, max_value=10**15))
def test_an_amount_survives_json(nano: int) -> None:
    """Up to a million dollars, the number that JSON shows is the amount."""
    assert stated_nano({"total_cost": json.loads(json.dumps(usd_of(nano)))}) == nano


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (None, None),
        ({}, None),
        ({"input_tokens": 5}, None),
        ({"total_cost": None, "output_cost": 0.5}, 500_000_000),
        ({"total_cost": 0}, 0),
        ({"total_cost": 1, "input_cost": 5}, 1_000_000_000),
    ],
)
def test_a_stated_cost_is_the_total_or_the_sum_of_the_sides(usage: dict[str, float] | None, nano: int | None) -> None:
    """A total wins over the sides; nothing stated is None, not 0."""
    assert stated_nano(usage) == nano
