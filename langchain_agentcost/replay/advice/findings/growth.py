"""The longer a run, the more each call sends: input grows faster than the number of calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from langchain_agentcost.finops.amounts import written_share
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.context_cuts import CODE, EVICTED, MASKED, SUMMARIZED, Cuts
from langchain_agentcost.replay.advice.detector import Detector
from langchain_agentcost.replay.advice.exponent import Exponent
from langchain_agentcost.replay.advice.finding import Finding, Manner
from langchain_agentcost.replay.advice.seen import SeenRun
from langchain_agentcost.replay.advice.thresholds import FIT_RUNS, FIT_SPREAD, SUPERLINEAR
from langchain_agentcost.replay.strategy import Strategy


class ContextGrowth(Detector):
    """The exponent of total input over calls is fitted over runs; then ways to keep the context short are tried."""

    kind: ClassVar[str] = "context_growth"
    title: ClassVar[str] = "The context grows faster than the number of calls"
    manner: ClassVar[Manner] = Manner(
        "some lines", "faster late in a run; a summary is one more call", "the agent may miss what was taken out"
    )
    needs: ClassVar[tuple[Strategy, ...]] = (MASKED, EVICTED, SUMMARIZED)

    def __init__(self, bill: Bill, floor: QualityFloor) -> None:
        super().__init__(bill, floor)
        self._cuts = Cuts(self.needs)

    def see(self, run: SeenRun) -> None:
        """Try the strategies on a run."""
        self._cuts.add(run)

    def finding(self) -> Finding | None:
        """Say so where the exponent is surely above 1.5: more than half of what is sent has piled up."""
        fitted, best = self.bill.growth.fit(), self._cuts.best()
        if fitted is None or best is None or fitted.low <= SUPERLINEAR:
            return None
        strategy, tried = best
        facts: dict[str, object] = {
            "exponent": fitted.p,
            "exponent_low": fitted.low,
            "exponent_high": fitted.high,
            "strategy": tried.strategy,
            "counts": dict(tried.tally),
        }
        saving = tried.saved.saving(self.bill.unit, strategy.fidelity)
        kept, code = self._cuts.kept(tried, self.floor), CODE[tried.strategy]
        return self.found(saving, self._evidence(fitted), facts, code=code, kept=kept)

    def unjudged(self) -> str | None:
        """Say that no exponent can be fitted, or that nothing could be tried."""
        if self.bill.growth.fit() is None:
            return f"it takes {FIT_RUNS} runs of several tasks, one with {FIT_SPREAD:g} times the calls of another"
        return None if self._cuts.best() is not None else "the texts of the runs are not known"

    def _evidence(self, fitted: Exponent) -> Iterator[str]:
        twice = 2**fitted.p
        yield (
            f"a run's input grows as calls^{fitted}: twice the calls send {twice:.1f} times the tokens, and about "
            f"{written_share(min(1.0, fitted.p - 1))} of what is sent has piled up"
        )
        yield from self._cuts.evidence()
