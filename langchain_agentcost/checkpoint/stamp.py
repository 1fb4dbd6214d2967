"""What a checkpoint's metadata says of its cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, Self

from langchain_agentcost.meter.checkpoint_spend import AMOUNTS, ByRun, Spent, together
from langchain_agentcost.money import from_nano, to_nano

PREFIX = "agentcost_"
"""How every key in the metadata begins."""

TOTAL, STEP, THREAD, RUN, GAP = (PREFIX + name for name in ("usd", "step", "thread", "run", "unmetered"))


class Owned(NamedTuple):
    """What a thread, or a workflow run in it, has spent in all.

    Args:
        owner: The thread's or the workflow run's id.
        spent: What it has spent.
    """

    owner: str
    spent: Spent


@dataclass(frozen=True, slots=True)
class Stamp:
    """What was spent up to a checkpoint. In the metadata it is plain JSON; money is text in USD, exactly.

    Args:
        total: What was spent on the path to this checkpoint, from its first ancestor on.
        step: What of it was spent since the parent checkpoint: every call from it, tries that failed or were
            interrupted included. With durability "exit" that is the whole run.
        thread: What this thread has spent when it was saved, branches that were left included.
        run: What the latest workflow run has spent in this thread.
        unmetered: Whether some of the path was run without a meter: the amounts are then lower bounds.

    Example:
        >>> Stamp(total=Spent(cost_nano=30_000_000, llm_calls=2)).as_metadata()["agentcost_usd"]
        '0.03'
    """

    total: Spent = field(default_factory=Spent)
    step: Spent = field(default_factory=Spent)
    thread: Owned | None = None
    run: Owned | None = None
    unmetered: bool = False

    @classmethod
    def of(cls, metadata: Mapping[str, Any] | None) -> Self | None:
        """Read it; None where the metadata has none."""
        if not metadata or TOTAL not in metadata:
            return None
        return cls(
            total=_read({name: metadata.get(PREFIX + name) for name in _NAMES}),
            step=_read(metadata.get(STEP)),
            thread=_owned(metadata.get(THREAD)),
            run=_owned(metadata.get(RUN)),
            unmetered=bool(metadata.get(GAP)),
        )

    def as_metadata(self) -> dict[str, Any]:
        """Give it as entries of a checkpoint's metadata: plain JSON."""
        metadata: dict[str, Any] = {PREFIX + name: value for name, value in _written(self.total).items()}
        metadata[STEP] = _without_zeros(self.step)
        for key, owned in ((THREAD, self.thread), (RUN, self.run)):
            if owned is not None:
                metadata[key] = {"id": owned.owner, **_without_zeros(owned.spent)}
        if self.unmetered:
            metadata[GAP] = True
        return metadata

    def then(self, spent: ByRun, *, thread: Owned | None, unmetered: bool = False) -> Stamp:
        """The stamp of a child.

        Args:
            spent: What was spent since, by workflow run.
            thread: What its thread has spent by now; None in a subgraph, whose cost is a part of its root's.
            unmetered: Whether the step was run without a meter.
        """
        step = sum(spent.values(), Spent())
        return Stamp(
            total=self.total + step,
            step=step,
            thread=thread,
            run=self._run_after(spent) if thread is not None else None,
            unmetered=self.unmetered or unmetered,
        )

    def _run_after(self, spent: ByRun) -> Owned | None:
        if not spent:
            return self.run
        before = {self.run.owner: self.run.spent} if self.run is not None else {}
        *_, run = spent
        return Owned(run, together((before, spent))[run])


def usd_of(spent: Spent) -> Decimal | None:
    """What is known of a cost in USD; None where nothing is known of it, never 0.

    Example:
        >>> usd_of(Spent(cost_nano=30_000_000)), usd_of(Spent(llm_calls=1, unpriced_calls=1))
        (Decimal('0.03'), None)
    """
    if spent.unpriced_calls and not spent.cost_nano:
        return None
    return Decimal(f"{from_nano(spent.cost_nano).normalize():f}")


_COUNTS = tuple(name for name in AMOUNTS if name != "cost_nano")
_NAMES = ("usd", *_COUNTS)


def _written(spent: Spent) -> dict[str, Any]:
    usd = usd_of(spent)
    return {"usd": None if usd is None else str(usd), **{name: getattr(spent, name) for name in _COUNTS}}


def _without_zeros(spent: Spent) -> dict[str, Any]:
    return {name: value for name, value in _written(spent).items() if name == "usd" or value}


def _read(written: object) -> Spent:
    """Amounts as metadata has them. What is no amount counts as none: others may write there as well."""
    if not isinstance(written, Mapping):
        return Spent()
    try:
        nano = to_nano(Decimal(str(written.get("usd") or 0)))
    except (InvalidOperation, ValueError):
        nano = 0
    counts = {name: value for name in _COUNTS if type(value := written.get(name)) is int}
    return Spent(cost_nano=nano, **counts)


def _owned(written: object) -> Owned | None:
    if not isinstance(written, Mapping) or not isinstance(written.get("id"), str):
        return None
    return Owned(written["id"], _read(written))
