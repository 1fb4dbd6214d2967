"""The real provider classes, from the provider's bytes on loopback to LangSmith's bytes on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.testing.collector import LangSmithCollector
from tests.canned_provider import CannedProvider, anthropic_message, openai_chat
from tests.exporters.langsmith_world import Traced, costs, exactly, metadata

CACHED = {
    "prompt_tokens": 10_000,
    "completion_tokens": 500,
    "total_tokens": 10_500,
    "prompt_tokens_details": {"cached_tokens": 8_192},
}
HOUR = {
    "input_tokens": 2_000,
    "output_tokens": 500,
    "cache_creation_input_tokens": 18_000,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 18_000},
}
MINI = "gpt-4o-mini-2024-07-18"


@pytest.fixture
def traced() -> Iterator[Traced]:
    """A tracer with list prices."""
    with LangSmithCollector(zstd=True) as running:
        yield Traced(running, prices=PriceBook())


def _openai(provider: CannedProvider, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-4o-mini", base_url=provider.openai_url, api_key="none", max_retries=0, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["invoke", "stream", "astream"])
async def test_cached_input_of_openai(traced: Traced, how: str) -> None:
    """0.15, 0.075 and 0.60 USD a million, streamed or not."""
    config: Any = {"callbacks": traced.callbacks}
    with CannedProvider(openai_chat(usage=CACHED, model=MINI)) as provider:
        model = _openai(provider, stream_usage=True)
        if how == "invoke":
            model.invoke("Hi", config)
        elif how == "stream":
            _ = list(model.stream("Hi", config))
        else:
            _ = [chunk async for chunk in model.astream("Hi", config)]
    (run,) = traced.runs()
    assert costs(run) == {
        "input_cost": 0.0008856,
        "output_cost": 0.0003,
        "total_cost": 0.0011856,
        "input_cost_details": {"cache_read": 0.0006144},
    }
    assert metadata(run)["agentcost_price_source"] == "genai-prices"


def test_two_choices_of_one_openai_response_are_billed_once(traced: Traced) -> None:
    """langchain-openai puts the usage of the response on each choice."""
    with CannedProvider(openai_chat(usage=CACHED, model=MINI, n=2)) as provider:
        _openai(provider, n=2).generate([[HumanMessage("Hi")]], callbacks=traced.callbacks)
    (run,) = traced.runs()
    assert costs(run)["total_cost"] == 0.0011856
    assert metadata(run)["usage_metadata"]["input_tokens"] == 10_000


@pytest.mark.filterwarnings("ignore::langchain_agentcost.errors.UsageMissingWarning")
def test_a_stream_through_a_custom_address_is_estimated(traced: Traced) -> None:
    """ChatOpenAI does not ask a custom base_url for usage, so none comes."""
    with CannedProvider(openai_chat("Some words of an answer", usage=CACHED, model=MINI)) as provider:
        _ = list(_openai(provider).stream("Hi", {"callbacks": traced.callbacks}))
    (run,) = traced.runs()
    assert metadata(run)["agentcost_estimated"] is True
    assert 0 < costs(run)["total_cost"] < 0.0001


def test_a_cache_write_for_an_hour_of_anthropic(traced: Traced) -> None:
    """LangSmith's own sums get this wrong; we send the cost itself: 2000 at 1, 18000 at 2, 500 at 5 USD a million."""
    with CannedProvider(anthropic_message(usage=HOUR)) as provider:
        model = ChatAnthropic(model_name="claude-haiku-4-5", base_url=provider.url, api_key="none", max_retries=0)  # type: ignore[call-arg,arg-type]
        model.invoke("Hi", {"callbacks": traced.callbacks})
    (run,) = traced.runs()
    assert exactly(costs(run)["total_cost"]) == Decimal("0.0405")
    assert costs(run)["input_cost_details"] == {"cache_creation": 0.036}
