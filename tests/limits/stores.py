"""The budget stores that the conformance suite is run on, and a clock that it sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from langchain_agentcost.limits.holds import BudgetStore, Denied, Granted, Line, Window
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now_s = 1_798_761_000.0  # the last hour of a day, a month and a year

    def __call__(self) -> float:
        """The time."""
        return self.now_s


Opens = Callable[[Path, Clock], BudgetStore]

STORES: dict[str, Opens] = {
    "memory": lambda _, clock: MemoryBudgetStore(clock=clock),
    "sqlite": lambda folder, clock: SQLiteBudgetStore(folder / "budgets.db", clock=clock),
}


def put(store: BudgetStore, hold_id: str, limit: int, fixed: int, window: Window = "total") -> Granted | Denied:
    """Reserve on one account."""
    return store.reserve(hold_id, [Line("org", limit, fixed, window=window, lost=1)])
