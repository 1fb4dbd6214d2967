"""The values of outcomes: decimal numbers of any size that people state, added up exactly."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal

_PLACES = 60
"""A value with a digit further from the decimal point than this is a mistake."""

# Wide enough for a sum of more sensible values than a ledger can hold.
_EXACT = Context(prec=3 * _PLACES)


def summed(values: Iterable[Decimal]) -> Decimal | None:
    """Add values up, to the last digit.

    Args:
        values: The values.

    Returns:
        The sum; None where there are no values, or where one of them is not `sensible`.

    Example:
        >>> summed([Decimal("12345678901234567890123456789.01"), Decimal("0.02")])
        Decimal('12345678901234567890123456789.03')
    """
    total = None
    for value in values:
        if not sensible(value):
            return None
        total = value if total is None else _EXACT.add(total, value)
    return total


def sensible(value: Decimal) -> bool:
    """Whether a value can be added up: what an older version booked may be infinite, or have a million digits.

    Example:
        >>> sensible(Decimal("-12.50")), sensible(Decimal("1e9999999")), sensible(Decimal("NaN"))
        (True, False, False)
    """
    if not value.is_finite():
        return False
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_PLACES and value.adjusted() <= _PLACES


def written_number(value: Decimal) -> str:
    """Write a value for people, to the last digit.

    Example:
        >>> written_number(Decimal("1234567.50")), written_number(Decimal("1E+3"))
        ('1,234,567.5', '1,000')
    """
    return f"{_EXACT.normalize(value):,f}"
