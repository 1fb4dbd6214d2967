"""Five events that every tool meets and prices wrong somewhere, through the real provider classes over real HTTP.

No other meter that was measured gets more than two of these five right. The truth is each provider's own list price,
written out here, not read from the package that is under test.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.caches import InMemoryCache
from langchain_openai import ChatOpenAI

from langchain_agentcost import CostMeter
from tests.canned_provider import CannedProvider, anthropic_message, openai_chat

MILLION = Decimal(1_000_000)

CACHED = {
    "prompt_tokens": 10_000,
    "completion_tokens": 500,
    "total_tokens": 10_500,
    "prompt_tokens_details": {"cached_tokens": 8_192},
}
MINI = (1_808 * Decimal("0.15") + 8_192 * Decimal("0.075") + 500 * Decimal("0.60")) / MILLION
"""gpt-4o-mini: $0.15 input, $0.075 cached input, $0.60 output per million tokens."""

HOUR = {
    "input_tokens": 2_000,
    "output_tokens": 500,
    "cache_creation_input_tokens": 18_000,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 18_000},
}
HAIKU = (2_000 * Decimal(1) + 18_000 * Decimal(2) + 500 * Decimal(5)) / MILLION
"""claude-haiku-4-5: $1 input, $2 to write the cache for an hour, $5 output."""

PRIORITY = {
    "prompt_tokens": 10_000,
    "completion_tokens": 1_000,
    "total_tokens": 11_000,
    "prompt_tokens_details": {"cached_tokens": 4_096},
}
PRIORITY_54 = (5_904 * Decimal(5) + 4_096 * Decimal("0.5") + 1_000 * Decimal(30)) / MILLION
"""gpt-5.4 on the priority tier: twice the list price."""


def openai(provider: CannedProvider, model: str, **settings: Any) -> ChatOpenAI:
    """The real class, pointed at the loopback."""
    return ChatOpenAI(model=model, base_url=provider.openai_url, api_key="none", max_retries=0, **settings)  # type: ignore[arg-type]


def spent(meter: CostMeter) -> Decimal:
    """What the meter says was spent, with nothing left unpriced, estimated or flagged."""
    [total] = meter.ledger.totals()
    assert (total.unpriced_calls, total.estimated_calls, total.flagged_calls) == (0, 0, 0)
    return total.cost.usd


@pytest.mark.parametrize("streamed", [False, True], ids=["cached input", "cached input, streamed"])
def test_cached_input(streamed: bool) -> None:
    """Cached tokens have their own price, streamed or not."""
    with CannedProvider(openai_chat(usage=CACHED, model="gpt-4o-mini-2024-07-18")) as provider, CostMeter() as meter:
        model = openai(provider, "gpt-4o-mini", stream_usage=True)
        config: Any = {"callbacks": meter.callbacks}
        _ = list(model.stream("Hi", config)) if streamed else model.invoke("Hi", config)
        assert spent(meter) == MINI == Decimal("0.0011856")


def test_a_cache_write_for_an_hour() -> None:
    """It costs twice the input price, and langchain-anthropic reports it under a key of its own."""
    with CannedProvider(anthropic_message(usage=HOUR)) as provider, CostMeter() as meter:
        model = ChatAnthropic(model_name="claude-haiku-4-5", base_url=provider.url, api_key="none", max_retries=0)  # type: ignore[call-arg,arg-type]
        model.invoke("Hi", {"callbacks": meter.callbacks})
        assert spent(meter) == HAIKU == Decimal("0.0405")


def test_the_priority_tier() -> None:
    """langchain-openai prefixes the detail keys, and every price doubles."""
    body = openai_chat(usage=PRIORITY, model="gpt-5.4", service_tier="priority")
    with CannedProvider(body) as provider, CostMeter() as meter:
        openai(provider, "gpt-5.4", service_tier="priority").invoke("Hi", {"callbacks": meter.callbacks})
        assert spent(meter) == PRIORITY_54 == Decimal("0.061568")


def test_a_langchain_cache_hit() -> None:
    """Two calls, one of them served by LangChain's own cache, cost one call."""
    with CannedProvider(openai_chat(usage=CACHED, model="gpt-4o-mini-2024-07-18")) as provider, CostMeter() as meter:
        model = openai(provider, "gpt-4o-mini", cache=InMemoryCache())
        for _ in range(2):
            model.invoke("Hi", {"callbacks": meter.callbacks})
        assert len(provider.requests) == 1
        assert spent(meter) == MINI
        assert meter.ledger.totals()[0].saved.usd == MINI
