"""A model that is streamed as part of a chain is one call, booked as the provider counted it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda, RunnableParallel

from langchain_agentcost import CostMeter
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

MODEL = FakeMeteredChatModel(answers=["one two three four"], counts=FakeCounts(700, 4), token_latency_s=0.02)

CHAINS: dict[str, Any] = {
    "parser": MODEL | StrOutputParser(),
    "lambda": RunnableLambda(lambda text: text) | MODEL,
    "parallel": RunnableParallel(said=MODEL),
    "fallback": MODEL.with_fallbacks([MODEL]),
}
"""LangChain makes each piece of their async streams in a task of its own."""

every_chain = pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)


def booked(meter: CostMeter) -> list[tuple[str, int]]:
    """How the model's calls ended, and their prompts."""
    entries = meter.ledger.entries({"kind": "llm"})
    return [(entry.status, entry.usage.input_tokens if entry.usage is not None else 0) for entry in entries]


@every_chain
async def test_a_whole_stream_is_booked_as_it_was_counted(chain: Any) -> None:
    """No piece's end is taken for the end of the call."""
    meter = CostMeter()
    _ = [piece async for piece in chain.astream("Hi", {"callbacks": meter.callbacks})]
    assert booked(meter) == [("ok", 700)]


@every_chain
async def test_a_stream_that_is_cancelled_is_booked_as_aborted(chain: Any) -> None:
    """What was paid by then is estimated."""
    meter, begun = CostMeter(), asyncio.Event()

    async def read() -> None:
        async for _ in chain.astream("Hi", {"callbacks": meter.callbacks}):
            begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.sleep(0.05)
    assert [status for status, _ in booked(meter)] == ["aborted"]
