from __future__ import annotations

from dataclasses import fields, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_agentcost.pricing import Cost, PriceCard, PriceSource, Rate
from langchain_agentcost.pricing.card import (
    ANOMALOUS,
    AUDIO_IN_CACHE_UNKNOWN,
    ESTIMATED,
    PARTS_EXCEED_INPUT,
    PARTS_EXCEED_OUTPUT,
    RATES,
)
from langchain_agentcost.pricing.cost import PARTS
from langchain_agentcost.usage import Usage
from tests.pricing.price_list import known, usd

SOURCE = PriceSource("test", "1")
EXACT = Context(prec=80)


def flat(rates: dict[str, str]) -> PriceCard:
    """A card with flat rates."""
    return PriceCard("m", rates={name: Rate(usd(rate)) for name, rate in rates.items()}, price=SOURCE)


def card(**rates: str) -> PriceCard:
    """A card with flat rates."""
    return flat(rates)


CLAUDE = card(input="3", output="15", cache_read="0.3", cache_write="3.75", cache_write_1h="6")


def test_parts_of_the_input_are_billed_at_their_own_rates() -> None:
    """Each part of the prompt is paid once, at its own rate, and the rest at the input rate."""
    usage = Usage(
        input_tokens=1000,
        output_tokens=100,
        cache_read_tokens=400,
        cache_write_tokens=200,
        cache_write_1h_tokens=100,
    )
    cost = known(CLAUDE.cost(usage))
    assert cost.input == usd("0.0009")
    assert cost.cache_read == usd("0.00012")
    assert cost.cache_write == usd("0.00135")
    assert cost.output == usd("0.0015")
    assert cost.flags == ()


def test_the_shortcut_and_the_long_way_give_the_same_cost() -> None:
    """What the shortcut for plain calls gives equals what is worked out part by part."""
    usage = Usage(input_tokens=900, output_tokens=70, cache_read_tokens=300, cache_write_tokens=100)
    assert CLAUDE._plain is not None
    assert CLAUDE.cost(usage) == CLAUDE._itemised(usage, 1, 0)


def test_the_shortcut_fills_every_field_of_a_cost() -> None:
    """A cost made slot by slot has a value in each field, so a field added to `Cost` cannot be forgotten here."""
    cost = known(CLAUDE.cost(Usage(input_tokens=1)))
    assert all(hasattr(cost, field.name) for field in fields(Cost))


def test_reasoning_is_part_of_the_output() -> None:
    """Reasoning tokens are never paid on top of the output that contains them."""
    plain = known(CLAUDE.cost(Usage(output_tokens=500)))
    assert known(CLAUDE.cost(Usage(output_tokens=500, reasoning_tokens=400))).usd == plain.usd


def test_reasoning_with_a_rate_of_its_own() -> None:
    """A model that prices reasoning apart bills it apart, and the rest of the output at the output rate."""
    cost = known(card(input="1", output="2", reasoning="3").cost(Usage(output_tokens=1000, reasoning_tokens=600)))
    assert cost.usd == usd("0.0026")


@pytest.mark.parametrize(("tokens", "input_usd", "output_usd"), [(1000, "2", "10"), (1001, "4", "15")])
def test_a_long_prompt_changes_every_rate_at_once(tokens: int, input_usd: str, output_usd: str) -> None:
    """The dearer step starts strictly above its threshold, and then holds for all tokens, output included."""
    long = PriceCard(
        "m",
        rates={"input": Rate(usd("2"), ((1000, usd("4")),)), "output": Rate(usd("10"), ((1000, usd("15")),))},
        price=SOURCE,
    )
    cost = known(long.cost(Usage(input_tokens=tokens, output_tokens=100)))
    assert cost.usd == (usd(input_usd) * tokens + usd(output_usd) * 100) / 10**6


def test_steps_are_chosen_by_the_whole_input() -> None:
    """Cached tokens count towards the threshold, and each rate has thresholds of its own."""
    long = PriceCard(
        "m",
        rates={
            "input": Rate(usd("2"), ((1000, usd("4")),)),
            "output": Rate(usd("1")),
            "cache_read": Rate(usd("1"), ((2000, usd("3")),)),
        },
        price=SOURCE,
    )
    at_1500 = known(long.cost(Usage(input_tokens=1500, cache_read_tokens=1400)))
    assert (at_1500.input, at_1500.cache_read) == (usd("0.0004"), usd("0.0014"))
    at_2001 = known(long.cost(Usage(input_tokens=2001, cache_read_tokens=2001)))
    assert at_2001.cache_read == usd("0.006003")


