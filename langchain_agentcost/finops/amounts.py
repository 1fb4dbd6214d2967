"""How numbers are written for people: money with enough digits, and never a 0 for what is not known."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Literal

from langchain_agentcost.finops.part import unpriced_in
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.money import from_nano

Known = Literal["exact", "at least", "unknown", "no price"]
"""How far a cost is known: fully; all but some unpriced calls; not at all; nothing that is sold by the call."""

_SIGNIFICANT = 3
_LEAST_PLACES = 2
_MOST_PLACES = 9
_COMPACT_FROM = 1_000_000


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money as a report shows it.

    Args:
        nano: The amount in nano-USD, or in billionths of another currency; None where it is not known.
        known: How far it is known.
        sign: What is written before it.

    Example:
        >>> str(Amount(12_000)), str(Amount(1_185_600, "at least")), str(Amount(None, "unknown"))
        ('$0.000012', '>= $0.00118', 'unknown')
    """

    nano: int | None
    known: Known = "exact"
    sign: str = "$"

    @property
    def exact(self) -> Decimal | None:
        """The amount in USD or the other currency, exactly; None where it is not known."""
        return None if self.nano is None else from_nano(self.nano)

    def __str__(self) -> str:
        """Write it for people; a lower bound is rounded down, so that it stays one."""
        if self.nano is None:
            return "-" if self.known == "no price" else self.known
        at_least = self.known == "at least"
        return ">= " * at_least + written_usd(self.nano, down=at_least, sign=self.sign)


def cost_of(total: Total) -> Amount:
    """Say what a group of entries cost, as far as it is known.

    A group with unpriced calls and no known cost is unknown, one with both costs at least what is known. Tools and
    retrievers without a price have no cost of their own: they are "no price", not $0.

    Args:
        total: The group.

    Returns:
        Its cost.

    Example:
        >>> str(cost_of(Total(calls=2, llm_calls=2, unpriced_calls=2)))
        'unknown'
    """
    nano, missing = total.cost.total_nano, unpriced_in(total)
    if missing > 0:
        return lower_bound(nano, missing=missing)
    if not nano and total.calls and not (total.llm_calls or total.cache_hits or total.usage.total_tokens):
        return Amount(None, "no price")
    return Amount(nano)


def part_of(total: Total, part: str) -> Amount:
    """Say what one part of a group's cost was, such as "input_nano", as far as it is known."""
    whole = cost_of(total)
    return whole if whole.nano is None else lower_bound(getattr(total.cost, part), missing=unpriced_in(total))


def failed_cost_of(total: Total) -> Amount:
    """Say what the failed calls of a group cost, as far as it is known."""
    failed = lower_bound(total.failed_cost.total_nano, missing=total.failed_unpriced_calls)
    whole = cost_of(total)
    return whole if whole.known == "no price" and not failed.nano else failed


def saved_of(total: Total) -> Amount:
    """Say what the savings of a group would have cost, as far as it is known."""
    return lower_bound(total.saved.total_nano, missing=total.unpriced_savings)


def lower_bound(nano: int, *, missing: int) -> Amount:
    """Give a sum from which some amounts are missing, because nobody knows them.

    Args:
        nano: The sum of the known ones in nano-USD.
        missing: How many are missing.

    Example:
        >>> str(lower_bound(5, missing=0)), str(lower_bound(5, missing=1)), str(lower_bound(0, missing=1))
        ('$0.000000005', '>= $0.000000005', 'unknown')
    """
    if missing <= 0:
        return Amount(nano)
    return Amount(nano, "at least") if nano else Amount(None, "unknown")


def written_usd(nano: int, *, down: bool = False, sign: str = "$") -> str:
    """Write nano-USD as dollars: three significant digits below a dollar, cents above.

    Args:
        nano: The amount in nano-USD.
        down: Round towards minus infinity instead of to the nearest, half to even.
        sign: What to write before the amount.

    Returns:
        The text; only an amount of 0 is written as $0.

    Example:
        >>> written_usd(1), written_usd(500_000_000), written_usd(1_234_567_890_123), written_usd(0)
        ('$0.000000001', '$0.50', '$1,234.57', '$0')
    """
    if not nano:
        return f"{sign}0"
    value = from_nano(nano)
    places = min(_MOST_PLACES, max(_LEAST_PLACES, _SIGNIFICANT - 1 - value.adjusted()))
    rounding = ROUND_FLOOR if down else ROUND_HALF_EVEN
    whole, _, decimals = f"{value.quantize(Decimal(1).scaleb(-places), rounding=rounding):,f}".partition(".")
    decimals = decimals[:_LEAST_PLACES] + decimals[_LEAST_PLACES:].rstrip("0")
    minus = "-" * whole.startswith("-")
    return f"{minus}{sign}{whole.removeprefix('-')}.{decimals}"


def written_count(count: int) -> str:
    """Write a count: in full up to a million, then in millions and billions.

    Example:
        >>> written_count(999_999), written_count(12_345_678), written_count(3_200_000_000)
        ('999,999', '12.35M', '3.20B')
    """
    if abs(count) < _COMPACT_FROM:
        return f"{count:,}"
    scale, letter = (10**9, "B") if abs(count) >= 10**9 else (10**6, "M")
    return f"{Decimal(count) / scale:,.2f}{letter}"


def written_share(share: float) -> str:
    """Write a share of 1 in percent.

    Example:
        >>> written_share(0.6213), written_share(0.0001), written_share(0.0)
        ('62.1%', '<0.1%', '0%')
    """
    if not share:
        return "0%"
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def written_seconds(seconds: float) -> str:
    """Write a duration in seconds to three significant digits.

    Example:
        >>> written_seconds(0.00123), written_seconds(12.34), written_seconds(1234.0)
        ('0.00123', '12.3', '1,234')
    """
    if not seconds or abs(seconds) >= 100:
        return f"{seconds:,.0f}"
    places = max(0, _SIGNIFICANT - 1 - Decimal(repr(seconds)).adjusted())
    return f"{seconds:.{min(places, 6)}f}"


def written_multiple(multiple: float) -> str:
    """Write how many times one amount is another.

    Example:
        >>> written_multiple(3.14159), written_multiple(41.0)
        ('3.1x', '41x')
    """
    return f"{multiple:.1f}x" if multiple < 10 else f"{multiple:,.0f}x"
