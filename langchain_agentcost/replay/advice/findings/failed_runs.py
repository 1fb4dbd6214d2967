"""Money that went into runs which failed, and how much of it a step limit would have kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from langchain_agentcost.finops.amounts import written_share
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.detector import Detector
from langchain_agentcost.replay.advice.finding import Finding, Kept, Manner, amount_of
from langchain_agentcost.replay.advice.seen import SeenRun
from langchain_agentcost.replay.advice.step_caps import StepCaps
from langchain_agentcost.replay.advice.thresholds import FAILED_PCT
from langchain_agentcost.replay.strategy import Fidelity

CODE = """
from langchain_agentcost import Budget, CostMeter

meter = CostMeter(budgets=[Budget(steps={steps}, per="run")])
answer = agent.invoke(question, {{"callbacks": [meter]}})
"""

NO_CAP = """
from langchain_agentcost import CostMeter

meter = CostMeter()  # no step limit tells these runs from those that succeed: find out why they fail
answer = agent.invoke(question, {"callbacks": [meter], "run_id": run_id})
meter.record_outcome("solved", success=False, run=run_id)
print(meter.report(by="outcome"))
"""


class FailedRuns(Detector):
    """What failed runs cost is a ceiling. What can be had of it is measured with step limits, each on other tasks."""

    kind: ClassVar[str] = "failed_runs"
    title: ClassVar[str] = "Money goes into runs that fail"
    manner: ClassVar[Manner] = Manner("one line", "runs that get nowhere end sooner", "a slow success is stopped")

    def __init__(self, bill: Bill, floor: QualityFloor) -> None:
        super().__init__(bill, floor)
        self._caps = StepCaps()
        self._failed = self._judged = self._failures = 0

    def see(self, run: SeenRun) -> None:
        """Add a run that was judged."""
        if run.success is None:
            return
        self._judged += run.amount
        self._caps.add(run)
        if not run.success:
            self._failed += run.amount
            self._failures += 1

    def finding(self) -> Finding | None:
        """Say so where failed runs took a fifth of the bill."""
        if not self._judged or 100 * self._failed < FAILED_PCT * self._judged:
            return None
        tried = self._caps.tried()
        cap = self._caps.cap()
        kept = Kept(self.floor, tried.kept, tried.successes)
        saving = tried.saved.saving(self.bill.unit, Fidelity.EXACT)
        facts: dict[str, object] = {
            "failed_runs": self._failures,
            "judged_runs": self.bill.judged,
            "failed_pct": 100 * self._failed / self._judged,
            "dearer": self._dearer(),
            "step_limit": cap,
            "successes_killed": tried.successes - tried.kept,
        }
        code = NO_CAP if cap is None or saving.amount <= 0 else CODE.format(steps=cap)
        return self.found(saving, self._evidence(cap), facts, code=code, kept=kept)

    def unjudged(self) -> str | None:
        """Say that it is not known which runs failed."""
        return None if self.bill.judged else "nobody said of a run whether it succeeded"

    def _dearer(self) -> float | None:
        """How many times a success a failure costs."""
        succeeded = self._judged - self._failed
        if not succeeded or not self.bill.successes:
            return None
        return (self._failed / self._failures) / (succeeded / self.bill.successes)

    def _evidence(self, cap: int | None) -> Iterator[str]:
        dearer = self._dearer()
        than = "" if dearer is None else f"; one costs {dearer:.2f} times a run that succeeds"
        spent = amount_of(self.bill.unit, self._failed)
        yield (
            f"{self._failures:,} of {self.bill.judged:,} judged runs failed, and took "
            f"{spent}, {written_share(self._failed / self._judged)} of their bill{than}: "
            "no measure can save more"
        )
        if cap is None:
            yield "no run succeeded, so nothing tells what a run needs"
        else:
            yield (
                f"a limit of {cap:,} steps stops none of the recorded successes; the saving is that of limits which "
                "were each chosen on one half of the tasks and tried on the other"
            )
