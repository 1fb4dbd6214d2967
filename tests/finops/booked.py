"""Entries for the tests of reports: short to write, and random ones for the invariants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.ledger import Entry, InputSplit, Ledger, open_ledger
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
BACK_ENDS = ("memory", "sqlite")


def opened(back_end: str, folder: Path, *entries: Entry) -> Ledger:
    """A new ledger with these entries."""
    ledger = open_ledger("memory://" if back_end == "memory" else f"sqlite:///{folder / 'ledger.db'}")
    for entry in entries:
        ledger.append(entry)
    return ledger


def booked(*entries: Entry) -> Ledger:
    """A new ledger in memory with these entries."""
    return opened("memory", Path(), *entries)


def cost(**parts: int) -> Cost:
    """A cost of these parts in nano-USD, such as `output=5`."""
    amounts: dict[str, Any] = {f"{name}_nano": nano for name, nano in parts.items()}
    return Cost(sum(parts.values()), **amounts)


class Book:
    """Makes entries with ids of their own, a second apart."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, kind: Any = "llm", *, nano: int | None = None, **fields: Any) -> Entry:
        """An entry; fields of `Entry` go there, the others to its attribution. `nano` is a cost of output alone."""
        self._count += 1
        own = {name: fields.pop(name) for name in list(fields) if name in Entry.__dataclass_fields__}
        if nano is not None:
            own["cost"] = cost(output=nano)
        own = {"id": f"e{self._count}", "at": START + timedelta(seconds=self._count), **own}
        return Entry(kind=kind, attribution=Attribution(**fields), **own)

    def outcome(self, name: str = "resolved", *, success: bool | None = True, **fields: Any) -> Entry:
        """A recorded outcome."""
        return self("outcome", name=name, success=success, **fields)


_small = st.integers(0, 40)
_nano = st.integers(0, 10**9)
_label = st.sampled_from([None, "a", "b"])
_node = st.sampled_from([None, "plan", "plan/search", "planning", "draft"])


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Counts as providers report them: the cached parts fit into the input."""
    read, written, hour, rest = (draw(_small) for _ in range(4))
    return Usage(
        input_tokens=read + written + hour + rest,
        output_tokens=draw(_small),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
    )


@st.composite
def costs(draw: st.DrawFn) -> Cost:
    """A cost with any of its parts."""
    return cost(**{part: draw(_nano) for part in ("input", "output", "cache_read", "cache_write", "request", "tool")})


@st.composite
def splits(draw: st.DrawFn, tokens: int) -> InputSplit:
    """A make-up of that many input tokens."""
    cuts = sorted(draw(st.integers(0, tokens)) for _ in range(3))
    return InputSplit(cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], tokens - cuts[2])


@st.composite
def ledgers(draw: st.DrawFn) -> list[Entry]:
    """Entries of every kind, some failed, retried, abandoned, unpriced, not analysed or corrected."""
    book, made = Book(), []
    kinds = [
        "llm",
        "llm",
        "llm",
        "embedding",
        "tool",
        "retriever",
        "cache_hit",
        "saving",
        "outcome",
        "correction",
        "decision",
    ]
    for _ in range(draw(st.integers(0, 12))):
        usage, kind = draw(usages()), draw(st.sampled_from(kinds))
        fields: dict[str, Any] = {
            "usage": draw(st.sampled_from([usage, usage, None])),
            "cost": draw(costs() | st.none()),
            "split": draw(splits(usage.input_tokens) | st.none() | splits(7)),
            "status": draw(st.sampled_from(["ok", "ok", "ok", "error", "aborted"])),
            "run": draw(_label),
            "tenant": draw(_label),
            "node": draw(_node),
            "purpose": draw(st.sampled_from([None, None, "verification", "summarization"])),
            "attempt": draw(st.sampled_from([1, 1, 1, 2])),
        }
        if kind == "outcome":
            fields |= {"name": "abandoned", "success": False, "cost": None, "usage": None}
        if kind == "decision":
            fields |= {"name": "step", "decision": "d1", "cost": None, "usage": None, "split": None, "status": "ok"}
        if kind in ("cache_hit", "saving"):
            fields["saved"] = draw(costs() | st.none())
        if kind == "correction":
            fields["name"] = draw(st.sampled_from([None, "priced", "repriced"]))
            fields |= {"parent_id": f"e{draw(st.integers(1, 14))}", "usage": None, "split": None}
            fields["cost"] = draw(st.sampled_from([fields["cost"], fields["cost"] and -fields["cost"]]))
        made.append(book(kind, **fields))
    return made


def usd(text: str) -> Decimal:
    """An amount."""
    return Decimal(text)
