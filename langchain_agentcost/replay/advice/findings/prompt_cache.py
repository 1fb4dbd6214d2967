"""The provider offers a prompt cache, and it is not hit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from langchain_agentcost.finops.amounts import written_share
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.detector import Detector
from langchain_agentcost.replay.advice.finding import Finding, Manner, tokens_of
from langchain_agentcost.replay.advice.saved import Saved
from langchain_agentcost.replay.advice.seen import AS_IT_WAS, WARM, SeenRun, Unit
from langchain_agentcost.replay.advice.thresholds import UNHIT_SHARE
from langchain_agentcost.replay.strategy import Fidelity

MARKED = """
from langchain.agents import create_agent
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware

caching = AnthropicPromptCachingMiddleware(ttl="5m")
agent = create_agent(model, tools, middleware=[caching])
"""

AUTOMATIC = """
from langchain_agentcost import CostMeter

# This provider caches unasked, where a prompt begins as the last one did, minutes ago.
meter = CostMeter(prefix_monitor=True)  # warns of what changes at the beginning
answer = agent.invoke(question, {"callbacks": [meter]})
print(meter.report(by="model"))  # says what share of the input came from the cache
"""


class PromptCacheNotHit(Detector):
    """What the cache served is compared with what its terms promise for the recorded prompts, from a cold start."""

    kind: ClassVar[str] = "prompt_cache"
    title: ClassVar[str] = "The provider's prompt cache is not hit"
    manner: ClassVar[Manner] = Manner("one line", "faster: what is cached is not read again", "none: the same prompts")

    def __init__(self, bill: Bill, floor: QualityFloor) -> None:
        super().__init__(bill, floor)
        self._cold, self._warm = Saved(), Saved()
        self._served = self._promised = self._sent = self._runs = 0
        self._automatic = False
        self._missing = "no prompt cache of the model is known, or no price"
        self._fidelity = Fidelity.EXACT

    def see(self, run: SeenRun) -> None:
        """Compare a run, if it is known of all its calls what the cache served."""
        terms = run.tariff.terms if run.tariff is not None and run.unit is Unit.USD else None
        reads = [call.read_tokens for call in run.calls if call.read_tokens is not None]
        if terms is None:
            return
        if len(reads) < len(run.calls):
            self._missing = "it is not recorded what the cache served"
            return
        cold = run.outcomes[AS_IT_WAS]
        self._runs += 1
        self._automatic = terms.automatic
        self._served += sum(reads)
        self._promised += cold.read_tokens
        self._sent += run.input_tokens
        self._cold.add(run.task, run.amount - run.billed(cold.on_nano), run.amount)
        warm = run.outcomes.get(WARM)
        if not run.surely:
            self._fidelity = Fidelity.PRICE_BOUND
        if warm is not None:
            self._warm.add(run.task, run.amount - run.billed(warm.on_nano), run.amount)

    def finding(self) -> Finding | None:
        """Say so where the cache served less than half of what it promises."""
        if not self._promised or self._served >= UNHIT_SHARE * self._promised:
            return None
        saving = self._cold.saving(Unit.USD, self._fidelity)
        facts: dict[str, object] = {
            "input_tokens": self._sent,
            "read_tokens": self._served,
            "promised_read_tokens": self._promised,
            "warm_pct": self._warm.saving_pct() if self._warm.tasks else None,
        }
        return self.found(saving, self._evidence(), facts, code=AUTOMATIC if self._automatic else MARKED)

    def unjudged(self) -> str | None:
        """Say that nothing is known of the cache, or that no prompt goes on from another."""
        if not self._runs:
            return self._missing
        return "no run has a second call" if not self._promised and self.bill.calls == self.bill.runs else None

    def _evidence(self) -> Iterator[str]:
        served, promised = self._served / self._sent, self._promised / self._sent
        yield (
            f"of {tokens_of(self._sent)} sent in {self._runs:,} runs, {written_share(served)} came from the cache, as "
            f"recorded or told by the recorded cost; by its terms {written_share(promised)} would, from a cold start"
        )
        if self._warm.tasks:
            warm = self._warm.saving_pct()
            yield f"where runs follow each other within minutes, so that the cache is warm, it saves {warm:.1f}%"
        if self._fidelity is Fidelity.PRICE_BOUND:
            yield "how far prompts go on from each other is told by their lengths only, which is an upper bound"
