from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.replay.advice.paid import IN_TOKENS, Fixed, StandIn, billed, fitted_to, prices_of, read_tokens
from langchain_agentcost.replay.advice.seen import Basis
from langchain_agentcost.replay.episode import NOTHING, Episode, Recorded
from langchain_agentcost.replay.tariff import Tariff, Tariffs
from langchain_agentcost.usage import Usage
from tests.replay.made import episode, says

LIST = Tariffs()


def tariff(model: str) -> Tariff:
    """The list prices of a model."""
    found = LIST.of(model)
    assert found is not None
    return found


def talk(*told: Recorded, model: str | None = "gpt-4.1") -> Episode:
    """A run of which this was reported."""
    return episode(*(says("Yes.", then="And?", recorded=one) for one in told), model=model)


def at_rates(uncached: float, read: float, output: float, *usages: Usage) -> list[Recorded]:
    """Reports with costs at these rates, in nano-USD per token."""
    return [
        Recorded(
            use,
            knows_cache=True,
            cost_nano=round(
                (use.input_tokens - use.cache_read_tokens) * uncached
                + use.cache_read_tokens * read
                + use.output_tokens * output
            ),
        )
        for use in usages
    ]


SENT = (
    Usage(10_000, 200),
    Usage(12_000, 900, cache_read_tokens=9_984),
    Usage(15_000, 50, cache_read_tokens=11_968),
    Usage(15_500, 400, cache_read_tokens=14_976),
)


def test_a_recorded_cost_is_the_bill() -> None:
    """What was recorded counts, not what the list says."""
    call = billed(Recorded(Usage(1_000, 10), cost_nano=77), tariff("gpt-4.1"), Usage(1_000, 10), trusted=True)
    assert (call.amount, call.basis) == (77, Basis.RECORDED)


@pytest.mark.parametrize("cost", [None, 0])
def test_without_a_cost_the_recorded_usage_is_priced(cost: int | None) -> None:
    """No cost, or one of 0 for tokens that were sent, is priced from the list."""
    told = Recorded(Usage(1_000, 10, cache_read_tokens=500), knows_cache=True, cost_nano=cost)
    call = billed(told, tariff("gpt-4.1"), Usage(1_000, 10), trusted=True)
    assert (call.amount, call.basis, call.read_tokens) == (1_330_000, Basis.PRICED, 500)


def test_without_usage_a_call_is_simulated_without_prompt_caching() -> None:
    """Where nothing was reported the counted tokens are priced in full, and the cache is not known."""
    call = billed(NOTHING, tariff("gpt-4.1"), Usage(1_000, 10), trusted=True)
    assert (call.amount, call.basis, call.read_tokens) == (2_080_000, Basis.SIMULATED, None)


def test_prices_that_were_asked_for_come_before_recorded_costs() -> None:
    """Runs that are priced as another model's have no bill of their own."""
    told = Recorded(Usage(1_000, 10), cost_nano=77)
    assert billed(told, tariff("gpt-4.1"), Usage(1_000, 10), trusted=False).basis is Basis.PRICED


def test_without_a_price_amounts_are_tokens() -> None:
    """A model that nobody knows is counted, input and output alike, whatever cost was recorded."""
    paid = prices_of(talk(Recorded(Usage(1_000, 10), cost_nano=0), model="our-own"), LIST)
    assert paid.tariff is IN_TOKENS
    assert billed(NOTHING, paid.tariff, Usage(1_000, 10), trusted=True).amount == 1_010


@pytest.mark.parametrize(
    ("cost", "reads"),
    [(20_000_000, 0), (19_990_000, 0), (12_500_000, 5_000), (5_000_000, 10_000), (30_000_000, None), (100, None)],
)
def test_a_cost_tells_what_the_cache_served(cost: int, reads: int | None) -> None:
    """Between the full price and that of a prompt from the cache it tells how many tokens; outside, nothing."""
    assert read_tokens(Recorded(Usage(10_000), cost_nano=cost), tariff("gpt-4.1")) == reads


