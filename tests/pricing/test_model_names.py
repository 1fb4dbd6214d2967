from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.pricing.names import LOCAL, MAX_NAME_CHARS, NO_FINE_TUNED_PRICE, PROVIDERS, UNLISTED, refer
from langchain_agentcost.usage import Usage
from tests.pricing.price_list import LIST, book, known, usd

MILLION = Usage(input_tokens=1_000_000)


@pytest.mark.parametrize(
    ("model", "provider", "paid"),
    [
        ("gpt-plain", "openai", "1"),
        ("gpt-plain-2026-01-01", "openai", "1"),
        ("GPT-Plain", "OpenAI", "1"),
        ("  gpt-plain ", "openai", "1"),
        ("gpt-plain", None, "1"),
        ("openai/gpt-plain", None, "1"),
        ("openai/gpt-plain", "openai", "1"),
        ("litellm/openai/gpt-plain", None, "1"),
        ("openai/gpt-plain", "litellm", "1"),
        ("azure/gpt-plain", None, "1.1"),
        ("openai:gpt-plain", None, "1"),
        ("OpenAI:GPT-Plain-2026-01-01", None, "1"),
        ("openai:gpt-plain", "openai", "1"),
        ("openai:gpt-plain", "genericfakechatmodel", "1"),
        ("azure_openai:gpt-plain", None, "1.1"),
        ("litellm:azure/gpt-plain", None, "1.1"),
        ("bedrock_converse:us.anthropic.claude-mid-v1:0", None, "3.3"),
        ("us.anthropic.claude-mid-v1:0", None, "3.3"),
        ("openai:ft:gpt-tuned:acme::x1", None, "2"),
        ("openai:publishers/openai/models/gpt-plain", None, "1"),
        ("gpt-plain", "azure_openai", "1.1"),
        ("gpt-plain", "azure", "1.1"),
        ("azure/gpt-plain", "azure", "1.1"),
        ("gpt-plain", "genericfakechatmodel", "1"),
        ("models/gpt-plain", "openai", "1"),
        ("publishers/openai/models/gpt-plain", "openai", "1"),
        ("us.anthropic.claude-mid", None, "3.3"),
        ("us.anthropic.claude-mid", "amazon_bedrock", "3.3"),
        ("us.anthropic.claude-mid", "bedrock_converse", "3.3"),
        ("bedrock/us.anthropic.claude-mid", None, "3.3"),
        ("arn:aws:bedrock:us-east-1:1234:inference-profile/us.anthropic.claude-mid", "amazon_bedrock", "3.3"),
        ("anthropic/claude-mid", None, "3"),
    ],
)
def test_a_model_is_found_under_the_names_that_frameworks_give_it(model: str, provider: str | None, paid: str) -> None:
    """A dated, prefixed, regional or upper-case name finds the price of the model that it means, without a flag."""
    cost = known(book().cost(MILLION, model, provider=provider))
    assert (cost.usd, cost.flags) == (usd(paid), ())


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-plain", "anthropic"),
        ("gpt-plain", "deepseek"),
        ("gpt-plain", "ollama"),
        ("openai/gpt-plain", "ollama"),
        ("ollama/gpt-plain", None),
        ("ollama:gpt-plain", None),
        ("openai:gpt-plain", "ollama"),
        ("deepseek:gpt-plain", None),
        ("gpt-plain", "nvidia"),
        ("openai/gpt-plain", "aws"),
        ("claude-mid", "openai"),
        ("gpt-nobody", "openai"),
        ("fake-chat-model", "genericfakechatmodel"),
        ("deep-unknown", "deepseek"),
        ("gpt-ear", "openai"),
        ("", "openai"),
    ],
)
def test_a_known_provider_is_never_priced_by_anothers_list(model: str, provider: str | None) -> None:
    """Who is known to serve a model decides; what that one's list does not have has no price."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert book().cost(MILLION, model, provider=provider) is None


@pytest.mark.parametrize("model", ["mistral:7b", "mistral:latest", "deepseek:1.5b-q4", "ft:gpt-plain:acme::x1", "a:b"])
def test_a_colon_does_not_always_follow_a_provider(model: str) -> None:
    """A size, a version or a fine-tuned model's mark is a part of the model's name."""
    reference = refer(model, None, known=frozenset({"mistral", "deepseek", "openai"}))
    assert reference is not None
    assert (reference.provider, reference.names) == (None, (model,))


def test_the_model_names_its_provider_through_a_generic_client() -> None:
    """A name such as "anthropic/claude" sent with the OpenAI client is priced as what it names, and flagged."""
    cost = known(book().cost(MILLION, "anthropic/claude-mid", provider="openai"))
    assert cost.usd == usd("3")
    assert cost.flags == ("anthropic's price, by the model's name; the client was openai's",)


def test_another_makers_list_price_is_said() -> None:
    """A cloud without a price of its own for a model gets the maker's, where the list says so, and a flag."""
    cost = known(book().cost(MILLION, "gpt-small", provider="azure"))
    assert cost.usd == usd("0.2")
    assert cost.flags == ("azure has no price of its own; openai's list price is used",)


def test_a_fine_tuned_model_has_its_own_price_where_there_is_one() -> None:
    """A fine-tuned model is priced by its own line of the list."""
    cost = known(book().cost(MILLION, "ft:gpt-tuned:acme::x1", provider="openai"))
    assert (cost.usd, cost.flags) == (usd("2"), ())


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("ft:gpt-plain:acme::x1", "openai"),
        ("ft:gpt-plain-2026-01-01:acme:name:x1", None),
        ("openai/ft:gpt-plain:acme::x1", None),
        ("gpt-plain.ft-0123abcd", "openai"),
    ],
)
def test_a_fine_tuned_model_without_a_price_is_priced_as_its_base(model: str, provider: str | None) -> None:
    """The base model's price stands in for that of a fine-tuned one, and the cost says so."""
    cost = known(book().cost(MILLION, model, provider=provider))
    assert (cost.usd, cost.flags) == (usd("1"), (NO_FINE_TUNED_PRICE,))


def test_a_name_of_a_megabyte_is_harmless() -> None:
    """A name that is far too long has no price, is not kept, and its warning is short."""
    prices = book()
    name = "gpt-plain" + "x" * 1_000_000
    with pytest.warns(UserWarning, match="No price is known") as caught:
        cost = prices.cost(MILLION, name, provider="openai")
    assert cost is None
    assert len(str(caught[0].message)) < 500
    assert known(prices.cost(MILLION, "gpt-plain", provider="openai", asked=name)).usd == 1
    assert not prices._windows


@given(st.text(max_size=400), st.none() | st.text(max_size=400))
def test_no_name_breaks_the_lookup(model: str, provider: str | None) -> None:
    """Whatever a model or provider is called, the answer is a reference or none."""
    reference = refer(model, provider, known=LIST.known)
    assert reference is None or len(reference.names[0]) <= MAX_NAME_CHARS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book().cost(MILLION, model, provider=provider)


def test_the_tables_of_providers_do_not_contradict_each_other() -> None:
    """No provider has both a list and none, and every id in the table exists in the real list."""
    real = PriceBook().prices.known
    assert not LOCAL & UNLISTED
    assert not (LOCAL | UNLISTED) & (real | PROVIDERS.keys())
    assert set(PROVIDERS.values()) <= real
