"""The columns of a report: what each shows, how it is written, and who gets to see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import (
    Amount,
    cost_of,
    failed_cost_of,
    part_of,
    saved_of,
    written_count,
    written_seconds,
    written_share,
    written_usd,
)
from langchain_agentcost.finops.values import written_number
from langchain_agentcost.ledger.base import Total

Value = str | int | float | Decimal | Amount | None
Kind = Literal["label", "count", "money", "share", "seconds", "number"]

NOT_STATED = "(not stated)"
"""How people read a dimension that a run did not state."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        name: Its name for machines, with the unit.
        heading: Its name for people.
        kind: What the values are, hence how they are written.
        value: Gives the value, from a row and the total over all rows.
        people: Whether it is in the tables for people; JSON and CSV have every column.
        drop: The order in which columns go where a terminal is too narrow, the highest first; 0 always stays.
    """

    name: str
    heading: str
    kind: Kind
    # Rows are Totals or a report's own subclass of it, which its columns know.
    value: Callable[[Any, Any], Value]
    people: bool = True
    drop: int = 0

    def write(self, value: Value) -> str:
        """Write a value for people."""
        if value is None:
            return NOT_STATED if self.kind == "label" else ""
        return _WRITE[self.kind](value)


def key_columns(names: Sequence[str]) -> tuple[Column, ...]:
    """Make the columns of the dimensions that a report is grouped by."""

    def column(at: int, name: str) -> Column:
        def key(row: Total, _whole: Total) -> Value:
            return row.key[at] if at < len(row.key) else None

        return Column(name, name.removeprefix("tag:"), "label", key)

    return tuple(column(at, name) for at, name in enumerate(names))


def fitting(drops: Sequence[int], widths: Sequence[int], *, room: int, gap: int) -> list[int]:
    """Choose the columns that fit into a line.

    Args:
        drops: For each column the order in which it goes, the highest first; 0 always stays.
        widths: How wide each has to be, in characters.
        room: The characters of a line.
        gap: The characters between two columns.

    Returns:
        The places of the columns that stay, in order.
    """
    kept = list(range(len(drops)))
    droppable = sorted((at for at in kept if drops[at]), key=drops.__getitem__)
    while droppable and sum(widths[at] + gap for at in kept) > room:
        kept.remove(droppable.pop())
    return kept


def share_of_cost(row: Total, whole: Total) -> float | None:
    """A row's share of the known cost; None where the row's own is not known."""
    nano = cost_of(row).nano
    return None if nano is None or not whole.cost.total_nano else nano / whole.cost.total_nano


CALLS = Column("calls", "calls", "count", lambda row, _: row.calls)
LLM_CALLS = Column("llm_calls", "LLM", "count", lambda row, _: row.llm_calls, drop=3)
INPUT = Column("input_tokens", "input", "count", lambda row, _: row.usage.input_tokens)
CACHED = Column("cache_read_share", "cached", "share", lambda row, _: row.usage.cache_read_share)
OUTPUT = Column("output_tokens", "output", "count", lambda row, _: row.usage.output_tokens)
COST = Column("cost_usd", "cost USD", "money", lambda row, _: cost_of(row))
SHARE = Column("cost_share", "share", "share", share_of_cost)
SAVED = Column("saved_usd", "saved", "money", lambda row, _: saved_of(row), drop=4)
P50 = Column("latency_p50_s", "p50 s", "seconds", lambda row, _: row.latency_p50_s, drop=2)
P95 = Column("latency_p95_s", "p95 s", "seconds", lambda row, _: row.latency_p95_s, drop=1)


def _detail(name: str, kind: Kind, value: Callable[[Any, Any], Value]) -> Column:
    return Column(name, name.replace("_", " "), kind, value, people=False)


def _part(name: str) -> Callable[[Total, Total], Value]:
    return lambda row, _: part_of(row, name)


_PARTS = ("input", "output", "cache_read", "cache_write", "request", "tool")

DETAILS = (
    _detail("cost_known", "label", lambda row, _: cost_of(row).known),
    _detail("unpriced_calls", "count", lambda row, _: row.unpriced_calls),
    _detail("estimated_calls", "count", lambda row, _: row.estimated_calls),
    _detail("flagged_calls", "count", lambda row, _: row.flagged_calls),
    _detail("failed_calls", "count", lambda row, _: row.failed_calls),
    _detail("failed_cost_usd", "money", lambda row, _: failed_cost_of(row)),
    _detail("cache_hits", "count", lambda row, _: row.cache_hits),
    _detail("cache_read_tokens", "count", lambda row, _: row.usage.cache_read_tokens),
    _detail("cache_write_tokens", "count", lambda row, _: row.usage.cache_write_tokens),
    _detail("cache_write_1h_tokens", "count", lambda row, _: row.usage.cache_write_1h_tokens),
    _detail("reasoning_tokens", "count", lambda row, _: row.usage.reasoning_tokens),
    *(_detail(f"cost_{part}_usd", "money", _part(f"{part}_nano")) for part in _PARTS),
)
"""What finance and machines want beside the columns for people: the parts of the bill and what to know about them."""


def _money(value: Any) -> str:
    return str(value) if isinstance(value, Amount) else written_usd(value)


_WRITE: dict[Kind, Callable[[Any], str]] = {
    "label": label,
    "count": written_count,
    "money": _money,
    "share": written_share,
    "seconds": written_seconds,
    "number": written_number,
}


def aligned(cells: Iterable[str]) -> list[str]:
    """Pad amounts on the right so that their decimal points stand below each other once they are aligned right.

    Example:
        >>> aligned(["$1.25", "$0.000012"])
        ['$1.25    ', '$0.000012']
    """
    rows = list(cells)
    tails = [len(cell) - cell.index(".") if "." in cell else 0 for cell in rows]
    longest = max(tails, default=0)
    return [
        cell + " " * (longest - tail) if cell[-1:].isdigit() else cell for cell, tail in zip(rows, tails, strict=True)
    ]
