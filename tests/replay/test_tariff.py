from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.pricing import PriceBook, PriceCard, PriceSource, Rate
from langchain_agentcost.pricing.prompt_caching import FAMILIES
from langchain_agentcost.replay.request import Overhead
from langchain_agentcost.replay.tariff import Tariff, Tariffs
from langchain_agentcost.usage import Usage
from tests.replay.made import PRICES, SONNET, counted, episode, says

OWN = Tariffs(PRICES)
"""Every call at the price of the model that answered it."""


def _priced(model: str) -> Tariff:
    tariff = OWN.of(model)
    assert tariff is not None
    return tariff


def test_one_model_prices_all() -> None:
    """Where a model is named, every call is priced as it, whoever answered."""
    assert SONNET.of("gpt-4.1") is SONNET.of(None)
    run = episode(says("Hi.", recorded=counted(10, model="gpt-4.1")), model="llama-3.3-70b")
    tariff = SONNET.of_call(run.calls[0], run)
    assert tariff is not None
    assert tariff.card.model == "claude-sonnet-4-5"


def test_else_each_call_has_the_price_of_the_model_that_answered_it() -> None:
    """What a call says of its model counts more than what its run says."""
    run = episode(says("Hi.", recorded=counted(10, model="gpt-4.1"), then="And?"), says("Ho."), model="deepseek-chat")
    models = [tariff.card.model for call in run.calls if (tariff := OWN.of_call(call, run)) is not None]
    assert models == ["gpt-4.1", "deepseek-chat"]


def test_a_model_that_is_not_known_has_no_price_whatever_its_run_costs_else() -> None:
    """What a call says of its model is believed: unknown is unknown, and the run is named as unpriced."""
    run = episode(says("Hi.", recorded=counted(10, model="nobody-knows-it")), model="gpt-4.1")
    assert OWN.of_episode(run) is None
    assert OWN.unpriced(run) == "nobody-knows-it"


def test_calls_of_two_providers_in_one_run_have_each_its_own_price() -> None:
    """The call's own provider counts; where it says none, the run's, and then the model's name alone."""
    mine = replace(counted(10, model="gpt-4.1"), provider="openai")
    run = episode(
        says("Hi.", recorded=mine, then="?"),
        says("Ho.", recorded=counted(10, model="deepseek-chat"), then="?"),
        says("Hu.", recorded=counted(10, model="claude-sonnet-4-5")),
        model="claude-sonnet-4-5",
        provider="anthropic",
    )
    found = [OWN.of_call(call, run) for call in run.calls]
    assert [tariff and tariff.card.model for tariff in found] == ["gpt-4.1", "deepseek-chat", "claude-sonnet-4-5"]


def test_a_run_with_a_call_that_has_no_price_has_none() -> None:
    """The bill of a run is known only where all of its calls' prices are, and the model at fault is named."""
    run = episode(
        says("Hi.", recorded=counted(9, model="gpt-4.1"), then="?"), says("Ho.", recorded=counted(9, model="x"))
    )
    assert OWN.of_episode(run) is None
    assert OWN.unpriced(run) == "x"
    assert OWN.unpriced(episode(says("Hi."))) == "(no model)"


def test_a_run_without_calls_has_the_price_of_its_model() -> None:
    """Nothing was called, and nothing has to be known beyond the model's name."""
    tariff = OWN.of_episode(episode(model="gpt-4.1"))
    assert tariff is not None
    assert tariff.card.model == "gpt-4.1"
    assert OWN.of_episode(episode(model=None)) is None


def test_a_model_without_a_price_for_output_has_no_tariff() -> None:
    """A price for half of the tokens is no price: the bill would be too low, or 0."""
    book = PriceBook({"models": [{"model": "half", "input": 1}]})
    assert Tariffs(book).of("half") is None
    with pytest.raises(ReplayError, match="No price is known for 'half'"):
        Tariffs(book, model="half")


def test_a_model_that_nobody_knows_is_refused_at_once() -> None:
    """The message names the model and says what to do."""
    with pytest.raises(ReplayError, match=r"No price is known for 'no-such-model': name another model, or state"):
        Tariffs(PRICES, model="no-such-model")


def test_a_share_of_the_price_scales_every_rate() -> None:
    """At 1/15 of the price reading, writing, input and output all cost a fifteenth, and the cache stays."""
    own = _priced("claude-sonnet-4-5")
    made = OWN.named("1/15", own)
    usage = Usage(15_000, 300, cache_read_tokens=6_000, cache_write_tokens=3_000)
    assert 15 * made.nano(usage) == own.nano(usage)
    assert made.terms is own.terms
    assert OWN.named("1/15", own) is made


