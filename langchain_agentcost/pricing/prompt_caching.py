"""What providers' prompt caches promise: one row a family, as data.

A prompt cache serves the beginning of a prompt that was sent before, in the order tools, system, messages, and bills
that part at a discount. What it costs is on a model's price card; here is what it takes to get it. Where the card has
no rate for cached input, the family's usual share of the input price stands in.

The rows were read in the providers' public documentation in November 2026: Anthropic "Prompt caching" (minimum by
model, 5 minutes refreshed by each read, 1 hour at twice the input price, at most 4 breakpoints), OpenAI "Prompt
caching" (from 1,024 tokens, in steps of 128, 5 to 10 minutes, up to 24 h where asked for; writes are billed from
GPT-5.6 on), DeepSeek "Context caching" (units of 64 tokens, hours to days), Google "Context caching" (implicit, from
Gemini 2.5), xAI and Mistral (automatic, no minimum published). `cache_control` is what a caller has to send to
Anthropic; the others cache unasked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase

from langchain_agentcost.pricing.card import PriceCard
from langchain_agentcost.usage import Usage

_MINUTE_S, _HOUR_S = 60.0, 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCacheTerms:
    """What a family of models caches, and for how long.

    Args:
        family: Its name.
        automatic: Whether it caches unasked; else the caller marks what to cache.
        min_tokens: The shortest prompt of which anything is cached.
        step_tokens: Cached tokens come in multiples of this, rounded down.
        ttl_s: How long an unused prefix is kept, in seconds; each read starts it again.
        long_ttl_s: The longer time that can be asked for; None where there is none.
        read_share: The price of a cached token as a share of the input price, where the price list states none.
        write_share: The price of a token that is written, likewise; None where writing is free.
        long_write_share: The same for the longer time.
        models: Patterns of model names whose minimum is another one, and that minimum; the first that fits counts.

    Example:
        >>> terms_of("claude-opus-4-6", "anthropic").min_tokens
        4096
    """

    family: str
    automatic: bool
    min_tokens: int
    step_tokens: int = 1
    ttl_s: float = 5 * _MINUTE_S
    long_ttl_s: float | None = None
    read_share: Decimal = Decimal("0.1")
    write_share: Decimal | None = None
    long_write_share: Decimal | None = None
    models: tuple[tuple[str, int], ...] = ()

    def cached(self, prefix_tokens: int, prompt_tokens: int) -> int:
        """Give how many tokens of a known prefix the cache serves: whole steps, and none of a short prompt.

        Args:
            prefix_tokens: How long the prefix is that was sent before.
            prompt_tokens: How long the whole prompt is.
        """
        if prompt_tokens < self.min_tokens or prefix_tokens < self.min_tokens:
            return 0
        return prefix_tokens - prefix_tokens % self.step_tokens

    def usage(self, prompt_tokens: int, output_tokens: int, *, read_tokens: int, billed_writes: bool) -> Usage:
        """Give what a provider would report of a call of which so many tokens were in its cache.

        Args:
            prompt_tokens: The prompt.
            output_tokens: The answer.
            read_tokens: What the cache served.
            billed_writes: Whether what is written is billed at a rate of its own.
        """
        written = prompt_tokens - read_tokens if billed_writes and prompt_tokens >= self.min_tokens else 0
        return Usage(prompt_tokens, output_tokens, cache_read_tokens=read_tokens, cache_write_tokens=written)


FAMILIES: Mapping[str, PromptCacheTerms] = {
    "anthropic": PromptCacheTerms(
        family="anthropic",
        automatic=False,
        min_tokens=1024,
        long_ttl_s=_HOUR_S,
        write_share=Decimal("1.25"),
        long_write_share=Decimal(2),
        models=(
            ("*opus-4[-.][5-9]*", 4096),
            ("*haiku-4[-.][5-9]*", 4096),
            ("*sonnet-4[-.]6*", 2048),
            ("*haiku-3*", 2048),
            ("*claude-3*haiku*", 2048),
        ),
    ),
    "openai": PromptCacheTerms(
        family="openai",
        automatic=True,
        min_tokens=1024,
        step_tokens=128,
        long_ttl_s=24 * _HOUR_S,
        read_share=Decimal("0.5"),
    ),
    "deepseek": PromptCacheTerms(family="deepseek", automatic=True, min_tokens=64, step_tokens=64, ttl_s=2 * _HOUR_S),
    "google": PromptCacheTerms(
        family="google",
        automatic=True,
        min_tokens=2048,
        models=(("*flash*", 1024), ("*pro*", 4096)),
    ),
    "x-ai": PromptCacheTerms(family="x-ai", automatic=True, min_tokens=1, read_share=Decimal("0.25")),
    "mistral": PromptCacheTerms(family="mistral", automatic=True, min_tokens=1),
}
"""The families by the provider's id in the price list."""

