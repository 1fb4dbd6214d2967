"""What a model call that has ended puts on its LangSmith run, and adds to its trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, cast

from langchain_core.messages import BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_agentcost.exporters.langsmith.asked import Asked
from langchain_agentcost.exporters.langsmith.costs import (
    COST_KEYS,
    STATED,
    costs_of,
    counts_of,
    price_labels,
    stated_nano,
    usd_of,
)
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.uncounted import LEFT
from langchain_agentcost.usage import Usage, looks_cached

Price = Callable[[Usage, str | None], Cost | None]
"""Prices a usage; the name is that of the model that answered, None where it did not say."""

NOTHING = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "total_cost": 0}
"""What a call consumed that never reached a provider."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a call consumed and cost.

    Args:
        usage_metadata: LangSmith's token counts and costs; None where nothing is known.
        labels: `agentcost_*` metadata for the run.
        sums: What to add to the `Totals` of the trace.
    """

    usage_metadata: dict[str, Any] | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)


def find(result: LLMResult | None, asked: Asked, *, price: Price, error: BaseException | None = None) -> Finding:
    """Say what a call cost.

    A cost that somebody else has stated is kept. A cache hit keeps LangChain's `total_cost` of 0, and what it would
    have cost is its saving. What a failed call had consumed by then is billed. Without a price there is no cost, and
    a label that says so.

    Args:
        result: What LangChain hands over; of a failed call what there was of an answer.
        asked: What was asked.
        price: Prices a usage.
        error: How the call ended, where it was not answered.

    Returns:
        The finding.
    """
    answer = _Answer.of(result, asked)
    if asked.wraps:
        return Finding({**(answer.reported or NOTHING), **costs_of(Cost())}, {"agentcost_wraps": True})
    if answer.cached and error is None:
        return _from_cache(answer, price)
    labels: dict[str, Any] = {}
    sums = {"llm_calls": 1}
    if error is not None:
        labels["agentcost_status"] = "aborted" if isinstance(error, LEFT) else "error"
        sums["failed_calls"] = 1
    usage = answer.usage or asked.estimate(answer.text, error)
    if usage is None:
        return Finding(None, labels, sums)
    sums.update(input_tokens=usage.input_tokens, cache_read_tokens=usage.cache_read_tokens)
    if usage.estimated:
        labels["agentcost_estimated"] = True
        sums["estimated_calls"] = 1
    return _with_cost(answer, usage, price, Finding(answer.reported or counts_of(usage), labels, sums))


def with_usage(result: LLMResult, usage_metadata: dict[str, Any]) -> LLMResult:
    """Copy a result so that its first message carries this usage and no other message any.

    LangChain's tracer adds up what the messages of a result carry: with n > 1 that counts one response several times,
    and fails where a cost is among it.

    Args:
        result: The result, which stays as it is: the application holds the same messages.
        usage_metadata: The usage of the whole result.

    Returns:
        The copy.
    """
    carried: dict[str, Any] | None = usage_metadata
    batches = []
    for batch in result.generations:
        generations = []
        for generation in batch:
            copied = generation
            if isinstance(generation, ChatGeneration):
                message = generation.message.model_copy(update={"usage_metadata": carried})
                copied = generation.model_copy(update={"message": message})
                carried = None
            generations.append(copied)
        batches.append(generations)
    return result.model_copy(update={"generations": batches})


def message_of(result: LLMResult | None) -> BaseMessage | None:
    """The first message of a result; None for a text model."""
    if result is None or not any(result.generations):
        return None
    return getattr(result.generations[0][0], "message", None)


class _Answer(NamedTuple):
    """The parts of a result that a finding needs."""

    usage: Usage | None = None
    reported: dict[str, Any] | None = None
    model: str | None = None
    text: str = ""
    cached: bool = False

    @classmethod
    def of(cls, result: LLMResult | None, asked: Asked) -> Self:
        if result is None or not any(result.generations):
            return cls()
        message, usage = Usage.from_llm_result(result, batch_size=asked.batch_size)
        if message is None:
            model = (result.llm_output or {}).get("model_name")
            return cls(usage, None, model, result.generations[0][0].text)
        metadata = message.response_metadata
        model = metadata.get("model_name") or metadata.get("model")
        return cls(usage, _reported(result), model, message.text, looks_cached(result))


def _reported(result: LLMResult) -> dict[str, Any] | None:
    """The usage mappings of a result's messages as one. Equal ones are one response's, reported with each message."""
    mappings = [
        dict(usage)
        for batch in result.generations
        for generation in batch
        if isinstance(generation, ChatGeneration) and (usage := getattr(generation.message, "usage_metadata", None))
    ]
    if not mappings or all(mapping == mappings[0] for mapping in mappings):
        return mappings[0] if mappings else None
    whole: Any = None
    for mapping in mappings:
        whole = add_usage(whole, cast("UsageMetadata", {k: mapping[k] for k in mapping if k not in COST_KEYS}))
    return cast("dict[str, Any]", whole)


def _from_cache(answer: _Answer, price: Price) -> Finding:
    saved = price(answer.usage, answer.model) if answer.usage else None
    labels: dict[str, Any] = {"agentcost_cache": "langchain"}
    sums = {"cache_hits": 1}
    if saved is not None:
        labels["agentcost_saved_usd"] = usd_of(saved.total_nano)
        sums["saved_nano"] = saved.total_nano
    return Finding({**(answer.reported or NOTHING), "total_cost": 0}, labels, sums)


def _with_cost(answer: _Answer, usage: Usage, price: Price, found: Finding) -> Finding:
    """Add the cost to a finding: the one that is stated, else the one that the price book gives."""
    counts = dict(found.usage_metadata or {})
    stated = stated_nano(counts)
    if stated is not None:
        labels = {**found.labels, "agentcost_price_source": STATED}
        return Finding(counts, labels, {**found.sums, "total_nano": stated})
    cost = price(usage, answer.model)
    if cost is None:
        return Finding(counts, {**found.labels, "agentcost_unpriced": True}, {**found.sums, "unpriced_calls": 1})
    return Finding(
        {**counts, **costs_of(cost)},
        {**found.labels, **price_labels(cost)},
        {**found.sums, "total_nano": cost.total_nano},
    )