@pytest.mark.parametrize(
    ("part", "rates", "paid_at", "said"),
    [
        ("cache_read_tokens", {"input": "1", "output": "2"}, "1", "no cache_read rate; the input rate is used"),
        ("cache_write_tokens", {"input": "1", "output": "2"}, "1", "no cache_write rate; the input rate is used"),
        (
            "cache_write_1h_tokens",
            {"input": "1", "output": "2", "cache_write": "5"},
            "5",
            "no cache_write_1h rate; the cache_write rate is used",
        ),
        ("input_audio_tokens", {"input": "1", "output": "2"}, "1", "no input_audio rate; the input rate is used"),
    ],
)
def test_a_rate_that_is_not_stated_is_substituted_and_said(
    part: str, rates: dict[str, str], paid_at: str, said: str
) -> None:
    """A part without a rate is billed as the nearest other, and the cost says so."""
    usage = Usage(**{"input_tokens": 1000, part: 1000})  # type: ignore[arg-type]
    cost = known(flat(rates).cost(usage))
    assert cost.usd == usd(paid_at) / 1000
    assert cost.flags == (said,)


def test_a_rate_that_is_not_used_is_not_mentioned() -> None:
    """A missing rate is no news to a call that does not need it."""
    assert known(card(input="1", output="2").cost(Usage(input_tokens=10, output_tokens=10))).flags == ()


def test_audio_is_billed_apart_from_text() -> None:
    """Audio in and out has rates of its own; the text beside it keeps the text rate."""
    voice = card(input="1", output="4", input_audio="10", output_audio="20")
    cost = known(voice.cost(Usage(1000, 500, input_audio_tokens=600, output_audio_tokens=200)))
    assert cost.input == usd("0.0064")
    assert cost.output == usd("0.0052")


def test_audio_counts_as_uncached_first() -> None:
    """Where nobody says how much of the cached prompt was audio, the dearer reading is taken and flagged."""
    voice = card(input="1", output="4", cache_read="0.5", input_audio="10", cache_audio_read="2")
    cost = known(voice.cost(Usage(input_tokens=1000, cache_read_tokens=700, input_audio_tokens=500)))
    assert cost.input == usd("0.003")
    assert cost.cache_read == usd("0.00065")
    assert cost.flags == (AUDIO_IN_CACHE_UNKNOWN,)


def test_parts_that_exceed_the_whole_are_flagged() -> None:
    """Impossible parts are billed as reported, nothing goes below zero, and the cost says what was wrong."""
    cost = known(CLAUDE.cost(Usage(input_tokens=10, cache_read_tokens=30)))
    assert (cost.input, cost.cache_read) == (usd("0"), usd("0.000009"))
    assert cost.flags == (PARTS_EXCEED_INPUT,)
    spoken = known(card(input="1", output="1", output_audio="2").cost(Usage(output_tokens=1, output_audio_tokens=5)))
    assert spoken.usd == usd("0.00001")
    assert PARTS_EXCEED_OUTPUT in spoken.flags


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        (Usage(input_tokens=10, estimated=True), ESTIMATED),
        (Usage(input_tokens=10, anomalies=("total_tokens was 7",)), ANOMALOUS),
    ],
)
def test_estimates_and_anomalies_are_flagged(usage: Usage, said: str) -> None:
    """A cost that rests on an estimate or on odd counts says so."""
    assert known(CLAUDE.cost(usage)).flags == (said,)


def test_tokens_without_any_rate_have_no_price() -> None:
    """Output of a model that has an input rate only costs an unknown amount, not nothing."""
    embedding = card(input="0.02")
    assert known(embedding.cost(Usage(input_tokens=100_000))).usd == usd("0.002")
    assert embedding.cost(Usage(input_tokens=1, output_tokens=1)) is None


def test_fees_are_a_part_of_their_own() -> None:
    """Fees per request and per task, and calls of the provider's own tools, are added and shown apart."""
    bare = card(input="1", output="1")
    priced = replace(bare, request=usd("0.005"), task=usd("0.5"), tools={"web_search": usd("0.01")})
    usage = Usage(input_tokens=1000, server_tools=(("web_search", 3),))
    cost = known(priced.cost(usage, requests=2, tasks=1))
    assert (cost.input, cost.request, cost.tool) == (usd("0.001"), usd("0.51"), usd("0.03"))
    assert cost.usd == usd("0.541")


def test_a_server_tool_without_a_price_is_said() -> None:
    """A paid tool that the source has no price for is named in the flags."""
    cost = known(CLAUDE.cost(Usage(input_tokens=10, server_tools=(("image_generation", 1),))))
    assert cost.flags == ("no price for image_generation: not counted",)


def test_the_card_says_where_a_cost_comes_from() -> None:
    """A cost carries its card's source, tier and flags."""
    batch = PriceCard(
        "m", rates={"input": Rate(usd("1")), "output": Rate(usd("1"))}, price=SOURCE, service_tier="batch", flags=("x",)
    )
    for usage in (Usage(input_tokens=5), Usage(input_tokens=5, estimated=True)):
        cost = known(batch.cost(usage))
        assert (cost.price, cost.service_tier) == (SOURCE, "batch")
        assert "x" in cost.flags


