from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices.types import ClauseEquals, ModelInfo, Provider
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.pricing import PriceBook, PriceCard, PriceSource, Rate
from langchain_agentcost.pricing.card import RATES
from langchain_agentcost.pricing.genai import GenaiPrices
from langchain_agentcost.usage import Usage
from tests.pricing.price_list import at, book, known, prices, usd

SOURCE = PriceSource("test", "1")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

amounts = st.decimals(0, 700, places=4)
steps = st.lists(st.tuples(st.integers(1, 50_000), amounts), max_size=3, unique_by=lambda step: step[0])
rates = st.builds(lambda base, above: Rate(base, tuple(sorted(above))), amounts, steps)


@st.composite
def cards(draw: st.DrawFn) -> PriceCard:
    """A card with input and output, and any other rates and fees."""
    others = draw(st.dictionaries(st.sampled_from(RATES[2:]), rates))
    return PriceCard(
        "m",
        rates={"input": draw(rates), "output": draw(rates), **others},
        price=SOURCE,
        request=draw(st.decimals(0, 1, places=9)),
        task=draw(st.decimals(0, 1, places=12)),
        tools={"web_search": draw(amounts)},
    )


@st.composite
def usages(draw: st.DrawFn, *, audio: bool) -> Usage:
    """A usage whose parts fit into its wholes."""
    cuts = sorted(draw(st.tuples(*[st.integers(0, 200_000)] * 4)))
    read, write, write_1h, _ = (b - a for a, b in zip([0, *cuts], cuts, strict=False))
    given, made = cuts[-1], draw(st.integers(0, 200_000))
    thought = draw(st.integers(0, made))
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=write_1h,
        input_audio_tokens=draw(st.integers(0, given)) if audio else 0,
        reasoning_tokens=thought,
        output_audio_tokens=draw(st.integers(0, made - thought)) if audio else 0,
        server_tools=(("web_search", searches),) if (searches := draw(st.integers(0, 9))) else (),
    )


@given(st.data(), cards(), st.booleans(), st.integers(0, 1), st.integers(0, 50_000))
def test_no_usage_within_the_bounds_costs_more(
    data: st.DataObject, card: PriceCard, audio: bool, tasks: int, slack: int
) -> None:
    """However the input is cached and the output made up, the worst case covers it, also if it was shorter."""
    usage = data.draw(usages(audio=audio))
    worst = card.worst(usage.input_tokens + slack, audio=audio, tool_calls=dict(usage.server_tools))
    assert worst is not None
    most, per_token = worst
    assert known(card.cost(usage, tasks=tasks)).total_nano <= most + usage.output_tokens * per_token


def test_the_worst_case_is_reached() -> None:
    """It is no more than the dearest usage really costs, so that no budget is held for nothing."""
    rates = {"input": Rate(usd("3")), "cache_write_1h": Rate(usd("6")), "output": Rate(usd("15"))}
    card = PriceCard("m", rates=rates, price=SOURCE, request=usd("0.01"), task=usd("0.2"))
    usage = Usage(input_tokens=1000, cache_write_1h_tokens=1000, output_tokens=100)
    most, per_token = card.worst(1000) or (0, 0)
    assert known(card.cost(usage, tasks=1)).total_nano == most + 100 * per_token == 217_500_000


def test_fractions_of_a_nano_are_rounded_up() -> None:
    """An odd price of a token holds a whole nano-USD more, never less."""
    card = PriceCard("m", rates={"input": Rate(usd("0.0001")), "output": Rate(usd("0.0001"))}, price=SOURCE)
    assert card.worst(1) == (1, 1)
    assert card.worst(0) == (0, 1)


def test_a_step_counts_from_its_first_token_on() -> None:
    """The dearer step holds for one token more than its threshold, for input and output."""
    card = book().card("gpt-long", provider="openai")
    assert card is not None
    assert card.worst(1000) == (1000 * 2_000, 10_000)
    assert card.worst(1001) == (1001 * 4_000, 15_000)


def test_a_longer_prompt_is_never_cheaper() -> None:
    """Where a price list falls with the length, a shorter prompt than was counted would cost more: the dearer holds."""
    falling = Rate(usd("4"), above=((100, usd("1")),))
    card = PriceCard("m", rates={"input": falling, "output": falling}, price=SOURCE)
    assert card.worst(200) == (200 * 4_000, 4_000)