_BY_NAME: tuple[tuple[str, str | None], ...] = (
    ("*claude-[12iv]*", None),  # before prompt caching
    ("*claude*", "anthropic"),
    ("*gpt-oss*", None),  # open weights: whoever serves them decides
    ("*gpt-3*", None),  # before prompt caching, as Azure's gpt-35
    ("*gpt-4", None),
    ("*gpt-4-[!o]*", None),
    ("*gpt-*", "openai"),
    ("o[134]", "openai"),
    ("o[134]-*", "openai"),
    ("*[./]o[134]", "openai"),
    ("*[./]o[134]-*", "openai"),
    ("*gemini-1*", None),  # caches only what the caller stores there
    ("*gemini-2.0*", None),
    ("*gemma*", None),
    ("*gemini*", "google"),
    ("*grok*", "x-ai"),
)
"""Families by the model's name, whoever serves it: resellers pass the cache of the model's maker on."""

_OPEN = (("*deepseek*", "deepseek"), ("*mistral*", "mistral"))
"""The same for open weights, where their maker serves them or nobody is named: others have caches of their own."""


def terms_of(model: str, provider: str | None = None) -> PromptCacheTerms | None:
    """Give the prompt cache of a model.

    Args:
        model: The model's name, as a provider or a price list writes it.
        provider: Who serves it, by the price list's id; None where that is not known. A name that tells the maker
            counts more: Claude on Google's servers has Anthropic's cache.

    Returns:
        The terms with the model's own minimum; None where no prompt cache is known.

    Example:
        >>> terms_of("gpt-4.1").step_tokens, terms_of("llama-3.3-70b")
        (128, None)
    """
    name = model.lower()
    by_name = (*_BY_NAME, *(row for row in _OPEN if provider in (None, row[1])), ("*", provider))
    terms = FAMILIES.get(next(family for like, family in by_name if fnmatchcase(name, like)) or "")
    if terms is None:
        return None
    least = next((tokens for like, tokens in terms.models if fnmatchcase(name, like)), terms.min_tokens)
    return terms if least == terms.min_tokens else replace(terms, min_tokens=least)


def with_cache_rates(card: PriceCard, terms: PromptCacheTerms) -> PriceCard:
    """Give a card with the rates of a prompt cache: its own, and the family's shares where it states none.

    Example:
        >>> from langchain_agentcost.pricing import PriceSource, Rate
        >>> card = PriceCard("gpt-x", rates={"input": Rate(Decimal(2))}, price=PriceSource("example", "1"))
        >>> with_cache_rates(card, FAMILIES["openai"]).usd("cache_read").normalize()
        Decimal('1')
    """
    base = card.rates.get("input")
    if base is None:
        return card
    shares = {
        "cache_read": terms.read_share,
        "cache_write": terms.write_share,
        "cache_write_1h": terms.long_write_share,
    }
    missing = {
        name: base.times(share) for name, share in shares.items() if share is not None and name not in card.rates
    }
    return replace(card, rates={**card.rates, **missing}) if missing else card
