"""Tools that are described in every call and never used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import written_share
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.detector import Detector
from langchain_agentcost.replay.advice.finding import Finding, Manner, tokens_of
from langchain_agentcost.replay.advice.saved import WhatIf
from langchain_agentcost.replay.advice.seen import SeenRun
from langchain_agentcost.replay.advice.thresholds import UNUSED_SHARE
from langchain_agentcost.replay.strategies.tool_schemas import PruneTools, PruneToolsOracle
from langchain_agentcost.replay.strategy import Strategy

CODE = """
from langchain.agents import create_agent

unused = {names}
agent = create_agent(model, [tool for tool in tools if tool.name not in unused])
"""

NAMED = 8
"""How many unused tools the evidence names."""


class UnusedTools(Detector):
    """Tools that no run of the traffic used; pruning is replayed as it would have been learned, after some runs."""

    kind: ClassVar[str] = "unused_tools"
    title: ClassVar[str] = "Tools are described in every call and never used"
    manner: ClassVar[Manner] = Manner("one line", "a little faster", "a rare request needs a tool that is not there")
    needs: ClassVar[tuple[Strategy, ...]] = (PruneTools(), PruneToolsOracle())

    def __init__(self, bill: Bill, floor: QualityFloor) -> None:
        super().__init__(bill, floor)
        self._pruned, self._oracle = WhatIf(PruneTools.name), WhatIf(PruneToolsOracle.name)
        self._sent: Counter[str] = Counter()
        self._used: set[str] = set()
        self._seen = 0

    def see(self, run: SeenRun) -> None:
        """Note the tools that a run was given, and those that it used."""
        self._used |= run.used
        self._oracle.add(run)
        for name, tokens in run.tools.items():
            self._sent[name] += tokens * len(run.calls)
        self._seen += 1
        if self._seen > PruneTools().after:
            self._pruned.add(run)

    def finding(self) -> Finding | None:
        """Say so where the unused ones are a twentieth of all input."""
        unused = {name: tokens for name, tokens in self._sent.most_common() if name not in self._used}
        wasted = sum(unused.values())
        if not self._pruned.runs or not wasted or wasted < UNUSED_SHARE * self.bill.input_tokens:
            return None
        facts: dict[str, object] = {
            "unused": list(map(label, unused)),
            "unused_tokens": wasted,
            "tools": len(self._sent),
            "oracle_pct": self._oracle.saved.saving_pct(),
            "counts": dict(self._pruned.tally),
        }
        saving = self._pruned.saved.saving(self.bill.unit, PruneTools.fidelity, of=self.bill.amount)
        code = CODE.format(names=sorted(map(label, unused)))
        return self.found(saving, self._evidence(unused), facts, code=code, kept=self.kept(self._pruned))

    def unjudged(self) -> str | None:
        """Say that no tools are known, or that there are too few runs to learn from."""
        if not self._sent:
            return "no descriptions of tools are known"
        return None if self._pruned.runs else f"it takes {PruneTools().after + 1} runs of known texts"

    def _evidence(self, unused: dict[str, int]) -> Iterator[str]:
        names = ", ".join(map(label, list(unused)[:NAMED])) + (f" and {len(unused) - NAMED}" * (len(unused) > NAMED))
        wasted, after = sum(unused.values()), PruneTools().after
        yield (
            f"{len(unused)} of {len(self._sent)} tools are used by none of {self._seen:,} runs: {names}; they are "
            f"{tokens_of(wasted)}, {written_share(wasted / self.bill.input_tokens)} of what is sent"
        )
        missing = self._pruned.tally["missing_tool"]
        yield (
            f"leaving out what {after} runs did not use saves {self._pruned.saved.saving_pct():.1f}% of the "
            f"{self._pruned.runs:,} runs after them, in which {missing:,} calls would have missed their tool; "
            f"hindsight for each run could not save more than {self._oracle.saved.saving_pct():.1f}%"
        )