def test_a_share_is_of_the_runs_own_price() -> None:
    """The same share of two models' prices are two prices."""
    usage = Usage(1_000_000, 0)
    half = {model: OWN.named("0.5", _priced(model)).nano(usage) for model in ("claude-sonnet-4-5", "gpt-4.1")}
    assert half == {"claude-sonnet-4-5": 1_500_000_000, "gpt-4.1": 1_000_000_000}


def test_a_named_model_has_its_own_price_and_cache() -> None:
    """Where a strategy names a model, that model's terms are its own."""
    made = OWN.named("gpt-4.1", _priced("claude-sonnet-4-5"))
    assert made.terms is FAMILIES["openai"]


@pytest.mark.parametrize(
    "name", ["no-such-model", "1/0", "-1/15", "NaN", "Infinity", "1/NaN", "0/0", "1e999999999", ""]
)
def test_what_is_neither_a_model_nor_a_share_is_refused(name: str) -> None:
    """A price that cannot be is an error that says what may be named, and no bill."""
    with pytest.raises(ReplayError, match="name a model, or a share such as 1/15"):
        OWN.named(name, _priced("gpt-4.1"))


def test_rates_for_estimates_fall_back_to_the_input_rate() -> None:
    """A rate that is stated counts, one that is not is the input's, and a rate of 0 is stated."""
    sonnet, llama = _priced("claude-sonnet-4-5"), _priced("llama-3.3-70b")
    assert (sonnet.rate("cache_read"), sonnet.rate("cache_write"), sonnet.rate("output")) == (300, 3750, 15_000)
    assert llama.rate("cache_read") == 1000
    free = Rate(Decimal(0))
    card = PriceCard(
        "x", rates={"input": Rate(Decimal(1)), "output": free, "cache_read": free}, price=PriceSource("x", "1")
    )
    assert Tariff(card, None).rate("cache_read") == 0


def test_usage_of_a_model_without_a_cache_is_plain() -> None:
    """Whatever is said to be read, a model without a prompt cache reports no reads and no writes."""
    assert _priced("llama-3.3-70b").usage(5000, 7, read_tokens=4000) == Usage(5000, 7)


def test_writes_are_reported_where_the_card_prices_them() -> None:
    """gpt-5.6 bills what it writes, gpt-4.1 does not: the price list says so, not the family."""
    written = {
        model: _priced(model).usage(5000, 7, read_tokens=1024).cache_write_tokens for model in ("gpt-4.1", "gpt-5.6")
    }
    assert written == {"gpt-4.1": 0, "gpt-5.6": 3976}


def test_a_call_of_the_strategys_own_reads_what_the_cache_serves() -> None:
    """It reads the part that is known, and pays the input rate for the rest: nothing of it is written."""
    on, off = _priced("claude-sonnet-4-5").overhead(Overhead(5000, 40, read_tokens=3000))
    assert on == 3000 * 300 + 2000 * 3000 + 40 * 15_000
    assert off == 5000 * 3000 + 40 * 15_000


@pytest.mark.parametrize(("model", "reads"), [("claude-sonnet-4-5", 1023), ("llama-3.3-70b", 3000)])
def test_a_call_of_the_strategys_own_reads_nothing_that_is_not_cached(model: str, reads: int) -> None:
    """Below the provider's minimum, and from a model without a cache, nothing is read at a discount."""
    on, off = _priced(model).overhead(Overhead(reads, 40, read_tokens=reads))
    assert on == off


def test_a_fee_for_each_request_is_part_of_the_bill() -> None:
    """A model that is billed by the request costs its fee for an empty call."""
    assert _priced("sonar").nano(Usage(0, 0)) == 12_000_000


def test_prices_are_those_of_an_instant() -> None:
    """A replay that is pinned to a day gives the same dollars on any other day."""
    dated = [
        {"model": "m", "input": 1, "output": 1, "until": "2026-01-01"},
        {"model": "m", "input": 2, "output": 2, "from": "2026-01-01"},
    ]
    book = PriceBook({"models": dated})
    for year, nano in ((2025, 1000), (2026, 2000)):
        tariff = Tariffs(book, model="m", at=datetime(year, 6, 1, tzinfo=UTC)).of(None)
        assert tariff is not None
        assert tariff.nano(Usage(1, 0)) == nano
