from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.pricing import PriceBook, PriceCard, PriceSource, Rate
from langchain_agentcost.pricing.prompt_caching import FAMILIES, PromptCacheTerms, terms_of, with_cache_rates

SOURCE = PriceSource("example", "1")


@pytest.mark.parametrize(
    ("model", "provider", "family", "least"),
    [
        ("claude-sonnet-4-5", "anthropic", "anthropic", 1024),
        ("claude-sonnet-4-20250514", "anthropic", "anthropic", 1024),
        ("claude-opus-4-1-20250805", "anthropic", "anthropic", 1024),
        ("claude-opus-4-5-20251101", "anthropic", "anthropic", 4096),
        ("claude-opus-4-6", None, "anthropic", 4096),
        ("claude-haiku-4-5", "anthropic", "anthropic", 4096),
        ("claude-sonnet-4-6", "anthropic", "anthropic", 2048),
        ("claude-3-5-haiku-latest", "anthropic", "anthropic", 2048),
        ("anthropic/claude-opus-4.5", "openrouter", "anthropic", 4096),
        ("regional.anthropic.claude-opus-4-5-v1:0", "aws", "anthropic", 4096),
        ("claude-opus-4-5@20251101", "google", "anthropic", 4096),
        ("gpt-4.1", "openai", "openai", 1024),
        ("gpt-4o-mini", "azure", "openai", 1024),
        ("chatgpt-4o-latest", "openai", "openai", 1024),
        ("openai/o4-mini", "openrouter", "openai", 1024),
        ("o1", None, "openai", 1024),
        ("deepseek-chat", "deepseek", "deepseek", 64),
        ("DeepSeek-V3", None, "deepseek", 64),
        ("gemini-2.5-flash", "google", "google", 1024),
        ("gemini-2.5-pro", "google", "google", 4096),
        ("grok-3", "x-ai", "x-ai", 1),
        ("codestral", "mistral", "mistral", 1),
    ],
)
def test_a_models_terms_are_those_of_its_maker(model: str, provider: str | None, family: str, least: int) -> None:
    """Whoever serves a model, and however its name is written there, the maker's cache has its own minimum."""
    terms = terms_of(model, provider)
    assert terms is not None
    assert (terms.family, terms.min_tokens) == (family, least)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("llama-3.3-70b", None),
        ("gpt-oss-120b", "openai"),
        ("openai/gpt-oss-20b", "groq"),
        ("deepseek-r1-distill-llama-70b", "groq"),
        ("mistral.mistral-large-2402-v1:0", "aws"),
        ("gpt-4", "openai"),
        ("gpt-4-turbo", "openai"),
        ("gpt-4-32k", None),
        ("gpt-3.5-turbo", "openai"),
        ("gpt-35-turbo", "azure"),
        ("claude-2.1", "anthropic"),
        ("claude-instant-1.2", "anthropic"),
        ("gemini-1.5-pro", "google"),
        ("gemini-2.0-flash", "google"),
        ("google.gemma-3-27b-it", "google"),
        ("orca-2", None),
        ("", None),
    ],
)
def test_no_cache_is_made_up_for_a_model_that_is_not_known_to_have_one(model: str, provider: str | None) -> None:
    """Open weights on other servers, and models from before prompt caching, have no terms."""
    assert terms_of(model, provider) is None


@pytest.mark.parametrize(
    ("prefix", "prompt", "served"),
    [(1024, 5000, 1024), (1151, 5000, 1024), (1152, 5000, 1152), (1023, 5000, 0), (1024, 1024, 1024), (0, 9999, 0)],
)
def test_openai_serves_steps_of_128_from_1024_tokens(prefix: int, prompt: int, served: int) -> None:
    """A prefix is served in whole steps, and not at all below the minimum."""
    assert FAMILIES["openai"].cached(prefix, prompt) == served


def test_anthropic_serves_every_token_of_a_prefix_that_is_long_enough() -> None:
    """There are no steps where the caller marks what is cached."""
    assert FAMILIES["anthropic"].cached(1025, 5000) == 1025


