"""Tool results are the largest part of what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from langchain_agentcost.finops.amounts import written_share
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.context_cuts import CODE, EVICTED, MASKED, REFERRED, TRUNCATED, Cuts
from langchain_agentcost.replay.advice.detector import Detector
from langchain_agentcost.replay.advice.finding import Finding, Manner
from langchain_agentcost.replay.advice.seen import SeenRun
from langchain_agentcost.replay.advice.thresholds import DOMINANT_SHARE
from langchain_agentcost.replay.strategy import Strategy
from langchain_agentcost.replay.sums import PARTS

_RESULTS = PARTS.index("tool results")


class ToolResults(Detector):
    """What is sent is added up by what it is; then ways to send less of the results are tried, and compared."""

    kind: ClassVar[str] = "tool_results"
    title: ClassVar[str] = "Tool results are the largest part of what is sent"
    manner: ClassVar[Manner] = Manner(
        "some lines", "a little faster; a fetch is one more call", "the agent may miss, or read again, what was cut"
    )
    needs: ClassVar[tuple[Strategy, ...]] = (TRUNCATED, REFERRED, MASKED, EVICTED)

    def __init__(self, bill: Bill, floor: QualityFloor) -> None:
        super().__init__(bill, floor)
        self._parts = [0] * len(PARTS)
        self._cuts = Cuts(self.needs)

    def see(self, run: SeenRun) -> None:
        """Add the parts of what a run sent."""
        if run.parts is not None:
            self._parts = [a + b for a, b in zip(self._parts, run.parts, strict=True)]
            self._cuts.add(run)

    def finding(self) -> Finding | None:
        """Say so where they are the largest of the parts, and a third of it."""
        whole, results, best = sum(self._parts), self._parts[_RESULTS], self._cuts.best()
        if best is None or results < max(self._parts) or results < DOMINANT_SHARE * whole or not results:
            return None
        strategy, tried = best
        facts: dict[str, object] = {
            "parts": dict(zip(PARTS, self._parts, strict=True)),
            "strategy": tried.strategy,
            "counts": dict(tried.tally),
        }
        saving = tried.saved.saving(self.bill.unit, strategy.fidelity)
        kept, code = self._cuts.kept(tried, self.floor), CODE[tried.strategy]
        return self.found(saving, self._evidence(whole), facts, code=code, kept=kept)

    def unjudged(self) -> str | None:
        """Say that it is not known what is sent."""
        return None if self._cuts.best() is not None else "it is not known what the prompts are made of"

    def _evidence(self, whole: int) -> Iterator[str]:
        shares = sorted(zip(PARTS, self._parts, strict=True), key=lambda part: -part[1])
        said = ", ".join(f"{name} {written_share(tokens / whole)}" for name, tokens in shares if tokens)
        yield f"of all tokens that are sent, call by call: {said}"
        yield from self._cuts.evidence()
