"""The fields of a record that anybody may have written: what they hold is read, or known not to be there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from langchain_agentcost.canonical import digest
from langchain_agentcost.money import to_nano
from langchain_agentcost.reported import MAX_REPORTED_TOKENS

MAX_NAME_CHARS = 1000
"""A longer name is cut, and ends in a hash of the whole: two names stay two."""

MAX_USD = 10**9
"""A call that cost more than this is a mistake."""

_LATEST_S = 1e11
"""A time later than this, the year 5138, is in milliseconds."""


def mapping_of(value: object) -> Mapping[str, Any]:
    """Give a mapping as it is, and an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def list_of(value: object) -> list[Mapping[str, Any]]:
    """Give the mappings in a list; none for anything else."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def name_of(record: Mapping[str, Any], key: str, otherwise: str = "") -> str:
    r"""Read a name, as it can be shown anywhere.

    Args:
        record: The record.
        key: The field.
        otherwise: What it is where the field is not there or empty.

    Raises:
        ValueError: If the field holds neither a text nor a number.

    Example:
        >>> name_of({"id": "a\x1b[2Jb"}, "id"), name_of({"id": None}, "id", "line 7")
        ('a [2Jb', 'line 7')
    """
    value = record.get(key)
    if value is None or value == "":
        return otherwise
    if not isinstance(value, str | int | float):
        raise ValueError(f"{key} is a text, not {type(value).__name__}")  # noqa: TRY004  # a fault of the record's
    return shown(str(value))


def shown(name: str) -> str:
    r"""Give a name as it can be shown anywhere: without control characters, and not longer than a page bears.

    Example:
        >>> shown("a\x1b[2Jb"), len(shown("x" * 1_000_000))
        ('a [2Jb', 1033)
    """
    if len(name) > MAX_NAME_CHARS:
        name = f"{name[:MAX_NAME_CHARS]} {digest(name).hex()}"
    return name if name.isprintable() else "".join(c if c.isprintable() else " " for c in name)


def count_of(value: object) -> int:
    """Read a count of tokens; 0 where it is none.

    Example:
        >>> count_of(12), count_of(12.0), count_of(-1), count_of(float("nan")), count_of(10**40)
        (12, 12, 0, 0, 0)
    """
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 < value <= MAX_REPORTED_TOKENS else 0


def is_count(value: object) -> bool:
    """Tell whether a field that should hold a count of tokens does, or is empty."""
    return value is None or value == 0 or count_of(value) > 0


def nano_of(usd: object) -> int | None:
    """Read an amount in USD as nano-USD; None where it is none.

    Example:
        >>> nano_of("0.000001"), nano_of(float("nan")), nano_of(10**30), nano_of(True)
        (1000, None, None, None)
    """
    if not isinstance(usd, int | float | str | Decimal) or isinstance(usd, bool):
        return None
    try:
        amount = Decimal(str(usd))
        return to_nano(amount) if 0 <= amount <= MAX_USD else None
    except (InvalidOperation, ValueError):
        return None


def seconds_of(stamp: object) -> float | None:
    """Read a time: ISO, or a number of seconds or milliseconds since 1970; None where it is neither.

    Example:
        >>> seconds_of("1970-01-01T00:01:00Z"), seconds_of(1.5), seconds_of(1.7e12), seconds_of("soon")
        (60.0, 1.5, 1700000000.0, None)
    """
    if isinstance(stamp, str):
        try:
            read = datetime.fromisoformat(stamp)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if not isinstance(stamp, int | float) or isinstance(stamp, bool) or not 0 < stamp < 1e15:
        return None
    return stamp / 1000 if stamp > _LATEST_S else float(stamp)
