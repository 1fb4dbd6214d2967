"""What may be said of an outcome."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from langchain_agentcost.reported import shown

MAX_OUTCOME_DIGITS = 18
"""An outcome's value has at most these before the point, and nine behind it: what a ledger adds up exactly."""


def outcome_value(value: Decimal | float | str | None) -> Decimal | None:
    """An outcome's value as a decimal that can be added up."""
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not (number.is_finite() and number.adjusted() < MAX_OUTCOME_DIGITS):
        raise ValueError(f"An outcome's value must be a number below 10**18, got {shown(value)}; use success= for yes.")
    if number.as_tuple().exponent < -9:  # type: ignore[operator]  # finite numbers have an integer there
        raise ValueError(f"An outcome's value has at most nine decimal places, got {shown(value)}; round it.")
    return number


def outcome_verdict(success: object) -> bool | None:
    """Whether an outcome was one: True, False, not said. 0, 1 and numpy's booleans mean what they say."""
    if success is None or isinstance(success, bool):
        return success
    if type(success).__name__ in ("bool_", "bool", "int") and success in (0, 1):
        return bool(success)
    raise ValueError(f"success must be True, False or None, got {shown(success)}.")
