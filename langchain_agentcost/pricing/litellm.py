"""Prices in the format of LiteLLM's price map, which many teams already keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from langchain_agentcost.pricing.card import TOKENS_PER_RATE, Rate
from langchain_agentcost.pricing.lines import ModelLine, Scope
from langchain_agentcost.pricing.names import provider_id
from langchain_agentcost.pricing.pricefile import Table

_KEYS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "cache_read_input_audio_token_cost": "cache_audio_read",
    "output_cost_per_audio_token": "output_audio",
    "output_cost_per_reasoning_token": "reasoning",
}
"""LiteLLM's keys and the rate each is, in USD per token."""

_SUFFIXES = {"": None, "_batches": "batch", "_priority": "priority", "_flex": "flex"}
"""What LiteLLM appends to a key for a service tier."""

_STEP = re.compile(r"(?P<key>\w+?)_above_(?P<thousands>\d+)k_tokens(?P<suffix>_batches|_priority|_flex)?")

_FAMILIES = (("vertex_ai", "google"), ("bedrock", "aws"), ("azure", "azure"), ("fireworks_ai", "fireworks"))
"""LiteLLM splits some providers by the kind of model; they start alike."""

_FEE = "input_cost_per_request"

_MOST = Decimal(1)
"""USD per token, or per request, above which a price is a mistake."""


def looks_like_litellm(values: Mapping[str, Any]) -> bool:
    """Whether a mapping is a LiteLLM price map."""
    marks = {"litellm_provider", "input_cost_per_token", "output_cost_per_token"}
    return any(isinstance(entry, Mapping) and marks & entry.keys() for entry in values.values())


def model_lines(table: Table) -> tuple[ModelLine, ...]:
    """Read every model that is billed by the token.

    Raises:
        PriceFileError: If a price is not a number of USD per token.
    """
    found = []
    for name in table.values:
        if name == "sample_spec":
            continue
        entry = table.inner(name)
        served_by = _provider(entry.get("litellm_provider"))
        scope = Scope(_own_name(name, served_by), served_by)
        for suffix, tier in _SUFFIXES.items():
            rates = _rates(entry, suffix)
            if "input" in rates and not _billed_otherwise(entry, rates):
                fee = entry.number(_FEE, at_most=_MOST, unit="USD per request")
                found.append(ModelLine(scope, rates=rates, service_tier=tier, request=fee))
    return tuple(found)


def _provider(stated: object) -> str | None:
    name = str(stated).lower() if stated else None
    family = next((ours for start, ours in _FAMILIES if name and name.startswith(start)), None)
    return family or provider_id(name)


def _own_name(name: str, served_by: str | None) -> str:
    """Drop the provider in front of a model's name: "azure/gpt-4o" is azure's "gpt-4o"."""
    head, slash, rest = name.lower().partition("/")
    return rest if slash and rest and served_by and _provider(head) == served_by else name.lower()


def _rates(entry: Table, suffix: str) -> dict[str, Rate]:
    steps: dict[str, list[tuple[int, Decimal]]] = {}
    for key in entry.values:
        found = _STEP.fullmatch(key)
        if found and found["key"] in _KEYS and (found["suffix"] or "") == suffix:
            usd = _per_mtok(entry, key)
            if usd is not None:
                steps.setdefault(_KEYS[found["key"]], []).append((int(found["thousands"]) * 1000, usd))
    base = {name: usd for key, name in _KEYS.items() if (usd := _per_mtok(entry, key + suffix)) is not None}
    return {name: Rate(usd, tuple(sorted(steps.get(name, ())))) for name, usd in base.items()}


def _billed_otherwise(entry: Table, rates: Mapping[str, Rate]) -> bool:
    """Whether all its tokens are for nothing because it is billed by the query, second or image."""
    if any(rate.usd or any(usd for _, usd in rate.above) for rate in rates.values()):
        return False
    others = (value for key, value in entry.values.items() if "cost_per_" in key and key != _FEE)
    return any(isinstance(value, int | float | Decimal) and value for value in others)


def _per_mtok(entry: Table, key: str) -> Decimal | None:
    usd = entry.number(key, at_most=_MOST, unit="USD per token")
    return None if usd is None else usd * TOKENS_PER_RATE
