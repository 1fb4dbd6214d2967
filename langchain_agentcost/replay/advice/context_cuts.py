"""Ways to send less of what has piled up, tried on the same runs: the best of them, and what each would harm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from langchain_agentcost.finops.amounts import written_share
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.finding import Kept
from langchain_agentcost.replay.advice.saved import WhatIf
from langchain_agentcost.replay.advice.seen import SeenRun
from langchain_agentcost.replay.run import ACTING, DANGLING
from langchain_agentcost.replay.strategies.context import EvictContext
from langchain_agentcost.replay.strategies.masking import MaskBatched
from langchain_agentcost.replay.strategies.reference import Reference
from langchain_agentcost.replay.strategies.summarize import Summarize
from langchain_agentcost.replay.strategies.truncate import Truncate
from langchain_agentcost.replay.strategy import Strategy, label

TRUNCATE = """
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain_core.messages import ToolMessage

@wrap_tool_call
def cut(request, handler):
    result = handler(request)
    if isinstance(result, ToolMessage) and len(result.text) > 2_000:  # some 500 tokens
        return result.model_copy(update={"content": f"{result.text[:2_000]}\\n[cut]"})
    return result

agent = create_agent(model, tools, middleware=[cut])
"""

MASK = """
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_core.messages import ToolMessage

@wrap_model_call
def clear_in_batches(request, handler):
    results = [one for one in request.messages if isinstance(one, ToolMessage)]
    cleared = max(0, len(results) - 3) // 11 * 11  # 11 at once; 3 or more stay
    old = {id(one) for one in results[:cleared]}
    note = {"content": "[old tool result removed]"}
    sent = [one.model_copy(update=note) if id(one) in old else one for one in request.messages]
    return handler(request.override(messages=sent))

agent = create_agent(model, tools, middleware=[clear_in_batches])
"""

REFER = """
from langchain.agents import create_agent
from langchain_agentcost.context import ReferenceMiddleware, References

agent = create_agent(model, tools, middleware=[ReferenceMiddleware(References())])
"""

EVICT = """
from langchain.agents import create_agent
from langchain_agentcost.context import ContextMiddleware

agent = create_agent(model, tools, middleware=[ContextMiddleware()])
"""

SUMMARIZE = """
from langchain.agents import create_agent
from langchain_agentcost.context import (
    Action, ContextMiddleware, ContextProjector, EvictionPolicy, FreshWriter, Summarizer
)

policy = EvictionPolicy(keep=5, actions=frozenset({Action.SUMMARISE}))
summarizer = Summarizer(FreshWriter(model), max_tokens=1_000)
# the replay was stricter: it left prompts of up to 16,000 tokens as they are
projector = ContextProjector(policy=policy, summarizer=summarizer)
agent = create_agent(model, tools, middleware=[ContextMiddleware(projector)])
"""

TRUNCATED, REFERRED, MASKED = Truncate(), Reference(), MaskBatched()
EVICTED, SUMMARIZED = EvictContext(), Summarize()

CODE: Mapping[str, str] = {
    label(TRUNCATED): TRUNCATE,
    label(REFERRED): REFER,
    label(MASKED): MASK,
    label(EVICTED): EVICT,
    label(SUMMARIZED): SUMMARIZE,
}
"""The lines that do what each strategy does."""


class Cuts:
    """Several strategies on the same runs.

    Args:
        strategies: The strategies.
    """

    def __init__(self, strategies: Sequence[Strategy]) -> None:
        self._strategies = {label(strategy): strategy for strategy in strategies}
        self._tried = {name: WhatIf(name) for name in self._strategies}

    def add(self, run: SeenRun) -> None:
        """Add a run."""
        for tried in self._tried.values():
            tried.add(run)

    def best(self) -> tuple[Strategy, WhatIf] | None:
        """Give the one that saves most with prompt caching on; None where none could be replayed."""
        done = [(name, tried) for name, tried in self._tried.items() if tried.runs]
        if not done:
            return None
        name, most = max(done, key=lambda item: item[1].saved.amount)
        return self._strategies[name], most

    def evidence(self) -> Iterator[str]:
        """Say what each would save, with prompt caching on and off, and what it takes away."""
        for name, tried in self._tried.items():
            if not tried.runs:
                continue
            strategy = self._strategies[name]
            on, off = tried.saved.on_pct() or 0.0, tried.saved.off_pct() or 0.0
            yield (
                f"{name} ({strategy.fidelity}): saves {on:.1f}% with prompt caching, {off:.1f}% without; {_harm(tried)}"
            )

    def kept(self, tried: WhatIf, floor: QualityFloor) -> Kept:
        """Give the successes that a strategy took nothing from, against the floor; none where texts are not known."""
        named = replace(floor, metric="successes that miss nothing they used")
        if not tried.tally[ACTING]:
            return Kept(named, 0, 0)
        return Kept(named, tried.successes - tried.touched, tried.successes)


def _harm(tried: WhatIf) -> str:
    acting = tried.tally[ACTING]
    if not acting:
        return "what steps would miss is not known without texts"
    fetched = f", {tried.tally['fetches']:,} fetches paid" if tried.tally["fetches"] else ""
    return f"{written_share(tried.tally[DANGLING] / acting)} of the steps that act would miss what they used{fetched}"
