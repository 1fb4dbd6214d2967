"""Runs that repeat themselves and get nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from langchain_agentcost.attribution import label
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.detector import Detector
from langchain_agentcost.replay.advice.finding import Finding, Manner
from langchain_agentcost.replay.advice.saved import WhatIf
from langchain_agentcost.replay.advice.seen import Repetition, SeenRun
from langchain_agentcost.replay.strategies.limits import Breakers
from langchain_agentcost.replay.strategy import Strategy

CODE = """
from langchain_agentcost import CircuitBreaker, CostMeter

meter = CostMeter(breakers=CircuitBreaker.defaults())
answer = agent.invoke(question, {"callbacks": [meter]})
"""


class Loops(Detector):
    """The package's breakers are held over the recorded runs: where they trip, the rest of the run is not paid."""

    kind: ClassVar[str] = "loops"
    title: ClassVar[str] = "Runs repeat themselves and get nowhere"
    manner: ClassVar[Manner] = Manner(
        "one line", "runs that loop end sooner", "a run that would have got out is stopped"
    )
    needs: ClassVar[tuple[Strategy, ...]] = (Breakers(),)

    def __init__(self, bill: Bill, floor: QualityFloor) -> None:
        super().__init__(bill, floor)
        self._broken = WhatIf(Breakers.name)
        self._worst: Repetition | None = None

    def see(self, run: SeenRun) -> None:
        """Hold the breakers over a run."""
        self._broken.add(run)
        found = run.repetition
        if found is not None and (self._worst is None or found.times > self._worst.times):
            self._worst = found

    def finding(self) -> Finding | None:
        """Say so where a run is stopped."""
        broken = self._broken
        if not broken.stopped:
            return None
        facts: dict[str, object] = {
            "runs_stopped": broken.stopped,
            "stops": dict(broken.stops),
            "successes_killed": broken.touched,
            "most_repeated": None if self._worst is None else self._worst.times,
        }
        saving = broken.saved.saving(self.bill.unit, Breakers.fidelity)
        return self.found(saving, self._evidence(), facts, code=CODE, kept=self.kept(broken))

    def unjudged(self) -> str | None:
        """Say that no run could be held against the breakers."""
        return None if self._broken.runs else "the texts of the runs are not known"

    def _evidence(self) -> Iterator[str]:
        broken = self._broken
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in broken.stops.most_common())
        yield (
            f"CircuitBreaker.defaults() stops {broken.stopped:,} of {broken.runs:,} runs ({kinds}), "
            f"{broken.touched:,} of {broken.successes:,} that succeeded among them"
        )
        if self._worst is not None:
            yield f"the longest: {label(self._worst.tool)} {self._worst.times:,} times in one run, alike each time"
