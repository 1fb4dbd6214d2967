"""Whether budgets hold when many ask at once, and what asking costs.

Eight processes make `--calls` calls each on one shared account, with three accounts of their own beside it, for 60 % of
what all of them would take. Some reservations and settlements are made twice, as after a lost response, some are given
back. A call takes 50 to 100 % of its worst case. All the while a monitor reads what is spent and reserved. The
latencies are those of `reserve`, granted or denied, and of `settle`.

The naive store beside ours compares before the call and adds after it. How far that overshoots depends on how many
calls the cap is worth, so there is a second run: eight at once in a session that has six calls left, 50 ms each.

With `--kills N`, processes are killed with `kill -9` at N random moments instead, and books are compared afterwards.
"""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kills import survive
from naive_store import NaiveBudgetStore
from rows import parser, publish

from langchain_agentcost.limits.holds import BudgetStore, Denied, Line
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore

_AMPLE = 10**15
_FORK = multiprocessing.get_context("fork")

SYSTEMS: dict[str, Callable[[Path], BudgetStore]] = {
    "memory": lambda _: MemoryBudgetStore(),
    "sqlite": lambda folder: SQLiteBudgetStore(folder / "budgets.db"),
    "naive, check then add": lambda folder: NaiveBudgetStore(folder / "naive.db"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a store.

    Args:
        workers: How many ask at once: processes, or threads of a store in memory.
        calls: How many calls each wants to make.
        cap: The share of what all calls take that the shared account has room for.
        even: Whether all calls take the same, and all of their worst case.
        call_s: How long a call takes.
    """

    workers: int
    calls: int
    cap: float = 0.6
    even: bool = False
    call_s: float = 0.0

    def sizes(self, worker: int) -> list[tuple[int, int]]:
        """Worst case and actual of each call of a worker."""
        if self.even:
            return [(1000, 1000)] * self.calls
        dice = random.Random(worker)  # noqa: S311  # a workload, not a secret
        worst = [dice.randint(1000, 2000) for _ in range(self.calls)]
        return [(most, dice.randint(most // 2, most)) for most in worst]

    def limit(self) -> int:
        """Work out the shared account's limit."""
        return round(self.cap * sum(took for worker in range(self.workers) for _, took in self.sizes(worker)))


@dataclass(frozen=True, slots=True)
class Timed:
    """What a worker measured: when it began and ended, and how long each step took, in seconds."""

    began: float
    ended: float
    reserves: Sequence[float]
    settles: Sequence[float]


def work(store: BudgetStore, plan: Plan, worker: int) -> Timed:
    """Make a worker's calls."""
    dice = random.Random(-worker - 1)  # noqa: S311  # same
    reserves, settles = list[float](), list[float]()
    limit, sizes = plan.limit(), plan.sizes(worker)
    began = time.perf_counter()
    for number, (worst, took) in enumerate(sizes):
        hold_id = f"{worker:04x}-{dice.getrandbits(64):016x}-{number:08x}"
        lines = [
            Line("org", limit, worst),
            Line(f"tenant={worker % 2}", _AMPLE, worst),
            Line(f"user={worker}", _AMPLE, worst),
            Line(f"session={worker}-{number // 20}", _AMPLE, worst),
        ]
        chance = dice.random()
        for _ in range(2 if chance < 0.02 else 1):
            started = time.perf_counter()
            answer = store.reserve(hold_id, lines, call_id=hold_id)
            reserves.append(time.perf_counter() - started)
        if isinstance(answer, Denied):
            continue
        if 0.02 <= chance < 0.05:
            store.void(hold_id)
            continue
        if plan.call_s:
            time.sleep(plan.call_s)
        for _ in range(2 if chance > 0.98 else 1):
            started = time.perf_counter()
            store.settle(hold_id, [took] * len(lines), call_id=hold_id)
            settles.append(time.perf_counter() - started)
    return Timed(began, time.perf_counter(), reserves, settles)


def storm(system: str, plan: Plan) -> dict[str, Any]:
    """Let all workers loose on one store, and give the row."""
    with tempfile.TemporaryDirectory(prefix="limits-benchmark-") as folder:
        store = SYSTEMS[system](Path(folder))
        run = _threads if system == "memory" else _processes
        peak, limit, timed = 0, plan.limit(), list[Timed]()
        for news in run(store, plan):
            if isinstance(news, Timed):
                timed.append(news)
            peak = max([peak, *(a.spent + a.reserved for a in store.accounts([("org", "total")]))])
        (org,) = store.accounts([("org", "total")])
        assert not store.reconcile()
        assert not org.reserved
        store.close()
    reserves = sorted(second for one in timed for second in one.reserves)
    settles = sorted(second for one in timed for second in one.settles)
    seconds = max(one.ended for one in timed) - min(one.began for one in timed)
    return {
        "system": system,
        "processes": 1 if system == "memory" else plan.workers,
        "threads": plan.workers if system == "memory" else 1,
        "cap_calls": round(plan.cap * plan.workers * plan.calls),
        "overshoot_pct": max(0.0, 100 * (peak - limit) / limit),
        "unused_pct": max(0.0, 100 * (limit - org.spent) / limit),
        "reserves_per_s": round(len(reserves) / seconds),
        **{f"{name}_ms": round(1000 * value, 4) for name, value in _quantiles(reserves)},
        **{f"settle_{name}_ms": round(1000 * value, 4) for name, value in _quantiles(settles)},
        "n": len(reserves),
    }


def _quantiles(values: Sequence[float]) -> Iterator[tuple[str, float]]:
    yield "p50", values[len(values) // 2]
    yield "p99", values[int(len(values) * 0.99)]
    yield "max", values[-1]


def _threads(store: BudgetStore, plan: Plan) -> Iterator[Timed | None]:
    """Run the workers as threads; gives nothing now and then, for the monitor to look."""
    done = list[Timed]()
    threads = [threading.Thread(target=lambda n=n: done.append(work(store, plan, n))) for n in range(plan.workers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        yield None
        time.sleep(0.001)
    yield from done


def _processes(store: BudgetStore, plan: Plan) -> Iterator[Timed | None]:
    """Run the workers as processes that begin together."""
    gate, queue = _FORK.Barrier(plan.workers), _FORK.SimpleQueue()

    def begin(worker: int) -> None:
        store.accounts()  # the connection is opened here, and is not measured
        gate.wait()
        queue.put(work(store, plan, worker))

    processes = [_FORK.Process(target=begin, args=(worker,)) for worker in range(plan.workers)]
    for process in processes:
        process.start()
    waiting = plan.workers
    while waiting:
        if queue.empty():
            yield None
            time.sleep(0.001)
        else:
            waiting -= 1
            yield queue.get()
    for process in processes:
        process.join()


def measure(workers: int, calls: int) -> Iterable[dict[str, Any]]:
    """All rows: alone, all at once, and all at once for the last calls of a session."""
    ours = [system for system in SYSTEMS if not system.startswith("naive")]
    for system in ours:
        yield storm(system, Plan(1, calls))
    for system in SYSTEMS:
        yield storm(system, Plan(workers, calls))
    for system in SYSTEMS:
        yield storm(system, Plan(workers, 3, cap=6 / (3 * workers), even=True, call_s=0.05))


def main() -> None:
    """Measure and publish."""
    arguments = parser(__doc__)
    arguments.add_argument("--calls", type=int, default=1000, help="how many calls each process makes")
    arguments.add_argument("--processes", type=int, default=8, help="how many ask at once")
    arguments.add_argument("--kills", type=int, default=0, help="kill processes that often instead")
    options = arguments.parse_args()
    if options.kills:
        publish("limits", [survive(options.kills)], options.json)
        return
    publish("limits", list(measure(options.processes, options.calls)), options.json)


if __name__ == "__main__":
    main()