RATE = st.decimals(min_value=0, max_value=200, places=9)
TOKENS = st.integers(min_value=0, max_value=10**9)


@st.composite
def cards(draw: st.DrawFn) -> PriceCard:
    """Cards with any set of rates and steps."""
    names = {"input", "output", *draw(st.sets(st.sampled_from(RATES)))}
    rates = {}
    for name in sorted(names):
        starts = sorted(draw(st.sets(st.integers(1, 10**6), max_size=2)))
        rates[name] = Rate(draw(RATE), tuple((start, draw(RATE)) for start in starts))
    return PriceCard("m", rates=rates, price=SOURCE, request=draw(st.sampled_from([usd("0"), usd("0.005")])))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usages whose parts fit into their wholes."""
    read, write, write_1h, rest, reasoning, spoken, more = (draw(st.integers(0, 10**6)) for _ in range(7))
    tokens = read + write + write_1h + rest
    return Usage(
        input_tokens=tokens,
        output_tokens=reasoning + spoken + more,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=write_1h,
        input_audio_tokens=draw(st.integers(0, tokens)) if draw(st.booleans()) else 0,
        reasoning_tokens=reasoning,
        output_audio_tokens=spoken,
    )


def by_hand(priced: PriceCard, usage: Usage) -> Decimal:
    """The same price in plain `Decimal` arithmetic, from the rates as they are shown."""

    def rate(name: str, *others: str) -> Decimal:
        found = next(n for n in (name, *others) if n in priced.rates)
        return priced.rates[found].at(usage.input_tokens)

    uncached = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens - usage.cache_write_1h_tokens
    fresh_audio = min(usage.input_audio_tokens, uncached)
    cached_audio = min(usage.input_audio_tokens - fresh_audio, usage.cache_read_tokens)
    thought = usage.reasoning_tokens if "reasoning" in priced.rates else 0
    lines = [
        (uncached - fresh_audio, rate("input")),
        (fresh_audio, rate("input_audio", "input")),
        (usage.cache_read_tokens - cached_audio, rate("cache_read", "input")),
        (cached_audio, rate("cache_audio_read", "cache_read", "input_audio", "input")),
        (usage.cache_write_tokens, rate("cache_write", "input")),
        (usage.cache_write_1h_tokens, rate("cache_write_1h", "cache_write", "input")),
        (usage.output_tokens - usage.output_audio_tokens - thought, rate("output")),
        (usage.output_audio_tokens, rate("output_audio", "output")),
        (thought, rate("reasoning", "output")),
    ]
    total = priced.request
    for tokens, per_million in lines:
        total = EXACT.add(total, EXACT.multiply(Decimal(tokens), per_million.scaleb(-6)))
    return total.quantize(Decimal("1e-9"), rounding=ROUND_HALF_EVEN, context=EXACT)


@given(cards(), usages())
@example(card(input="0.0005", output="0"), Usage(input_tokens=1))
@example(card(input="0.0005", output="0"), Usage(input_tokens=3))
@example(card(input="1", output="0", input_audio="7"), Usage(9, cache_read_tokens=9, input_audio_tokens=9))
def test_integers_give_what_decimals_give(priced: PriceCard, usage: Usage) -> None:
    """Whole atto-USD, rounded once half to even, equal exact decimal arithmetic rounded once."""
    assert known(priced.cost(usage)).usd == by_hand(priced, usage)


@given(cards(), usages())
def test_the_parts_sum_to_the_total(priced: PriceCard, usage: Usage) -> None:
    """However it rounds, the six parts of a cost add up to its total and none is negative."""
    cost = known(priced.cost(usage))
    parts = [getattr(cost, name) for name in PARTS[1:]]
    assert sum(parts) == cost.total_nano
    assert min(parts) >= 0


@given(rate=RATE, dearer=RATE, tokens=TOKENS, more=TOKENS, output=TOKENS)
def test_more_tokens_never_cost_less(rate: Decimal, dearer: Decimal, tokens: int, more: int, output: int) -> None:
    """A longer prompt or answer costs at least as much, across a step to a dearer rate too."""
    low, high = sorted((rate, dearer))
    priced = PriceCard("m", rates={"input": Rate(low, ((10**6, high),)), "output": Rate(low)}, price=SOURCE)
    first = known(priced.cost(Usage(input_tokens=tokens, output_tokens=output)))
    second = known(priced.cost(Usage(input_tokens=tokens + more, output_tokens=output + more)))
    assert second.total_nano >= first.total_nano
