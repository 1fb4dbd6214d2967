"""Calendar windows of accounts, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from langchain_agentcost.limits.holds import Window

_SIZES_US = {"hour": 3_600_000_000, "day": 86_400_000_000}

TOTAL = 0
"""The start of the one window of an account that lasts for ever."""


def window_start(window: Window, at_us: int) -> int:
    """The start of the window that an instant is in, both in microseconds since 1970.

    Example:
        >>> moment_of(window_start("month", 1_763_929_000_000_000)).isoformat()
        '2025-11-01T00:00:00+00:00'
    """
    if window == "total":
        return TOTAL
    if window == "month":
        return microseconds(moment_of(at_us).replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    return at_us - at_us % _SIZES_US[window]


def moment_of(at_us: int) -> datetime:
    """An instant in microseconds since 1970 as a UTC time."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)


def microseconds(moment: datetime) -> int:
    """A time as microseconds since 1970."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
