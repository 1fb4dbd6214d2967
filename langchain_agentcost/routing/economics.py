"""What a call is expected to cost at each tier, with what each one's prompt cache holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_agentcost.answer_caps import CAPS
from langchain_agentcost.chat_model import bound_to, innermost, names_of
from langchain_agentcost.pricing import PriceBook, PriceCard
from langchain_agentcost.pricing.prompt_caching import PromptCacheTerms, terms_of, with_cache_rates
from langchain_agentcost.routing.forecast import OutputForecast
from langchain_agentcost.routing.policy import Choice, Offer, Offers
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.signature import Signature
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.warmth import Prompt, Warmth
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

_MARK = "cache_control"


@dataclass(frozen=True, slots=True)
class Rates:
    """What a tier's tokens cost.

    Args:
        model: The model's name; None where it has none.
        card: Its prices, with those of its prompt cache; None where they are not known.
        terms: What its prompt cache promises; None where it has none.
        max_output_tokens: The longest answer that the model itself asks for; None where nothing caps it.
    """

    model: str | None
    card: PriceCard | None
    terms: PromptCacheTerms | None
    max_output_tokens: int | None = None

    @classmethod
    def of(cls, tier: Tier, prices: PriceBook) -> Rates:
        """Look a tier's prices up."""
        model, _ = names_of(tier.model)
        card = tier.card(prices)
        terms = terms_of(card.model, card.provider) if card is not None else None
        full = with_cache_rates(card, terms) if card is not None and terms is not None else card
        return cls(model, full, terms, cap_of(tier.model))

    def nano(self, prompt_tokens: int, output_tokens: int, *, held_tokens: int, caches: bool) -> int | None:
        """Give what a call costs, in nano-USD; None where the price is not known.

        Args:
            prompt_tokens: The prompt.
            output_tokens: The answer.
            held_tokens: How many tokens of the prompt's beginning the tier was sent before.
            caches: Whether what needs a mark to be cached has one.
        """
        return self.nano_of(self._usage(prompt_tokens, output_tokens, held_tokens, caches=caches))

    def nano_of(self, usage: Usage) -> int | None:
        """Give what was used costs, in nano-USD; None where the price is not known."""
        cost = self.card.cost(usage) if self.card is not None else None
        return cost.total_nano if cost is not None else None

    def _usage(self, prompt_tokens: int, output_tokens: int, held_tokens: int, *, caches: bool) -> Usage:
        if self.terms is None or not (caches or self.terms.automatic):
            return Usage(prompt_tokens, output_tokens)
        read = self.terms.cached(min(held_tokens, prompt_tokens), prompt_tokens)
        writes = self.card is not None and "cache_write" in self.card.rates
        return self.terms.usage(prompt_tokens, output_tokens, read_tokens=read, billed_writes=writes)


