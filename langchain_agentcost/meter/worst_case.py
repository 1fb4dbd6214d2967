"""The worst case of a model call: what it may take at most, worked out before it is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from langchain_agentcost.limits.demand import Demand
from langchain_agentcost.meter.calls import OpenCall
from langchain_agentcost.meter.max_output import longest_answer
from langchain_agentcost.meter.prompt_count import PromptCounts
from langchain_agentcost.pricing import PriceBook, PriceCard
from langchain_agentcost.tokens import TokenCounter, estimate_schemas
from langchain_agentcost.uncounted import Prompt
from langchain_agentcost.usage import Usage


class Request(NamedTuple):
    """A model call that is about to be made.

    Args:
        prompt: What is asked.
        model: The model that is asked for.
        provider: Its provider as LangChain names it.
        tools: The descriptions of the bound tools.
        sent: The call's invocation parameters.
        metadata: Its metadata.
        tier: The service tier that is asked for; None is standard.
        at: When; None is now.
    """

    prompt: Prompt
    model: str | None
    provider: str | None
    tools: Sequence[Any]
    sent: Mapping[str, Any]
    metadata: Mapping[str, Any]
    tier: str | None = None
    at: datetime | None = None


class WorstCase:
    """Says what model calls may take at most.

    What it says holds where the provider serves the model that was asked for, on the tier that was asked for or the
    standard one, and the client does not send a request again by itself. Some input cannot be counted before the call:
    how large images, audio and files are, what the provider's own tools find, and what the provider keeps for itself.
    Where there is some, `evidence["unbounded"]` names it.

    Args:
        prices: What calls cost.
        counter: What counts prompts.
    """

    def __init__(self, prices: PriceBook, counter: TokenCounter) -> None:
        self._prices = prices
        self._counts = PromptCounts(counter)
        # What is slow the first time is done here, not while a call waits: the price list and the tokenizer are read.
        prices.card(_ANY_MODEL)
        counter.is_exact(_ANY_MODEL)

    def of(
        self,
        call: OpenCall,
        sent: Mapping[str, Any],
        metadata: Mapping[str, Any],
        *,
        assume_dearest: bool = False,
        elapsed_ms: int = 0,
    ) -> Demand:
        """Give the worst case of a call that has been announced.

        Args:
            call: The call.
            sent: Its invocation parameters.
            metadata: Its metadata.
            assume_dearest: Whether a model without a price is taken to be the dearest of its provider.
            elapsed_ms: Time of the run that no call has accounted for yet.
        """
        request = Request(
            call.prompt, call.asked, call.labels["provider"], call.tools, sent, metadata, call.tier, call.at
        )
        return self.of_request(request, assume_dearest=assume_dearest, elapsed_ms=elapsed_ms)

    def of_request(self, request: Request, *, assume_dearest: bool = False, elapsed_ms: int = 0) -> Demand:
        """Give the worst case of a call that nobody has announced yet, as `of` does."""
        prompt, model, provider, tools, sent, metadata, _, _ = request
        schemas = estimate_schemas(tools) if tools else 0
        input_tokens, media = self._counts.at_most(prompt, model=model, schema_tokens=schemas, sent=sent)
        longest = longest_answer(model, provider, sent, metadata)
        evidence: dict[str, Any] = {"model": model, "max_output_tokens": f"{longest.tokens}, {longest.source}"}
        if longest.answers > 1:
            evidence["answers"] = longest.answers
        calls, own_tools = server_tools(tools, sent) if tools else ({}, ())
        if media or own_tools or not sent.keys().isdisjoint(ELSEWHERE):
            evidence["unbounded"] = [*sorted(media), *own_tools, *(name for name in ELSEWHERE if sent.get(name))]
        bounds = _Bounds(input_tokens, not media.isdisjoint(_HEARD) or _speaks(sent), calls)
        price = _priced(self._cards(request), bounds)
        assumed = price is None and assume_dearest
        if assumed:
            price = _priced([self._prices.dearest(provider=provider, at=request.at)], bounds)
        source, input_nano, output_token_nano = price or (None, None, None)
        evidence["price"] = source
        return Demand(
            "llm",
            input_tokens=input_tokens,
            output_tokens=longest.tokens,
            input_nano=input_nano,
            output_token_nano=output_token_nano,
            assumed=assumed,
            elapsed_ms=elapsed_ms,
            evidence=evidence,
        )

    def answered(self, call: OpenCall, usage: Usage) -> None:
        """Learn from what the provider counted.

        Args:
            call: The call.
            usage: What the provider reported.
        """
        schemas = estimate_schemas(call.tools) if call.tools else 0
        self._counts.answered(call.prompt, usage, model=call.asked, schema_tokens=schemas)

    def _cards(self, request: Request) -> Iterable[PriceCard | None]:
        """The prices that it may have: where a tier was asked for, a provider may still serve the standard one."""
        if request.model is None:
            return ()
        of, at = request.provider, request.at
        standard = self._prices.card(request.model, provider=of, at=at)
        if request.tier is None:
            return (standard,)
        return standard, self._prices.card(request.model, provider=of, at=at, service_tier=request.tier)


class _Bounds(NamedTuple):
    """What a call's price depends on beside the model."""

    input_tokens: int
    audio: bool
    tool_calls: Mapping[str, int]


def _priced(cards: Iterable[PriceCard | None], bounds: _Bounds) -> tuple[str, int, int] | None:
    """The dearest of some prices: where it is from, nano-USD of the input, and of one token of the answer."""
    found: tuple[str, int, int] | None = None
    for card in cards:
        most = card.worst(bounds.input_tokens, audio=bounds.audio, tool_calls=bounds.tool_calls) if card else None
        if card is not None and most is not None:
            source = f"{card.model}, {card.price.name} {card.price.version}"
            found = (source, *most) if found is None else (source, max(found[1], most[0]), max(found[2], most[1]))
    return found


_ANY_MODEL = "gpt-5"

_HEARD = ("audio", "video")

ELSEWHERE = ("previous_response_id", "conversation", "cached_content")
"""How requests name a part of the prompt that the provider keeps."""

_SERVER_TOOL = re.compile(
    r"web_search|web_fetch|file_search|code_interpreter|code_execution|image_generation|google_search|url_context"
)
"""What providers call the tools that they run themselves, before a date or "_preview"."""


def server_tools(tools: Sequence[Any], sent: Mapping[str, Any]) -> tuple[dict[str, int], list[str]]:
    """Find the provider's own tools among those that are bound.

    Args:
        tools: The bound tools' descriptions.
        sent: The call's invocation parameters, where `max_tool_calls` may bound them all.

    Returns:
        How often each may be called at most, where that is said; and the names of all of them.

    Example:
        >>> server_tools([{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}], {})
        ({'web_search': 3}, ['web_search'])
    """
    most: dict[str, int] = {}
    names: list[str] = []
    for tool in tools:
        if type(tool) is not dict or "function" in tool or "input_schema" in tool:
            continue
        found = _SERVER_TOOL.match(str(tool.get("type") or next(iter(tool), "")))
        if found:
            name = found[0]
            names.append(name)
            uses = tool.get("max_uses", sent.get("max_tool_calls"))
            if type(uses) is int and uses > 0:
                most[name] = most.get(name, 0) + uses
    return most, names


def _speaks(sent: Mapping[str, Any]) -> bool:
    """Whether the answer may be audio."""
    modalities = sent.get("modalities") or sent.get("response_modalities")
    return any(str(modality).lower().endswith("audio") for modality in modalities) if modalities else False
