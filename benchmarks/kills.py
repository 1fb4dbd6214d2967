"""Processes that are killed with `kill -9` at random moments while they spend from shared budgets.

Each call goes through all of the protocol: reserve, call, settle. The "provider" is a file to which a line is appended
for each call, with what it cost, so that the store's books can be compared with what was really bought.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_agentcost.limits.holds import Granted, Line
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore

_FORK = multiprocessing.get_context("fork")
_SESSION_LIMIT = 20_000
_WORKERS = 4


def survive(kills: int) -> dict[str, Any]:
    """Kill processes that often, sweep, and compare the books.

    Args:
        kills: How many processes are killed.

    Returns:
        A row: what was bought, what is spent, and how often a rule was broken, which must be 0.
    """
    with tempfile.TemporaryDirectory(prefix="limits-kills-") as folder:
        path, provider = Path(folder, "budgets.db"), Path(folder, "provider.log")
        SQLiteBudgetStore(path).close()
        provider.touch()
        _kill(kills, path, provider)
        with SQLiteBudgetStore(path, clock=lambda: time.time() + 3600) as later:
            swept = later.sweep()
            return {"system": "sqlite, kill -9", "kills": kills, "swept": swept, **_compared(later, provider)}


def _kill(kills: int, path: Path, provider: Path) -> None:
    dice = random.Random(kills)  # noqa: S311  # moments, not secrets
    processes = [_started(path, provider, worker) for worker in range(_WORKERS)]
    for number in range(kills):
        time.sleep(dice.uniform(0.0, 0.05))
        victim = number % _WORKERS
        processes[victim].kill()
        processes[victim].join()
        processes[victim] = _started(path, provider, _WORKERS + number)
    for process in processes:
        process.kill()
        process.join()


def _started(path: Path, provider: Path, worker: int) -> Any:
    process = _FORK.Process(target=_spend, args=(path, provider, worker))
    process.start()
    return process


def _spend(path: Path, provider: Path, worker: int) -> None:
    """Make calls until killed. A call that is never heard of again is charged in full."""
    dice, store = random.Random(worker), SQLiteBudgetStore(path)  # noqa: S311  # same
    log = os.open(provider, os.O_WRONLY | os.O_APPEND)
    for number in range(10**9):
        hold_id, session = f"{worker}-{number}", f"session={dice.randrange(1 + worker // 2)}"
        worst = dice.randint(500, 3000)
        took = dice.randint(worst // 2, worst)
        lines = [Line("org", 10**12, worst, lost=worst), Line(session, _SESSION_LIMIT, worst, lost=worst)]
        if isinstance(store.reserve(hold_id, lines), Granted):
            os.write(log, f"{hold_id} {session} {took}\n".encode())
            store.settle(hold_id, [took, took])


def _bought(provider: Path) -> Iterator[tuple[str, str, int]]:
    for line in provider.read_text().splitlines():
        hold_id, session, took = line.split()
        yield hold_id, session, int(took)


def _compared(store: SQLiteBudgetStore, provider: Path) -> dict[str, Any]:
    """Compare accounts, holds and what was bought."""
    bought = {hold_id: (session, took) for hold_id, session, took in _bought(provider)}
    holds = {hold.id: hold for hold in store.holds()}
    accounts = {account.scope: account for account in store.accounts()}
    org, paid = accounts.pop("org"), defaultdict[str, int](int)
    for session, took in bought.values():
        paid[session] += took
    posted = sum(bought[hold.id][1] for hold in holds.values() if hold.state == "posted")
    lost = sum(hold.reserved[0] for hold in holds.values() if hold.state == "expired")
    return {
        "calls": len(bought),
        "lost_calls": sum(holds[hold_id].state == "expired" for hold_id in bought),
        "still_reserved": sum(account.reserved for account in (org, *accounts.values())),
        "drifts": len(store.reconcile()),
        "spent_differs": org.spent - posted - lost,
        "unknown_calls": len(bought.keys() - holds.keys()),
        "sessions_over_cap": sum(account.spent > account.cap for account in accounts.values()),
        "sessions_bought_over_cap": sum(amount > _SESSION_LIMIT for amount in paid.values()),
        "n": len(holds),
    }
