"""Steps within steps: the garbage collector may close an abandoned stream, and so settle it, between any two steps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

import pytest

from langchain_agentcost.ledger import SQLiteLedger, access
from langchain_agentcost.limits import sqlite
from langchain_agentcost.limits.holds import Line
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore
from tests.ledger.made import call

LINES = [Line("org", 1_000_000, 1)]


class Interruption:
    """Does something once, at the nth line of ours within a step.

    Args:
        at: Which line.
        what: What is done.
        files: Whose lines are counted.
    """

    def __init__(self, at: int, what: Callable[[], object], *files: str | None) -> None:
        self.left = at
        self._what = what
        self._files = files

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        """Trace a frame, as `sys.settrace` wants it."""
        if frame.f_code.co_filename not in self._files:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                self._what()  # Python traces nothing meanwhile
        return self


def interrupted(step: Callable[[], object], interruption: Interruption) -> bool:
    """Run a step to its end and say whether it was long enough to be interrupted."""

    def run() -> None:
        before = sys.gettrace()
        sys.settrace(interruption)
        try:
            step()
        finally:
            sys.settrace(before)
            ended.append(True)

    ended: list[bool] = []
    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert ended, f"It hangs after an interruption at line {-interruption.left}."
    return interruption.left <= 0


@pytest.mark.parametrize("connects", [False, True])
def test_a_settle_at_any_line_of_a_reserve(tmp_path: Path, connects: bool) -> None:
    """Wherever a step is interrupted, also while it connects, locks, begins or commits, both are kept."""
    number, again = 0, True
    with SQLiteBudgetStore(tmp_path / "budgets.db") as store:
        while again:
            number += 1
            store.reserve(f"{number}", LINES)
            if connects:
                store._writer._release()
            stop = Interruption(number, partial(store.settle, f"{number}", [1]), access.__file__, sqlite.__file__)
            again = interrupted(partial(store.reserve, f"{number} beside", LINES), stop)
        assert number > 25
        assert (store._writer._depth, store._writer.mine) == (0, False)
        assert [(a.spent, a.reserved) for a in store.accounts()] == [(number - 1, number + 1)]
        assert store.reconcile() == ()


def test_a_failing_step_within_another_undoes_itself_only(tmp_path: Path) -> None:
    """A settle that is refused within a reserve changes nothing, wherever it happens, and the reserve is kept."""

    def refused() -> None:
        with pytest.raises(LookupError):
            store.settle("unknown", [1])

    number, again = 0, True
    with SQLiteBudgetStore(tmp_path / "budgets.db") as store:
        while again:
            number += 1
            stop = Interruption(number, refused, access.__file__, sqlite.__file__)
            again = interrupted(partial(store.reserve, f"{number}", LINES), stop)
        assert store.accounts()[0].reserved == number


def test_an_append_at_any_line_of_another(tmp_path: Path) -> None:
    """Wherever an append to a ledger is interrupted by another one, none is lost."""
    number, again = 0, True
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        while again:
            number += 1
            ledger._writer._release()
            stop = Interruption(number, partial(ledger.append, call(2 * number)), access.__file__)
            again = interrupted(partial(ledger.append, call(2 * number + 1)), stop)
        ledger.append(call(0))
        assert sum(1 for _ in ledger.entries()) == 2 * number


def test_closing_within_a_step_waits_for_its_end(tmp_path: Path) -> None:
    """A store that is closed by what interrupts a step completes the step first."""
    store = SQLiteBudgetStore(tmp_path / "budgets.db")
    with store._write() as db:
        store.close()
        assert db.execute("SELECT count(*) FROM hold").fetchone() == (0,)
    assert store._writer._connection is None