def test_audio_is_only_dear_where_there_may_be_some() -> None:
    """A text prompt of a model that hears is not held at the price of audio."""
    card = book().card("gpt-voice", provider="openai")
    assert card is not None
    assert card.worst(100) == (100 * 1_000, 4_000)
    assert card.worst(100, audio=True) == (100 * 10_000, 20_000)


def test_a_card_without_a_rate_for_the_output_has_no_worst_case() -> None:
    """What is not known is not 0."""
    card = book().card("gpt-embed", provider="openai")
    assert card is not None
    assert card.worst(100) is None


def test_calls_of_the_providers_tools_are_paid_where_they_are_bounded() -> None:
    """Ten searches at most are ten fees; a tool without a price adds none, as it adds none to the bill."""
    card = book().card("claude-mid", provider="anthropic")
    assert card is not None
    assert card.worst(0, tool_calls={"web_search": 10, "web_fetch": 5}) == (100_000_000, 15_000)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "deepseek", "azure", None])
def test_the_dearest_card_is_as_dear_as_any_model_on_any_tier(provider: str | None) -> None:
    """No model of the provider, on no tier and at no length, has a worst case beyond it."""
    ours = book()
    dearest = ours.dearest(provider=provider, at=NOW)
    assert dearest is not None
    whose = [provider] if provider else sorted(ours.prices.known)
    windows = [window for name in whose for window in ours.prices.windows(name, NOW)]
    assert len(windows) > 2
    for card in [window.card for window in windows if window.card]:
        for tokens in (10, 100_000):
            worst, bound = card.worst(tokens, audio=True), dearest.worst(tokens, audio=True)
            assert bound is not None
            assert worst is None or (worst[0] <= bound[0] and worst[1] <= bound[1])


def test_the_dearest_of_a_provider_is_of_that_provider() -> None:
    """Fast mode is Anthropic's dearest, and costs no more than it does."""
    dearest = book().dearest(provider="anthropic", at=NOW)
    assert dearest is not None
    assert dearest.worst(1000) == (9_000_000, 45_000)
    assert dearest.flags == ("no price is known: the dearest of anthropic is assumed",)


def test_a_provider_may_serve_what_it_has_no_price_of_its_own_for() -> None:
    """Azure's dearest is that of OpenAI, whose models it serves at their list price."""
    azure, openai = book().dearest(provider="azure_openai", at=NOW), book().dearest(provider="openai", at=NOW)
    assert azure is not None
    assert openai is not None
    assert azure.usd("output") == openai.usd("output")


@pytest.mark.parametrize("provider", [None, "nobody", "ollama"])
def test_of_an_unknown_provider_it_is_the_dearest_of_all(provider: str | None) -> None:
    """Who serves the model is not known, so it may be the dearest of anybody's."""
    dearest = book().dearest(provider=provider, at=NOW)
    assert dearest is not None
    assert dearest.usd("output") == Decimal(45)


def test_your_own_prices_are_among_the_dearest() -> None:
    """A model of yours that costs more than the list's sets the bound, with its fee, while it holds."""
    lines = [{"model": "ours", "provider": "openai", "input": 99, "output": 990, "request": 1, "until": "2026-12-01"}]
    ours = book({"models": lines})
    before, after = (ours.dearest(provider="openai", at=when) for when in (NOW, at("2026-12-01T00:00Z")))
    assert before is not None
    assert after is not None
    assert before.worst(0) == (1_000_000_000, 990_000)
    assert after.worst(0) == (0, 15_000)


def test_a_cached_dearest_card_does_not_outlive_its_prices() -> None:
    """DeepSeek's dearest falls when its history says so, and a past call is still bounded by the past."""
    ours = book()
    found = [ours.dearest(provider="deepseek", at=at(f"2026-08-{day}T12:00Z")) for day in (20, 21, 20)]
    assert [card.usd("output") for card in found if card] == [Decimal(10), Decimal(8), Decimal(10)]


def test_of_the_bundled_list_the_dearest_is_the_dearest_that_is_sold() -> None:
    """No outlier beyond what a model really costs: o1-pro at 150 and 600 USD per million tokens."""
    dearest = PriceBook().dearest(at=NOW)
    assert dearest is not None
    assert (dearest.usd("input"), dearest.usd("output")) == (Decimal(150), Decimal(600))


def test_without_any_price_there_is_no_dearest() -> None:
    """A provider whose models only embed has no price for an answer."""
    embed = ModelInfo(id="e", match=ClauseEquals(equals="e"), prices=prices(input_mtok="1"))
    only = GenaiPrices([Provider(id="voyage", name="V", api_pattern="", models=[embed])])
    assert PriceBook(prices=only).dearest(at=NOW) is None