class Economics:
    """Prices a call at every tier, and learns from what came of it.

    Args:
        tiers: The tiers.
        prices: What models cost.

    Attributes:
        warmth: What each tier's prompt cache holds.
        forecast: How long answers are.
    """

    def __init__(self, tiers: Sequence[Tier], prices: PriceBook) -> None:
        self.warmth = Warmth()
        self.forecast = OutputForecast()
        self._prices = prices
        self._rates = {tier.name: Rates.of(tier, prices) for tier in tiers}
        self._counter = TokenCounter()

    def prompt(self, request: RouteRequest, schemas: Sequence[object] = ()) -> Prompt:
        """Look at a request as prompt caches do, and count it.

        Args:
            request: The call.
            schemas: The descriptions of its tools.
        """
        return Prompt.of(request, self._counter, tools_tokens=self._counter.count_schemas(schemas))

    def offers(self, request: RouteRequest, prompt: Prompt, tiers: Sequence[Tier]) -> tuple[Offer, ...]:
        """Give what a call costs at each tier.

        Args:
            request: The call.
            prompt: What `prompt` gave of it.
            tiers: The tiers, weakest first.
        """
        signature, caches = request.signature, marked(request)
        last, rents = self.warmth.last(prompt), self.warmth.rents(prompt)
        offers = (self._offer(tier, request, prompt, signature, caches=caches, last=last) for tier in tiers)
        return tuple(replace(offer, rent_nano=rents[offer.name]) if offer.name in rents else offer for offer in offers)

    def nano(self, tier: str, usage: Usage) -> int | None:
        """Give what a tier's usage costs, in nano-USD; None where its price is not known."""
        return self._rates[tier].nano_of(usage)

    def answered(
        self, request: RouteRequest, prompt: Prompt, tier: str, usage: Usage | None, *, aside: bool = False
    ) -> None:
        """Learn from an answer: how long it was, and how many tokens its provider counted.

        Args:
            request: The call.
            prompt: What `prompt` gave of it.
            tier: Who answered.
            usage: What that took; None where it is not known.
            aside: Whether it is a shadow's answer: the thread does not go on with whom that keeps warm.
        """
        if not aside:
            self.warmth.sent(prompt, tier)
        if usage is None:
            return
        self.forecast.learn(request.signature, tier, usage.output_tokens)
        model = self._rates[tier].model
        if model is not None:
            self._counter.observe(
                model, estimated=self._corrected(tier, prompt.total_tokens), actual=usage.input_tokens
            )

    def stayed(self, request: RouteRequest, choice: Choice, offers: Offers) -> None:
        """Learn what it has cost to stay with a thread's tier, where a policy preferred another one but for the cache.

        Args:
            request: The call that was made.
            choice: What was chosen for it.
            offers: What the tiers would have cost.
        """
        if choice.preferred in (None, choice.tier):
            return
        by_name = {offer.name: offer for offer in offers}
        here, there = by_name[choice.tier], by_name[choice.preferred]
        if here.last and here.expected_nano is not None and there.warm_nano is not None:
            nano = here.expected_nano - there.warm_nano
            self.warmth.stayed(request, here.name, preferred=there.name, nano=nano)

    def _offer(
        self,
        tier: Tier,
        request: RouteRequest,
        prompt: Prompt,
        signature: Signature,
        *,
        caches: bool,
        last: str | None,
    ) -> Offer:
        rates = self._rates[tier.name]
        output = self.forecast.tokens(
            signature, tier.name, at_most=request.max_output_tokens or rates.max_output_tokens
        )
        ttl_s = rates.terms.ttl_s if rates.terms is not None else 0.0
        held, seen = (
            self._corrected(tier.name, tokens)
            for tokens in (
                self.warmth.held_tokens(prompt, tier.name, ttl_s=ttl_s),
                self.warmth.seen_tokens(prompt, ttl_s=ttl_s),
            )
        )
        total = self._corrected(tier.name, prompt.total_tokens)
        return Offer(
            tier=tier,
            expected_nano=rates.nano(total, output, held_tokens=held, caches=caches),
            warm_nano=rates.nano(total, output, held_tokens=max(held, seen), caches=caches),
            last=tier.name == last,
        )

    def _corrected(self, tier: str, tokens: int) -> int:
        model = self._rates[tier].model
        return round(tokens * self._counter.factor(model)) if model is not None else tokens


def cap_of(model: Any) -> int | None:
    """Give the longest answer that a model asks its provider for; None where nothing caps it.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> cap_of(FakeMeteredChatModel().bind(max_tokens=64))
        64
    """
    bound, inner = bound_to(model), innermost(model)
    stated = (bound.get(name, getattr(inner, name, None)) for name in CAPS)
    return next((cap for cap in stated if isinstance(cap, int) and cap > 0), None)


def marked(request: RouteRequest) -> bool:
    """Tell whether a request marks something for a prompt cache that wants to be asked."""
    if _MARK in request.settings:
        return True
    messages = request.messages
    return any(
        isinstance(block, Mapping) and _MARK in block
        for message in (*messages[:1], *messages[-2:])
        if isinstance(message.content, list)
        for block in message.content
    )
