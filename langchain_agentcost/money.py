"""Money is counted in whole nano-USD and shown as `Decimal` USD.

One nano-USD is 1e-9 USD, so a 64-bit integer holds 9.2 billion dollars. Rates are finer than that (a cached token of a
small model costs 28 nano-USD, half of one costs 14), so a rate is held in atto-USD (1e-18 USD) per unit, also whole.
A call is rounded once, half to even, and its components are cut from the rounded total by largest remainder: they
always sum to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal

NANO_PER_USD = 10**9
ATTO_PER_NANO = 10**9

# Wide enough that no product of a 64-bit amount and a rate is ever rounded before it is rounded on purpose.
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_UP = Context(prec=60, rounding=ROUND_CEILING)
_NANO_EXPONENT = Decimal("1E-9")


def to_nano(usd: Decimal) -> int:
    """Round an amount to whole nano-USD, half to even.

    Args:
        usd: The amount in USD. It must be finite.

    Returns:
        The amount in nano-USD.

    Raises:
        ValueError: If the amount is not a finite number.

    Example:
        >>> to_nano(Decimal("0.0011856"))
        1185600
    """
    return _rounded(usd, _EXACT)


def to_nano_up(usd: Decimal) -> int:
    """Round an amount up to whole nano-USD: what a reservation has to hold.

    Example:
        >>> to_nano_up(Decimal("0.0000000011"))
        2
    """
    return _rounded(usd, _UP)


def from_nano(nano: int) -> Decimal:
    """Give an amount in nano-USD back as `Decimal` USD, exactly.

    Example:
        >>> from_nano(1185600)
        Decimal('0.001185600')
    """
    return Decimal(nano).scaleb(-9, _EXACT)


def atto_rate(usd: Decimal, *, per: int = 1) -> int:
    """Turn a price into whole atto-USD per unit.

    Args:
        usd: The price in USD for `per` units.
        per: How many units the price is for, such as 1,000,000 tokens.

    Returns:
        The price of one unit in atto-USD, half to even below one atto.

    Example:
        >>> atto_rate(Decimal("0.075"), per=1_000_000)
        75000000000
    """
    if not usd.is_finite():
        raise ValueError(f"A price must be a finite number of USD, got {usd}.")
    return int(_EXACT.divide(usd.scaleb(18, _EXACT), Decimal(per)).to_integral_value(context=_EXACT))


def split_atto(amounts: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Round a call's components to nano-USD so that they sum to the rounded total.

    The total is rounded once, half to even; the components are cut down to whole nano-USD, and the units that are left
    go to those with the largest remainders (Hare's method), the earlier one where two are equal.

    Args:
        amounts: The components in atto-USD.

    Returns:
        The total and the components, in nano-USD.

    Example:
        >>> split_atto([1_500_000_000, 1_500_000_000])
        (3, (2, 1))
    """
    total = round_nano(sum(amounts))
    cut = [divmod(amount, ATTO_PER_NANO) for amount in amounts]
    missing = total - sum(nano for nano, _ in cut)
    if not missing:
        return total, tuple(nano for nano, _ in cut)
    order = sorted(range(len(cut)), key=lambda i: -cut[i][1])[:missing]
    return total, tuple(nano + (i in order) for i, (nano, _) in enumerate(cut))


def round_nano(atto: int) -> int:
    """Round atto-USD to nano-USD, half to even.

    Example:
        >>> round_nano(2_500_000_000), round_nano(3_500_000_000)
        (2, 4)
    """
    nano, rest = divmod(atto, ATTO_PER_NANO)
    half = ATTO_PER_NANO // 2
    return nano + (rest > half or (rest == half and nano & 1))


def _rounded(usd: Decimal, context: Context) -> int:
    if not usd.is_finite():
        raise ValueError(f"An amount of money must be a finite number of USD, got {usd}.")
    return int(usd.quantize(_NANO_EXPONENT, context=context).scaleb(9, context))
