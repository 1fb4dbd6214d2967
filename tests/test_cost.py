"""A cost is its parts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost import Cost
from langchain_agentcost.pricing.cost import PARTS, PriceSource

NANO = st.integers(min_value=0, max_value=10**15)


@st.composite
def costs(draw: st.DrawFn) -> Cost:
    """Costs whose parts sum to their total."""
    parts: dict[str, Any] = {name: draw(NANO) for name in PARTS[1:]}
    return Cost(sum(parts.values()), **parts)


@given(st.lists(costs(), max_size=5))
def test_sums_keep_the_parts(made: list[Cost]) -> None:
    """A sum of costs is one whose parts are sums, and the parts still give the total."""
    total = sum(made, Cost())
    assert total.usd == sum((cost.usd for cost in made), Decimal(0))
    assert total.usd == total.input + total.output + total.cache_read + total.cache_write + total.request + total.tool


@given(costs())
def test_a_cost_and_its_negative_are_nothing(cost: Cost) -> None:
    """A correction can take back exactly what was booked."""
    assert Cost() == cost + -cost


def test_a_sum_over_two_sources_names_none() -> None:
    """Provenance is stated only where it holds for the whole amount."""
    book, file = PriceSource("genai-prices", "0.2.3"), PriceSource("override", "ab12")
    mixed = Cost(1, input_nano=1, price=book) + Cost(1, input_nano=1, price=file)
    assert mixed.source is None
    assert (Cost(1, input_nano=1, price=book) + Cost(price=book)).version == "0.2.3"


def test_flags_are_kept_once() -> None:
    """What a reader must know about one part, he must know about the sum."""
    flagged = Cost().flagged("estimated usage")
    assert (flagged + flagged).flags == ("estimated usage",)
