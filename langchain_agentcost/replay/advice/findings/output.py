"""Answers, and not prompts, are what most of the money goes into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from langchain_agentcost.finops.amounts import written_share
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.detector import Detector
from langchain_agentcost.replay.advice.finding import Finding, Kept, Manner
from langchain_agentcost.replay.advice.saved import Saved
from langchain_agentcost.replay.advice.seen import AS_IT_WAS, SeenRun, Unit
from langchain_agentcost.replay.advice.thresholds import OUTPUT_CUT, OUTPUT_SHARE
from langchain_agentcost.replay.strategy import Fidelity

CODE = """
from langchain_agentcost import Budget, CostMeter

short = model.bind(max_tokens={most})  # and ask for short answers: a cut one is no use
meter = CostMeter(budgets=[Budget(output_tokens={most}, per="step", on_limit="warn")])
"""

ROOM = 4
"""How many mean answers a limit leaves room for."""


class OutputMainCost(Detector):
    """The share of output in the bill with prompt caching on: what is left when input is cheap."""

    kind: ClassVar[str] = "output"
    title: ClassVar[str] = "Output is the main cost"
    manner: ClassVar[Manner] = Manner(
        "a prompt, or a setting of the model", "faster: output is what takes time", "shorter answers may say less"
    )

    def __init__(self, bill: Bill, floor: QualityFloor) -> None:
        super().__init__(bill, floor)
        self._output = self._whole = self._successes = 0
        self._saved = Saved()

    def see(self, run: SeenRun) -> None:
        """Add what a run's answers cost; tokens without a price say nothing of that."""
        if run.unit is not Unit.USD:
            return
        cached = run.outcomes[AS_IT_WAS]
        self._output += cached.output_nano
        self._whole += cached.on_nano
        self._saved.add(run.task, round(run.billed(cached.output_nano) * OUTPUT_CUT), run.amount)

    def finding(self) -> Finding | None:
        """Say so where it is more than half."""
        if not self._whole or self._output <= OUTPUT_SHARE * self._whole:
            return None
        mean = self.bill.output_tokens / self.bill.calls
        facts: dict[str, object] = {"output_pct": 100 * self._output / self._whole, "mean_output_tokens": mean}
        saving = self._saved.saving(self.bill.unit, Fidelity.PRICE_BOUND)
        code = CODE.format(most=max(1, round(ROOM * mean)))
        return self.found(saving, self._evidence(mean), facts, code=code, kept=Kept(self.floor, 0, 0))

    def unjudged(self) -> str | None:
        """Say that tokens without a price tell nothing."""
        return None if self._whole else "no price is known"

    def _evidence(self, mean: float) -> Iterator[str]:
        share = written_share(self._output / self._whole)
        yield f"with prompt caching on, {share} of the bill is output: {mean:,.0f} tokens an answer"
        yield f"the saving is what {OUTPUT_CUT:.0%} shorter answers would save; how short they can be is not recorded"