def test_what_the_provider_said_of_its_cache_is_believed() -> None:
    """Recorded reads count, whatever the cost would tell; without usage nothing is known."""
    told = Recorded(Usage(10_000, cache_read_tokens=128), knows_cache=True, cost_nano=5_000_000)
    assert read_tokens(told, tariff("gpt-4.1")) == 128
    assert read_tokens(NOTHING, tariff("gpt-4.1")) is None
    assert read_tokens(Recorded(Usage(10), cost_nano=5), replace(tariff("gpt-4.1"), terms=None)) is None


def test_rates_are_found_that_recorded_costs_follow() -> None:
    """Costs at 0.28, 0.028 and 0.42 USD per million tokens give these rates, and not the list's."""
    run = talk(*at_rates(280, 28, 420, *SENT), model="deepseek-chat")
    paid = prices_of(run, LIST)
    rates = [paid.tariff.card.usd(name) for name in ("input", "cache_read", "output")]
    assert rates == [Decimal("0.28"), Decimal("0.028"), Decimal("0.42")]
    assert paid.scale == 1
    assert paid.tariffs.of_call(run.calls[0], run) is paid.tariff


def test_costs_that_follow_no_rates_scale_the_list() -> None:
    """One odd cost, and the list stays, with what the bill is over it."""
    told = at_rates(280, 28, 420, *SENT)
    told[1] = replace(told[1], cost_nano=9_000_000)
    paid = prices_of(talk(*told, model="deepseek-chat"), LIST)
    assert paid.tariff is tariff("deepseek-chat")
    assert paid.scale != 1


def test_costs_at_list_price_are_left_alone() -> None:
    """Where the bill is what the list says, there is nothing to find."""
    card = tariff("gpt-4.1")
    told = [Recorded(use, knows_cache=True, cost_nano=card.nano(use)) for use in SENT]
    paid = prices_of(talk(*told), LIST)
    assert (paid.tariff, paid.tariffs) == (card, LIST)
    assert paid.scale == 1


def test_no_rates_are_made_up() -> None:
    """Too few calls, or a provider that bills writes to its cache, have no rates that could be found."""
    few = at_rates(280, 28, 420, *SENT[:1])
    assert fitted_to(tariff("deepseek-chat"), SENT[:1], [few[0].cost_nano or 0]) is None
    told = at_rates(280, 28, 420, *SENT)
    assert fitted_to(tariff("claude-sonnet-4-5"), SENT, [one.cost_nano or 0 for one in told]) is None


def test_a_stand_in_prices_only_what_has_no_price() -> None:
    """A model that the list knows keeps its prices, a run's own model comes before the stand-in."""
    tariffs = StandIn(LIST, "gpt-4.1")
    known, unknown = talk(NOTHING, model="gpt-4o"), talk(NOTHING, model="our-own")
    assert tariffs.of_call(known.calls[0], known) == tariff("gpt-4o")
    assert tariffs.of_call(unknown.calls[0], unknown) == tariff("gpt-4.1")
    assert tariffs.of("our-own") == tariff("gpt-4.1")


def test_a_stand_in_says_what_it_stands_in_for() -> None:
    """The note under the figures names the models that it priced, the first three of them."""
    tariffs = StandIn(LIST, "gpt-4.1")
    assert tariffs.of("gpt-4o")
    assert tariffs.version.endswith("; gpt-4.1 stands in for none: every model has a price of its own")
    for name in ("own-d", "own-b", "own-a", "own-c\x1b", "own-a"):
        assert tariffs.of(name) == tariff("gpt-4.1")
    assert tariffs.version == f"{LIST.version}; gpt-4.1 stands in for own-a, own-b, own-c  and 1 more"


def test_a_price_file_prices_a_model_of_ones_own() -> None:
    """Stated prices take a model out of those that are counted in tokens."""
    stated = Tariffs(PriceBook({"models": [{"model": "our-own", "input": 1, "output": 2}]}))
    assert prices_of(talk(NOTHING, model="our-own"), stated).tariff.card.usd("input") == 1


def test_fixed_prices_hold_for_any_model() -> None:
    """A run that is replayed at fitted prices pays these for every call."""
    fixed = Fixed(tariff("gpt-4.1"), LIST)
    assert fixed.of("claude-sonnet-4-5") == fixed.of(None) == tariff("gpt-4.1")
