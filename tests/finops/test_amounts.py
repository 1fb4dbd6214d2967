from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.finops.amounts import (
    Amount,
    cost_of,
    written_count,
    written_seconds,
    written_share,
    written_usd,
)
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage


def _read(text: str) -> Decimal:
    return Decimal(text.replace("$", "").replace(",", ""))


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0"),
        (1, "$0.000000001"),
        (12_000, "$0.000012"),
        (1_185_600, "$0.00119"),
        (999_999_999, "$1.00"),
        (1_500_000_000, "$1.50"),
        (-1_500_000_000, "-$1.50"),
        (-12_000, "-$0.000012"),
        (1_234_567_890_123, "$1,234.57"),
    ],
)
def test_money_has_as_many_digits_as_it_needs(nano: int, text: str) -> None:
    """Cents above a dollar, three significant digits below."""
    assert written_usd(nano) == text


@given(st.integers(-(10**15), 10**15).filter(bool))
def test_no_amount_but_zero_is_written_as_zero(nano: int) -> None:
    """Every amount reads back to within half a percent, so a tiny one is never shown as nothing."""
    assert abs(_read(written_usd(nano)).scaleb(9) - nano) <= abs(nano) / Decimal(200)


@given(st.integers(1, 10**15))
def test_a_lower_bound_is_never_written_above_the_amount(nano: int) -> None:
    """Rounding keeps ">= $x" true."""
    assert _read(str(Amount(nano, "at least")).removeprefix(">= ")).scaleb(9) <= nano


def test_a_group_of_unpriced_calls_has_an_unknown_cost() -> None:
    """Without any price the cost is unknown, which is None for machines and never 0."""
    shown = cost_of(Total(calls=3, llm_calls=3, unpriced_calls=3))
    assert (str(shown), shown.exact) == ("unknown", None)


def test_a_partly_unpriced_group_costs_at_least_what_is_known() -> None:
    """The known part is a lower bound and says so."""
    shown = cost_of(Total(calls=3, llm_calls=3, unpriced_calls=1, cost=Cost(5_000, output_nano=5_000)))
    assert (str(shown), shown.exact) == (">= $0.000005", Decimal("0.000005"))


def test_tools_without_a_price_are_not_free() -> None:
    """A group of tool calls without a stated price has no cost of its own, not a cost of $0."""
    assert (str(cost_of(Total(calls=4))), cost_of(Total(calls=4)).nano) == ("-", None)


@pytest.mark.parametrize(
    "total",
    [
        Total(calls=1, cache_hits=1),
        Total(calls=1, llm_calls=1),
        Total(calls=1, usage=Usage(input_tokens=3)),
        Total(),
    ],
    ids=["cache hit", "free model", "free embedding", "nothing"],
)
def test_what_really_cost_nothing_is_zero(total: Total) -> None:
    """Cache hits, free models and empty ledgers cost $0."""
    assert str(cost_of(total)) == "$0"


def test_counts_shares_and_seconds_stay_short_and_do_not_vanish() -> None:
    """Millions are abbreviated; a tiny share is not shown as none."""
    assert [written_count(n) for n in (0, 12_345, 1_000_000)] == ["0", "12,345", "1.00M"]
    assert [written_share(s) for s in (0.0, 1e-9, 0.5, 1.0)] == ["0%", "<0.1%", "50.0%", "100.0%"]
    assert [written_seconds(s) for s in (0.0, 0.0123, 1.5, 99.96, 250.2)] == ["0", "0.0123", "1.50", "100.0", "250"]
