"""How much the traffic repeats itself: the most that a cache could ever give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from langchain_agentcost.finops.amounts import written_share
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.detector import Detector
from langchain_agentcost.replay.advice.finding import Finding, Kept, Manner
from langchain_agentcost.replay.advice.saved import WhatIf
from langchain_agentcost.replay.advice.seen import SeenRun
from langchain_agentcost.replay.advice.thresholds import REPEATED_READS, REPEATED_RESPONSES
from langchain_agentcost.replay.strategies.response_cache import ResponseCache
from langchain_agentcost.replay.strategies.tool_cache import ToolCache
from langchain_agentcost.replay.strategy import Strategy, label

CODE = """
from langchain_agentcost.caching import CachedRunnable, SemanticCache

# Equal prompts of one tenant; without embeddings=False, similar ones too, once audits prove that few are wrong:
cached = CachedRunnable(model, SemanticCache("sqlite:///answers.db", scope="tenant", embeddings=False))
"""

TOOL_CODE = """
from langgraph.prebuilt import ToolNode

from langchain_agentcost.caching import ToolCache, ToolCachePolicy

# Say what reads, and of what; whatever is not named here writes, and ends the reads:
cache = ToolCache({"read": ToolCachePolicy("read", scope="tenant", ttl_s=3600, tags=("records",))})
node = ToolNode(tools, wrap_tool_call=cache.wrap_tool_call, awrap_tool_call=cache.awrap_tool_call)
"""

ALL, SAFE = ToolCache(state="shared", invalidate=False), ToolCache(state="shared")


class Repeats(Detector):
    """Prompts that another task sent to the letter, and reads of tools that another call made before."""

    kind: ClassVar[str] = "repeats"
    title: ClassVar[str] = "The traffic repeats itself"
    manner: ClassVar[Manner] = Manner(
        "some lines, and a key that says whose state it is", "hits are at once", "a stale or a wrong answer is served"
    )
    needs: ClassVar[tuple[Strategy, ...]] = (ResponseCache(), ALL, SAFE)

    def __init__(self, bill: Bill, floor: QualityFloor) -> None:
        super().__init__(bill, floor)
        self._answers = WhatIf(label(ResponseCache()))
        self._all, self._safe = WhatIf(label(ALL)), WhatIf(label(SAFE))
        self._calls = 0

    def see(self, run: SeenRun) -> None:
        """Look for what was there before."""
        self._calls += len(run.calls)
        for tried in (self._answers, self._all, self._safe):
            tried.add(run)

    def finding(self) -> Finding | None:
        """Say so where a twentieth of the prompts, or a tenth of the tools' reads, was there before."""
        hits, reads = self._answers.tally["response_hits"], self._all.tally["tool_reads"]
        by_answer = bool(self._answers.runs) and hits >= REPEATED_RESPONSES * self._calls
        by_tool = bool(reads) and self._all.tally["tool_hits"] >= REPEATED_READS * reads
        if not (by_answer or by_tool):
            return None
        wrong = self._answers.tally["wrong_action_hits"]
        facts: dict[str, object] = {
            "calls": self._calls,
            "response_hits": hits,
            "wrong_action_hits": wrong,
            "tool_reads": reads,
            "tool_hits": self._all.tally["tool_hits"],
            "stale_hits": self._all.tally["stale_hits"],
            "tool_hits_invalidated": self._safe.tally["tool_hits"],
            "stale_hits_invalidated": self._safe.tally["stale_hits"],
        }
        right = Kept(replace(self.floor, metric="hits that do the same"), hits - wrong, hits)
        saving = self._answers.saved.saving(self.bill.unit, ResponseCache.fidelity)
        code = CODE if by_answer else TOOL_CODE
        return self.found(saving, self._evidence(hits, wrong), facts, code=code, kept=right if hits else None)

    def unjudged(self) -> str | None:
        """Say that texts are not known, or that nobody could have asked before."""
        if not (self._answers.runs or self._all.runs):
            return "the texts of the runs are not known"
        return "there is one task only" if len(self.bill.tasks) < 2 else None

    def _evidence(self, hits: int, wrong: int) -> Iterator[str]:
        yield (
            f"{hits:,} of {self._calls:,} prompts ({written_share(hits / self._calls)}) were sent by another task to "
            f"the letter; {wrong:,} of those got an answer that does something else"
        )
        for tried, when in ((self._all, "whatever was written"), (self._safe, "until the run writes")):
            reads, found, stale = (tried.tally[name] for name in ("tool_reads", "tool_hits", "stale_hits"))
            if reads:
                yield (
                    f"{found:,} of {reads:,} tool reads ({written_share(found / reads)}) were made before, {when}; "
                    f"{stale:,} of those gave another result"
                )
        yield "a tool hit saves time and what the tool costs, and no token: the result is sent all the same"
