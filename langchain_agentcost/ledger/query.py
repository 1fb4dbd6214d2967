"""What a ledger may be asked: columns from a list, values that are bound, instants with a time zone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from langchain_agentcost.attribution import DIMENSIONS
from langchain_agentcost.errors import QueryError
from langchain_agentcost.ledger.base import Where
from langchain_agentcost.ledger.entry import Entry

Value = str | int | None

CONDITIONS: tuple[str, ...] = ("kind", "status", "id", "parent_id", "name", *DIMENSIONS)
"""Columns that `where` may name, beside `tag:NAME`."""

GROUPS: tuple[str, ...] = (*DIMENSIONS, "kind", "status", "day", "hour")
"""Dimensions that `by` may name, beside `tag:NAME`."""

NUMBERS = frozenset({"step", "attempt"})
"""Columns that hold whole numbers."""

UNROLLED = frozenset({"session", "run", "step", "attempt", "hour", "id", "parent_id", "name"})
"""Columns with so many values that sums per day do not keep them apart: asking for one reads every entry."""

Sums = Literal["what", "who", "both"]
"""Which sums per day: by every label but the user's, by user alone, or by both. The last grow with the users."""

_IN_ALL_SUMS = frozenset({"kind", "status", "day"})

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
MAX_VALUES = 10_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Query:
    """A checked question.

    Args:
        by: The dimensions to group by.
        conditions: Columns and the values that each may have.
        since_us: The first instant, in microseconds since 1970; None is the beginning.
        until_us: The first instant that is out; None is the end.
    """

    by: tuple[str, ...] = ()
    conditions: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    since_us: int | None = None
    until_us: int | None = None

    @property
    def sums(self) -> Sums | None:
        """Which sums per day answer it; None where only the entries can.

        Example:
            >>> ask(("node",)).sums, ask(("user", "day")).sums, ask(("user", "node")).sums, ask(("run",)).sums
            ('what', 'who', 'both', None)
        """
        named = {*self.by, *(column for column, _ in self.conditions)}
        if named & UNROLLED:
            return None
        if "user" not in named:
            return "what"
        return "who" if named - _IN_ALL_SUMS == {"user"} else "both"

    def covers(self, at_us: int) -> bool:
        """Whether an instant is within the time asked for."""
        after = self.since_us is None or at_us >= self.since_us
        return after and (self.until_us is None or at_us < self.until_us)

    def whole_days(self) -> tuple[int, int]:
        """The days, numbered from 1970, that lie wholly in the time asked for: the first, and the one after the last.

        Example:
            >>> Query(since_us=DAY_US + 1, until_us=4 * DAY_US + 5).whole_days()
            (2, 4)
        """
        first = 0 if self.since_us is None else -(-self.since_us // DAY_US)
        end = 2**40 if self.until_us is None else self.until_us // DAY_US
        return first, max(first, end)


def ask(
    by: Iterable[str] = (), where: Where | None = None, since: datetime | None = None, until: datetime | None = None
) -> Query:
    """Check a question.

    Raises:
        QueryError: If a column does not exist, a value cannot be its value, or an instant has no time zone.

    Example:
        >>> ask(by=("node",), where={"tenant": ["acme", None]}).conditions
        (('tenant', ('acme', None)),)
    """
    dimensions = (by,) if isinstance(by, str) else tuple(by)
    for name in dimensions:
        _known(name, GROUPS, "group by")
    conditions = tuple((name, _values(name, wanted)) for name, wanted in (where or {}).items())
    return Query(dimensions, conditions, _instant("since", since), _instant("until", until))


def microseconds(at: datetime) -> int:
    """Count the microseconds from 1970 to an instant, exactly.

    Example:
        >>> microseconds(datetime(1970, 1, 2, tzinfo=UTC)) == DAY_US
        True
    """
    since = at - _EPOCH
    return since.days * DAY_US + since.seconds * 1_000_000 + since.microseconds


def instant(at_us: int) -> datetime:
    """Give the instant back, UTC."""
    return _EPOCH + timedelta(microseconds=at_us)


def day_name(day: int) -> str:
    """Name a day numbered from 1970.

    Example:
        >>> day_name(20780)
        '2026-11-23'
    """
    return instant(day * DAY_US).strftime("%Y-%m-%d")


def hour_name(hour: int) -> str:
    """Name an hour numbered from 1970.

    Example:
        >>> hour_name(20780 * 24 + 17)
        '2026-11-23T17:00'
    """
    return instant(hour * HOUR_US).strftime("%Y-%m-%dT%H:00")


def column_of(entry: Entry, name: str) -> Value:
    """Read a column from an entry."""
    if name.startswith("tag:"):
        return next((value for tag, value in entry.attribution.tags if tag == name[4:]), None)
    read = _FROM_ENTRY.get(name)
    value: Value = read(entry) if read else getattr(entry.attribution, name)
    return value


_FROM_ENTRY: dict[str, Callable[[Entry], Value]] = {
    "kind": lambda entry: entry.kind,
    "status": lambda entry: entry.status,
    "id": lambda entry: entry.id,
    "parent_id": lambda entry: entry.parent_id,
    "name": lambda entry: entry.name,
    "day": lambda entry: day_name(microseconds(entry.at) // DAY_US),
    "hour": lambda entry: hour_name(microseconds(entry.at) // HOUR_US),
}
"""Columns that are not fields of the attribution."""


def _known(name: str, columns: Sequence[str], doing: Literal["group by", "filter on"]) -> None:
    if name in columns or (name.startswith("tag:") and len(name) > 4):
        _unicode(name)
        return
    raise QueryError(f"The ledger cannot {doing} {name[:60]!r}; choose from {', '.join(columns)} or tag:NAME.")


def _values(name: str, wanted: str | int | Sequence[Value] | None) -> tuple[Value, ...]:
    _known(name, CONDITIONS, "filter on")
    values = (wanted,) if wanted is None or isinstance(wanted, str | int) else tuple(wanted)
    if len(values) > MAX_VALUES:
        raise QueryError(f"{name} is given {len(values)} values to be one of; at most {MAX_VALUES} are allowed.")
    return tuple(_value(name, value) for value in values)


def _value(name: str, value: object) -> Value:
    if value is None:
        return None
    if name in NUMBERS:
        return _number(name, value)
    if isinstance(value, str):
        return _unicode(value)
    raise QueryError(f"{name} must be compared with text, got {str(value)[:60]!r}.")


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"{text[:60]!r} is not Unicode text: {error.reason}.") from error
    return text


def _number(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    raise QueryError(f"{name} must be compared with a whole number, got {str(value)[:60]!r}.")


def _instant(name: str, at: datetime | None) -> int | None:
    if at is None:
        return None
    if at.utcoffset() is None:
        raise QueryError(f"{name} must have a time zone, got {at.isoformat()}; add tzinfo=UTC.")
    return microseconds(at)