def test_a_prompt_below_the_minimum_is_neither_read_nor_written() -> None:
    """What is too short to be cached is billed as plain input, even by who bills writes."""
    usage = FAMILIES["anthropic"].usage(1023, 10, read_tokens=0, billed_writes=True)
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.uncached_tokens) == (0, 0, 1023)


def test_what_is_not_read_is_written_where_writes_are_billed() -> None:
    """A provider that bills writes bills all of a cached prompt as either read or written."""
    usage = FAMILIES["anthropic"].usage(5000, 10, read_tokens=2000, billed_writes=True)
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.uncached_tokens) == (2000, 3000, 0)


def test_writing_is_plain_input_where_it_is_free() -> None:
    """A provider that does not bill writes bills the rest of the prompt as input."""
    usage = FAMILIES["openai"].usage(5000, 10, read_tokens=2048, billed_writes=False)
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.uncached_tokens) == (2048, 0, 2952)


@settings(deadline=None)
@given(
    terms=st.sampled_from(list(FAMILIES.values())),
    prompt=st.integers(0, 10**6),
    share=st.floats(0, 1),
    pays=st.booleans(),
)
def test_the_cache_never_serves_more_than_was_sent(
    terms: PromptCacheTerms, prompt: int, share: float, pays: bool
) -> None:
    """What is read is part of the known prefix, comes in whole steps, and the parts of the input sum to it."""
    prefix = int(prompt * share)
    read = terms.cached(prefix, prompt)
    usage = terms.usage(prompt, 1, read_tokens=read, billed_writes=pays)
    assert 0 <= read <= prefix
    assert read % terms.step_tokens == 0
    assert usage.uncached_tokens + usage.cache_read_tokens + usage.cache_write_tokens == prompt


def test_a_card_keeps_the_rates_that_it_states() -> None:
    """The price list's own rate for cached input is not replaced by the family's share."""
    card = PriceBook().card("gpt-4.1")
    assert card is not None
    assert with_cache_rates(card, FAMILIES["openai"]) is card


def test_rates_that_a_card_does_not_state_are_the_familys_shares() -> None:
    """Reads and writes are priced as shares of the input rate, at every step of it."""
    card = PriceCard(
        "claude-x",
        rates={"input": Rate(Decimal(4), above=((200_000, Decimal(8)),)), "output": Rate(Decimal(9))},
        price=SOURCE,
    )
    made = with_cache_rates(card, FAMILIES["anthropic"])
    given = {name: (made.usd(name), made.usd(name, input_tokens=200_001)) for name in ("cache_read", "cache_write")}
    assert given == {"cache_read": (Decimal("0.4"), Decimal("0.8")), "cache_write": (Decimal(5), Decimal(10))}
    assert made.usd("cache_write_1h") == Decimal(8)
    assert made.usd("output") == Decimal(9)


def test_free_writes_have_no_rate() -> None:
    """Where writing is free no rate for it is made up: a rate would make it billed."""
    card = PriceCard("gpt-x", rates={"input": Rate(Decimal(2))}, price=SOURCE)
    assert "cache_write" not in with_cache_rates(card, FAMILIES["openai"]).rates


def test_without_an_input_rate_nothing_is_filled_in() -> None:
    """A share of an unknown price is unknown."""
    card = PriceCard("claude-x", rates={"output": Rate(Decimal(9))}, price=SOURCE)
    assert with_cache_rates(card, FAMILIES["anthropic"]) is card


@pytest.mark.parametrize("family", FAMILIES)
def test_a_familys_numbers_make_sense(family: str) -> None:
    """Reading is a discount, writing a premium, and the longer time is longer and dearer."""
    terms = FAMILIES[family]
    assert terms.family == family
    assert 0 < terms.read_share < 1
    assert terms.min_tokens >= 1
    assert terms.write_share is None or terms.write_share > 1
    assert terms.long_ttl_s is None or terms.long_ttl_s > terms.ttl_s
    assert terms.long_write_share is None or terms.write_share is None or terms.long_write_share > terms.write_share
