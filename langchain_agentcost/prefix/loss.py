"""What a change in a prompt's beginning costs: what a prompt cache would have served, and what was paid instead."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from langchain_agentcost.pricing import PriceBook, PriceCard
from langchain_agentcost.pricing.names import provider_id
from langchain_agentcost.pricing.prompt_caching import PromptCacheTerms, terms_of, with_cache_rates
from langchain_agentcost.usage import Usage


class Break(NamedTuple):
    """Where a prompt's known beginning ends, in tokens as the provider counts them.

    Args:
        prefix_tokens: What stands before the change.
        again_tokens: What stands behind it and was sent before.
        prompt_tokens: The whole prompt.
        pause_s: How long before it the earlier prompt was sent, in seconds; None where that is not known.
    """

    prefix_tokens: int
    again_tokens: int
    prompt_tokens: int
    pause_s: float | None


class Sent(NamedTuple):
    """How a call was made and what was reported of it.

    Args:
        model: The model.
        provider: Who served it.
        at: When.
        usage: The provider's own count; None where there is none.
    """

    model: str | None
    provider: str | None
    at: datetime | None
    usage: Usage | None


class Loss(NamedTuple):
    """What a change cost.

    Args:
        tokens: What the prompt cache would have served; None where no prompt cache is known.
        nano: What that cost more, in nano-USD; None where it is not known.
    """

    tokens: int | None = None
    nano: int | None = None


def loss_of(gone: Break, sent: Sent, prices: PriceBook) -> Loss:
    """Say what a change cost, against the same prompt with the changing item behind all that stays the same.

    What the provider reports counts: what it has read all the same is not lost, and where a cache has to be asked for
    and nothing was read or written, nobody asked. Without a report, what is cached is taken to be as the provider's
    terms say, and to be asked for. A prompt that comes after the cache has forgotten the earlier one loses nothing.

    Args:
        gone: The change.
        sent: The call.
        prices: What calls cost.

    Example:
        >>> loss_of(Break(0, 5_000, 6_000, None), Sent("gpt-4.1", "openai", None, None), prices=PriceBook())
        Loss(tokens=4992, nano=7488000)
    """
    if sent.model is None:
        return Loss()
    tier = sent.usage.service_tier if sent.usage is not None else None
    card = prices.card(sent.model, provider=sent.provider, at=sent.at, service_tier=tier)
    terms = terms_of(card.model, card.provider) if card else terms_of(sent.model, provider_id(sent.provider))
    if terms is None:
        return Loss()
    could, did = _served(gone, terms, sent.usage)
    if could <= did:
        return Loss(0, 0)
    nano = _dearer(gone, (could, did), sent.usage, (with_cache_rates(card, terms), terms)) if card else None
    return Loss(could - did, nano)


def _served(gone: Break, terms: PromptCacheTerms, usage: Usage | None) -> tuple[int, int]:
    """What the cache would have served without the change, and what it served, or would have with the change only."""
    keeps_s = terms.ttl_s
    if usage is not None:
        if not terms.automatic and not usage.cache_read_tokens + _written(usage):
            return 0, 0
        if usage.cache_write_1h_tokens and terms.long_ttl_s is not None:
            keeps_s = terms.long_ttl_s
    if gone.pause_s is not None and gone.pause_s > keeps_s:
        return 0, 0
    before = terms.cached(gone.prefix_tokens, gone.prompt_tokens)
    could = terms.cached(gone.prefix_tokens + gone.again_tokens, gone.prompt_tokens)
    return could, max(before, usage.cache_read_tokens if usage is not None else 0)


def _written(usage: Usage) -> int:
    return usage.cache_write_tokens + usage.cache_write_1h_tokens


def _dearer(
    gone: Break, served: tuple[int, int], usage: Usage | None, at: tuple[PriceCard, PromptCacheTerms]
) -> int | None:
    """What the call costs, less what it would have cost."""
    could, did = served
    card, terms = at
    if usage is None:
        writes = "cache_write" in card.rates
        paid, cheaper = (terms.usage(gone.prompt_tokens, 0, read_tokens=n, billed_writes=writes) for n in (did, could))
    else:
        lost = could - did
        written = min(lost, usage.cache_write_tokens)
        for_long = min(lost - written, usage.cache_write_1h_tokens)
        paid, cheaper = (
            usage,
            replace(
                usage,
                cache_read_tokens=usage.cache_read_tokens + lost,
                cache_write_tokens=usage.cache_write_tokens - written,
                cache_write_1h_tokens=usage.cache_write_1h_tokens - for_long,
            ),
        )
    costs = card.cost(paid), card.cost(cheaper)
    return costs[0].total_nano - costs[1].total_nano if costs[0] and costs[1] else None
