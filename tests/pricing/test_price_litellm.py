from __future__ import annotations

import json
from pathlib import Path

import pytest

from langchain_agentcost.errors import PriceFileError
from langchain_agentcost.pricing import PriceBook, PriceOverrides
from langchain_agentcost.usage import Usage
from tests.pricing.price_list import known, usd

LITELLM = {
    "sample_spec": {"input_cost_per_token": "USD", "litellm_provider": "one of …"},
    "gpt-plain": {
        "litellm_provider": "openai",
        "input_cost_per_token": 1.5e-07,
        "output_cost_per_token": 6e-07,
        "cache_read_input_token_cost": 7.5e-08,
        "input_cost_per_token_batches": 7.5e-08,
        "output_cost_per_token_batches": 3e-07,
        "input_cost_per_token_priority": 3e-07,
        "output_cost_per_token_priority": 1.2e-06,
        "input_cost_per_token_above_200k_tokens": 3e-07,
        "output_cost_per_token_above_200k_tokens": 9e-07,
        "max_tokens": 16384,
        "mode": "chat",
    },
    "azure/gpt-plain": {"litellm_provider": "azure", "input_cost_per_token": 2e-07, "output_cost_per_token": 6e-07},
    "us.anthropic.claude-mid": {
        "litellm_provider": "bedrock_converse",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
        "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
    },
    "dall-e": {"litellm_provider": "openai", "input_cost_per_pixel": 1e-08},
}


@pytest.mark.parametrize(
    ("model", "provider", "usage", "expected"),
    [
        ("gpt-plain", "openai", Usage(1000, 1000, 400), "0.000720"),
        ("gpt-plain", "openai", Usage(1000, 1000, service_tier="batch"), "0.000375"),
        ("gpt-plain", "openai", Usage(1000, 1000, service_tier="priority"), "0.0015"),
        ("gpt-plain", "openai", Usage(200_000), "0.03"),
        ("gpt-plain", "openai", Usage(200_001), "0.0600003"),
        ("gpt-plain", "azure", Usage(1000), "0.0002"),
        ("us.anthropic.claude-mid", "amazon_bedrock", Usage(1000, cache_write_1h_tokens=1000), "0.006"),
    ],
)
def test_litellms_price_map_can_be_imported(model: str, provider: str, usage: Usage, expected: str) -> None:
    """Rates, tiers, long-context steps and cache prices of LiteLLM's map become our own."""
    for overrides in (PriceOverrides.from_litellm(LITELLM), PriceOverrides.load(LITELLM)):
        cost = known(PriceBook(overrides).cost(usage, model, provider=provider))
        assert (cost.usd, cost.source) == (usd(expected), "override")


def test_litellms_models_in_other_units_are_left_out(tmp_path: Path) -> None:
    """A model that is billed by the pixel has no price here, rather than one of 0."""
    path = tmp_path / "model_prices.json"
    path.write_text(json.dumps(LITELLM), encoding="utf-8")
    names = {line.scope.model for line in PriceOverrides.from_litellm(path).models}
    assert names == {"gpt-plain", "us.anthropic.claude-mid"}


@pytest.mark.parametrize(
    ("more", "read"),
    [
        ({"input_cost_per_query": 0.002}, False),
        ({"output_cost_per_second": "x", "input_cost_per_image": 1e-05}, False),
        ({"input_cost_per_query": 0.0, "max_tokens": 512}, True),
        ({"input_cost_per_query": 0.002, "output_cost_per_token": 1e-06}, True),
        ({"input_cost_per_query": 0.002, "input_cost_per_token_above_128k_tokens": 1e-06}, True),
        ({"input_cost_per_request": 0.002}, True),
    ],
)
def test_a_litellm_model_that_is_paid_in_another_unit_is_not_free(more: dict[str, object], read: bool) -> None:
    """Rates of 0 beside a price per query are no price, and rates of 0 alone, or with a fee that is read, are one."""
    entry = {"litellm_provider": "cohere", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0, **more}
    assert bool(PriceOverrides.from_litellm({"rerank": entry}).models) is read


def test_a_faulty_litellm_price_is_refused() -> None:
    """A price in LiteLLM's map that is no number of USD is named."""
    with pytest.raises(PriceFileError, match=r"the LiteLLM mapping, m\.input_cost_per_token: must be a number"):
        PriceOverrides.from_litellm({"m": {"input_cost_per_token": "free"}})
