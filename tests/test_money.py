"""Money is exact: nothing is lost between Decimal USD and whole nano-USD but what rounding is asked to drop."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.money import (
    ATTO_PER_NANO,
    atto_rate,
    from_nano,
    round_nano,
    split_atto,
    to_nano,
    to_nano_up,
)

NANO = Decimal("1E-9")
AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=14, allow_nan=False, allow_infinity=False)


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_nano_survives_the_way_to_decimal_and_back(nano: int) -> None:
    """Every 64-bit amount comes back as it was."""
    assert nano == to_nano(from_nano(nano))


@given(AMOUNTS)
def test_amounts_round_half_to_even(usd: Decimal) -> None:
    """Rounding agrees with the decimal module's."""
    assert usd.quantize(NANO, rounding=ROUND_HALF_EVEN) == from_nano(to_nano(usd))


@given(AMOUNTS)
def test_a_reservation_rounds_up(usd: Decimal) -> None:
    """What is held is never less than what may be spent."""
    assert usd.quantize(NANO, rounding=ROUND_CEILING) == from_nano(to_nano_up(usd))


@given(st.lists(st.integers(min_value=0, max_value=10**24), min_size=1, max_size=8))
def test_components_sum_to_the_rounded_total(amounts: list[int]) -> None:
    """The parts of a bill add up to its total, and none is off by a nano-dollar or more."""
    total, parts = split_atto(amounts)
    assert total == sum(parts) == round_nano(sum(amounts))
    assert all(abs(part * ATTO_PER_NANO - amount) < ATTO_PER_NANO for part, amount in zip(parts, amounts, strict=True))


@given(st.integers(min_value=-(10**30), max_value=10**30))
def test_atto_rounds_like_decimal(atto: int) -> None:
    """Integer rounding agrees with the decimal module's, half to even."""
    assert int((Decimal(atto) / ATTO_PER_NANO).to_integral_value(ROUND_HALF_EVEN)) == round_nano(atto)


def test_a_rate_below_a_nano_is_kept_whole() -> None:
    """Half of DeepSeek's cached price is 14 nano-USD a token, and a thirtieth of that is still exact."""
    assert atto_rate(Decimal("0.014"), per=1_000_000) == 14 * ATTO_PER_NANO
    assert atto_rate(Decimal("1E-18")) == 1


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity"])
def test_money_that_is_no_number_is_refused(bad: str) -> None:
    """NaN and infinities never become amounts."""
    with pytest.raises(ValueError, match="finite"):
        to_nano(Decimal(bad))
    with pytest.raises(ValueError, match="finite"):
        atto_rate(Decimal(bad))
