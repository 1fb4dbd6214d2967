"""What the tokens of a prompt's fixed part cost in 1,000 calls: with the provider's prompt cache, and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from langchain_agentcost.context.lint.schemas import reads_type_lists
from langchain_agentcost.context.lint.subject import Subject
from langchain_agentcost.money import to_nano
from langchain_agentcost.pricing import PriceBook, PriceCard
from langchain_agentcost.pricing.prompt_caching import PromptCacheTerms, terms_of, with_cache_rates
from langchain_agentcost.tokens import TokenCounter

CALLS = 1_000
"""Every amount is for so many calls."""


class Dollars(NamedTuple):
    """Amounts for 1,000 calls in nano-USD; None where no price is known.

    Args:
        cached: Where the provider's cache serves the prefix.
        uncached: Where it does not.
    """

    cached: int | None
    uncached: int | None


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of one model's input.

    Args:
        card: Its price card, with the rates of its prompt cache where it has one.
        terms: What that caches; None where it has none.
    """

    card: PriceCard
    terms: PromptCacheTerms | None

    @classmethod
    def of(cls, model: str | None, provider: str | None, prices: PriceBook) -> Tariff | None:
        """Give the prices of a model; None where no price of input is known."""
        card = prices.card(model, provider=provider) if model else None
        if card is None or "input" not in card.rates:
            return None
        terms = terms_of(card.model, card.provider)
        return cls(with_cache_rates(card, terms) if terms is not None else card, terms)

    def nano(self, tokens: float, rate: str) -> int:
        """Give what so many tokens cost in each of 1,000 calls, in nano-USD; the input rate stands in."""
        million = self.card.rates.get(rate, self.card.rates["input"]).usd
        return to_nano(Decimal(tokens) * CALLS * million / 1_000_000)


class Measure:
    """Sizes and prices of what a subject sends with every call.

    Args:
        subject: The subject.
        counter: What counts.
        tariff: The prices; None where they are not known.

    Attributes:
        tools_tokens: The descriptions of its tools.
        system_tokens: Its system message.
    """

    def __init__(self, subject: Subject, *, counter: TokenCounter, tariff: Tariff | None) -> None:
        self.subject = subject
        self.tariff = tariff
        self._counter = counter
        self.tools_tokens = self.count_tools(subject.tools)
        self.system_tokens = self.count(subject.system)

    @property
    def prefix_tokens(self) -> int:
        """The fixed part: tools and system message."""
        return self.tools_tokens + self.system_tokens

    @property
    def terms(self) -> PromptCacheTerms | None:
        """What the provider's cache promises; None where none is known."""
        return self.tariff.terms if self.tariff is not None else None

    @property
    def cached(self) -> bool:
        """Whether the provider's cache serves the fixed part, as far as can be told: it is long enough and stays.

        Where a provider caches only what is marked, it is taken to be marked, unless recorded calls say otherwise.
        """
        seen, terms = self.subject.seen, self.terms
        if not self.cacheable or self._changes or terms is None or (seen is not None and seen.cached is False):
            return False
        longest = max(self.prefix_tokens, seen.prompt_tokens if seen is not None else 0)
        return longest >= terms.min_tokens

    @property
    def cacheable(self) -> bool:
        """Whether the provider's cache would serve the fixed part if it stayed: prompts are long enough for it.

        Where recorded calls were not served, it would not either, unless a change in most of them is the reason.
        """
        seen = self.subject.seen
        return self.reaching > 0 and (seen is None or seen.cached is not False or self._changes)

    @property
    def reaching(self) -> float:
        """The share of prompts that are long enough for the provider's cache; without recorded ones, by the prefix."""
        seen, terms = self.subject.seen, self.terms
        if terms is None:
            return 0.0
        prompts = seen.prompts if seen is not None and seen.prompts else (self.prefix_tokens,)
        return sum(tokens >= terms.min_tokens for tokens in prompts) / len(prompts)

    @property
    def _changes(self) -> bool:
        """Whether the fixed part was another one than before in most recorded calls."""
        seen = self.subject.seen
        return seen is not None and max(seen.switches + seen.run_switches, seen.reordered) > seen.calls / 2

    @property
    def portable(self) -> bool:
        """Whether schemas have to be such as every provider reads; see `lean_schema`."""
        return self.terms is None or not reads_type_lists(self.terms.family)

    def count(self, text: str) -> int:
        """Count a text."""
        return self._counter.count_text(text, model=self.subject.model) if text else 0

    def count_tools(self, tools: Sequence[Mapping[str, Any]]) -> int:
        """Count descriptions of tools."""
        return self._counter.count_schemas(tools, model=self.subject.model) if tools else 0

    def fixed(self, tokens: float) -> Dollars:
        """Price tokens that stand in every prompt: read from the cache, or billed as input.

        What it takes to write them into the cache once in a while is left out: it is little, and differs by traffic.
        """
        if self.tariff is None:
            return Dollars(None, None)
        uncached = self.tariff.nano(tokens, "input")
        return Dollars(self.tariff.nano(tokens, "cache_read") if self.terms else uncached, uncached)

    def missed(self, tokens: float, *, share: float) -> Dollars:
        """Price tokens that are billed anew in a share of the calls, because something before them changed.

        Without a cache nothing is missed, nor in prompts that are too short for it: all is billed anyway.
        """
        if self.tariff is None:
            return Dollars(None, None)
        if not self.cacheable:
            return Dollars(0, 0)
        missed = tokens * share * self.reaching
        anew = "cache_write" if "cache_write" in self.tariff.card.rates else "input"
        return Dollars(self.tariff.nano(missed, anew) - self.tariff.nano(missed, "cache_read"), 0)
