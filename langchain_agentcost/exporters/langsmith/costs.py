"""How a cost is written on LangSmith's wire.

LangSmith takes costs as JSON numbers, so this is the one place where money becomes a float: one division of whole
nano-USD, whose shortest decimal form is the exact amount up to a million dollars (15 digits). Nothing is ever added up
in floats here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from langchain_agentcost.money import NANO_PER_USD, to_nano
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage

COST_KEYS = ("input_cost", "output_cost", "total_cost", "input_cost_details", "output_cost_details")
"""The cost part of LangSmith's `usage_metadata`."""

STATED = "stated with the answer"
"""The source of a price that the application or the provider wrote itself."""

_INPUT_DETAILS = {
    "cache_read": "cache_read_nano",
    "cache_creation": "cache_write_nano",
    "request": "request_nano",
    "tool": "tool_nano",
}
"""LangSmith's detail keys for input, and two of our own: fees are no tokens, but they are what asking costs."""


def costs_of(cost: Cost) -> dict[str, Any]:
    """Write the cost of a model call as LangSmith's `usage_metadata` has it.

    LangSmith knows two sides, so everything that is not output goes to the input side: uncached input, cache reads and
    writes, fees per request and the provider's own tools. The two sides sum to `Cost.total_nano`. Uncached input is
    what the details leave over, as with LangSmith's token details.

    Args:
        cost: What the call costs.

    Returns:
        `input_cost`, `output_cost` and `total_cost` in USD, and `input_cost_details` where there are any.

    Example:
        >>> costs_of(Cost(5, input_nano=1, output_nano=2, cache_read_nano=2))["input_cost_details"]
        {'cache_read': 2e-09}
    """
    details = {key: usd_of(nano) for key, part in _INPUT_DETAILS.items() if (nano := getattr(cost, part))}
    written: dict[str, Any] = {
        "input_cost": usd_of(cost.total_nano - cost.output_nano),
        "output_cost": usd_of(cost.output_nano),
        "total_cost": usd_of(cost.total_nano),
    }
    if details:
        written["input_cost_details"] = details
    return written


def counts_of(usage: Usage) -> dict[str, int]:
    """Write token counts where the provider's own mapping is missing."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }


def stated_nano(usage_metadata: Mapping[str, Any] | None) -> int | None:
    """Read the cost that a user or a provider has already written.

    Args:
        usage_metadata: LangSmith's mapping, or None.

    Returns:
        The total in nano-USD; None where none is stated.

    Example:
        >>> stated_nano({"input_cost": 0.25, "output_cost": 0.5})
        750000000
    """
    if not usage_metadata:
        return None
    keys = ("total_cost",) if usage_metadata.get("total_cost") is not None else ("input_cost", "output_cost")
    stated = [usage_metadata[key] for key in keys if usage_metadata.get(key) is not None]
    return to_nano(sum((Decimal(str(usd)) for usd in stated), Decimal(0))) if stated else None


def usd_of(nano: int) -> float:
    """Turn whole nano-USD into the number that JSON carries."""
    return nano / NANO_PER_USD


def price_labels(cost: Cost) -> dict[str, Any]:
    """Say where a price comes from, so that a figure on a LangSmith page can be checked."""
    labels = {
        "agentcost_price_source": cost.source,
        "agentcost_price_version": cost.version,
        "agentcost_service_tier": cost.service_tier,
        "agentcost_flags": "; ".join(cost.flags),
    }
    return {name: text for name, text in labels.items() if text}
