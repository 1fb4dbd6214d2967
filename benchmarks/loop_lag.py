"""How long do limits hold up an event loop? Whatever a callback of an async graph waits for, all of the loop waits for.

Many tasks call a model on one loop. What is measured is the time that each of the meter's events keeps the loop, by the
wall clock (which counts other processes' turns on a busy machine too) and by the thread's own CPU clock, and how late a
ticker on the same loop comes. The peer is the meter without limits, in the same run.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import perf_counter, thread_time
from typing import Any

import rows

from langchain_agentcost import Budget, CostMeter
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

EVENTS = ("on_chat_model_start", "on_llm_end")

TICK_S = 0.001


def budgets() -> list[Budget]:
    """Three budgets that every call is on, and that never run out: the first of each kind that teams start with."""
    return [
        Budget(usd=1_000_000, per="tenant", window="day"),
        Budget(usd=1_000, per="session"),
        Budget(steps=1_000_000),
    ]


@contextmanager
def meter_of(system: str, folder: Path) -> Iterator[CostMeter]:
    """The meter of a system: its ledger, and its limits if it has some."""
    ledger = None if "memory" in system else f"sqlite:///{folder / 'costs.db'}"
    with CostMeter(ledger, budgets=budgets() if "limits" in system else ()) as meter:
        yield meter


class Clock:
    """Measures what a meter's events take."""

    def __init__(self, meter: CostMeter) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        for event in EVENTS:
            setattr(meter, event, self._timed(getattr(meter, event)))

    def _timed(self, event: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> None:
            wall, cpu = perf_counter(), thread_time()
            try:
                event(*args, **kwargs)
            finally:
                self.cpu.append(thread_time() - cpu)
                self.wall.append(perf_counter() - wall)

        return timed


async def load(meter: CostMeter, *, tasks: int, calls: int) -> list[float]:
    """Call a model from many tasks, and say how late a ticker on the loop was, in seconds."""
    model = FakeMeteredChatModel(counts=FakeCounts(1_000, 50), latency_s=0.02).bind(max_tokens=500)
    late: list[float] = []

    async def tick() -> None:
        while True:
            due = perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            late.append(perf_counter() - due)

    async def work(number: int) -> None:
        config: Any = {"callbacks": [meter], "metadata": {"tenant": "acme", "session": f"s{number}"}}
        for _ in range(calls):
            await model.ainvoke("How long does it take?", config)

    ticker = asyncio.create_task(tick())
    await asyncio.gather(*(work(number) for number in range(tasks)))
    ticker.cancel()
    return late


def measure(system: str, *, tasks: int, calls: int) -> dict[str, Any]:
    """One row."""
    with TemporaryDirectory() as folder, meter_of(system, Path(folder)) as meter:
        asyncio.run(load(meter, tasks=tasks, calls=2))  # what is slow the first time is not what is asked about
        clock = Clock(meter)
        late = asyncio.run(load(meter, tasks=tasks, calls=calls))
    wall, cpu, lag = (quantiles([second * 1e3 for second in taken], n=1000) for taken in (clock.wall, clock.cpu, late))
    return {
        "system": system, "tasks": tasks, "blocked_p50_ms": wall[499], "blocked_p99_ms": wall[989],
        "blocked_max_ms": max(clock.wall) * 1e3, "cpu_p50_ms": cpu[499], "cpu_p99_ms": cpu[989],
        "loop_late_p50_ms": lag[499], "loop_late_p99_ms": lag[989], "n": len(clock.wall),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = rows.parser(__doc__)
    parser.add_argument("--tasks", type=int, default=8, help="how many tasks call at once")
    parser.add_argument("--calls", type=int, default=400, help="calls of each task")
    given = parser.parse_args(arguments)
    logging.getLogger("langchain_agentcost.alerts").setLevel(logging.ERROR)
    systems = ("memory", "memory with limits", "sqlite", "sqlite with limits")
    rows.publish("loop_lag", [measure(s, tasks=given.tasks, calls=given.calls) for s in systems], given.json)


if __name__ == "__main__":
    main(sys.argv[1:])
