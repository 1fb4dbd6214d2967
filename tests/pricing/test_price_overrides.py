from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.errors import PriceNotFound
from langchain_agentcost.pricing import Currency, HostedRate, PriceBook, PriceOverrides, PriceSource, ToolRate
from langchain_agentcost.usage import Usage
from tests.pricing.price_list import at, book, known, usd

MILLION = Usage(input_tokens=1_000_000)
NOW = at("2026-11-23T12:00:00Z")


def paid(overrides: dict[str, Any], model: str, *, provider: str | None = None, usage: Usage = MILLION) -> Decimal:
    """What a call costs with overrides."""
    return known(book(overrides).cost(usage, model, provider=provider, at=NOW)).usd


def lines(*models: dict[str, Any]) -> dict[str, Any]:
    """Overrides of model lines."""
    return {"models": list(models)}


def test_a_stated_price_wins_over_the_list() -> None:
    """A model line replaces the list's price, and the cost names it as the source."""
    cost = known(book(lines({"model": "gpt-plain", "input": "7", "output": "9"})).cost(MILLION, "gpt-plain"))
    assert (cost.usd, cost.source) == (usd("7"), "override")


def test_nothing_of_the_list_is_mixed_into_a_stated_price() -> None:
    """A line without a cache rate bills cache reads at its own input rate with a flag, not at the list's."""
    usage = Usage(input_tokens=1_000_000, cache_read_tokens=1_000_000)
    cost = known(book(lines({"model": "gpt-small", "input": 7, "output": 9})).cost(usage, "gpt-small"))
    assert (cost.usd, cost.flags) == (usd("7"), ("no cache_read rate; the input rate is used",))


def test_a_line_without_rates_adds_fees_to_the_list() -> None:
    """A fee alone leaves the list's rates as they are."""
    cost = known(book(lines({"model": "gpt-plain", "request": "0.25"})).cost(MILLION, "gpt-plain"))
    assert (cost.input, cost.request) == (usd("1"), usd("0.25"))


@pytest.mark.parametrize(
    ("pattern", "model", "provider"),
    [
        ("our-*", "our-model", None),
        ("OUR-M?del", "Our-Model", "anything"),
        ("gateway/*", "gateway/acme/m", "openai"),
        ("gpt-plain", "azure/gpt-plain", None),
        ("ft:gpt-plain*", "ft:gpt-plain:acme::1", "openai"),
        ("llama3.1", "ollama/llama3.1", None),
    ],
)
def test_models_are_named_by_pattern(pattern: str, model: str, provider: str | None) -> None:
    """A pattern or name is compared in lower case with the name as given and without its prefixes."""
    assert paid(lines({"model": pattern, "input": 5}), model, provider=provider) == 5


def test_the_first_line_that_fits_counts() -> None:
    """The order of the file decides, between names and patterns alike."""
    wide, narrow = {"model": "gpt-*", "input": 5}, {"model": "gpt-plain", "input": 6}
    assert paid(lines(wide, narrow), "gpt-plain") == 5
    assert paid(lines(narrow, wide), "gpt-plain") == 6


SNAPSHOT = "gpt-plain-2026-01-01"


@pytest.mark.parametrize(
    ("stated", "answered"),
    [
        ("gpt-plain", SNAPSHOT),
        ("gpt-plain", f"models/{SNAPSHOT}"),
        ("gpt-plain", "openai/gpt-plain-20260101"),
        ("our-model", "our-model@20260101"),
        ("anthropic.ours", "anthropic.ours-20260101-v1:0"),
        ("regional.anthropic.claude-mid", "us.anthropic.claude-mid-v2:0"),
    ],
)
def test_a_price_for_a_model_is_that_of_its_snapshots(stated: str, answered: str) -> None:
    """A line, with all that it states, prices the dated names of its model, and those that the list has for it."""
    line = {"model": stated, "input": 100, "request": 1, "task": 2}
    cost = known(book(lines(line)).cost(MILLION, answered, tasks=1))
    assert (cost.usd, cost.request, cost.source) == (usd("103"), usd("3"), "override")


def test_a_discount_of_a_model_is_that_of_its_snapshots() -> None:
    """A line that takes a share off the list's price does so for a snapshot too."""
    assert paid(lines({"model": "gpt-plain", "discount_percent": 20}), SNAPSHOT) == usd("0.8")


@pytest.mark.parametrize("exact", [SNAPSHOT, "*-2026-01-01"])
def test_a_line_for_a_snapshot_goes_before_one_for_all_of_them(exact: str) -> None:
    """What is stated for one snapshot alone prices it, wherever in the file it stands, and no other."""
    for order in (1, -1):
        overrides = lines(*[{"model": "gpt-plain", "input": 5}, {"model": exact, "input": 6}][::order])
        assert paid(overrides, SNAPSHOT) == 6
        assert paid(overrides, "gpt-plain-2026-02-01") == 5


def test_a_pattern_for_the_model_is_no_closer_than_its_name() -> None:
    """Between a name and a pattern that both cover the model and its snapshot, the file's order decides."""
    name, pattern = {"model": "gpt-plain", "input": 5}, {"model": "gpt-*", "input": 6}
    assert paid(lines(name, pattern), SNAPSHOT) == 5
    assert paid(lines(pattern, name), SNAPSHOT) == 6


@pytest.mark.parametrize("model", ["ours-2026-13-01", "ours-2026", "ours-mini-2026-01-01", "our", "ft:ours-2026-01-01"])
def test_a_name_without_its_own_date_is_another_model(model: str) -> None:
    """A line is for its model, and not for one whose name only starts alike."""
    assert book(lines({"model": "ours", "input": 5})).card(model, provider="custom") is None


def asked_for(overrides: dict[str, Any], asked: str, answered: str = "gpt-plain") -> Decimal:
    """What a million tokens cost that were asked of one name and answered under another."""
    return known(book(overrides).cost(MILLION, answered, provider="openai", asked=asked)).usd


@pytest.mark.parametrize("asked", ["prod-chat", "Prod-Chat-2026-01-01", "openai/prod-chat"])
def test_a_price_for_the_name_that_was_asked_for_wins_over_the_list(asked: str) -> None:
    """A deployment's or alias's own price is paid, although the answer bears a name that the list knows."""
    assert asked_for(lines({"model": "prod-chat", "input": 100}), asked) == 100
    assert asked_for(lines({"model": "prod-chat", "discount_percent": 50}), asked) == usd("0.5")
    assert asked_for({"discounts": [{"model": "prod-chat", "percent": 50}]}, asked) == usd("0.5")
    assert asked_for(lines({"model": "prod-chat", "input": 100}), "other") == 1


def test_a_price_for_the_model_that_answered_wins_over_one_for_what_was_asked() -> None:
    """The answer's own name, or what it is a snapshot of, decides before the name that was asked for."""
    overrides = lines({"model": "prod-chat", "input": 100}, {"model": "gpt-plain", "input": 5})
    assert asked_for(overrides, "prod-chat") == 5
    assert asked_for(overrides, "prod-chat", SNAPSHOT) == 5
    assert asked_for(overrides, "prod-chat", "gpt-small") == 100


def test_a_price_of_own_hardware_is_found_under_the_name_that_was_asked_for() -> None:
    """A served model that answers under a file's path has the hosted price of its alias."""
    hosted = {"gpu_hour": "3.6", "input_tokens_per_s": 1000, "output_tokens_per_s": 1000}
    cost = book({"hosted": {"our-llama": hosted}}).cost(MILLION, "/w/l.gguf", provider="vllm", asked="our-llama")
    assert (known(cost).usd, known(cost).source) == (usd("1"), "hosted")


def test_the_list_knows_a_name_that_was_asked_for() -> None:
    """Where the list does not know what answered, the price is that of what was asked for."""
    prices = book()
    assert known(prices.cost(MILLION, "eu-west-chat", provider="openai", asked="gpt-plain")).usd == 1
    assert known(prices.cost(MILLION, "gpt-small", provider="openai", asked="gpt-plain")).usd == usd("0.2")
    assert prices.card("eu-west-chat", provider="openai") is None


def test_a_line_for_a_provider_is_for_that_provider_only() -> None:
    """A provider's line prices its calls under any of its names, and nobody else's."""
    overrides = lines({"model": "gpt-plain", "provider": "azure_openai", "input": 5})
    assert paid(overrides, "gpt-plain", provider="azure") == 5
    assert paid(overrides, "gpt-plain", provider="openai") == 1


def test_a_providers_line_prices_a_model_class_that_nobody_knows() -> None:
    """A custom chat model class is not known to be somebody else's: the model's name decides."""
    overrides = lines({"model": "gpt-plain", "provider": "openai", "input": 5})
    assert paid(overrides, "gpt-plain", provider="mychatmodel") == 5
    assert paid(lines({"model": "gpt-plain", "provider": "theirs", "input": 5}), "gpt-plain", provider="ours") == 1


def test_local_models_have_the_price_that_is_stated_for_them() -> None:
    """A model on one's own server is priced by a line for it."""
    assert paid(
        lines({"model": "llama*", "provider": "ollama", "input": "0.05"}), "llama3.1", provider="ollama"
    ) == usd("0.05")


def test_a_fine_tuned_model_does_not_take_its_bases_line() -> None:
    """A price that is stated for a base model is not silently that of a model made from it."""
    cost = known(
        book(lines({"model": "gpt-plain", "input": 5})).cost(MILLION, "ft:gpt-plain:acme::1", provider="openai")
    )
    assert cost.source == "genai-prices"


@pytest.mark.parametrize(
    ("day", "expected"), [("2026-02-28T23:59:59Z", "1"), ("2026-03-01T00:00:00Z", "5"), ("2026-04-01T00:00:00Z", "1")]
)
def test_a_line_holds_from_its_first_day_until_the_day_before_its_last(day: str, expected: str) -> None:
    """Dates are half-open and UTC; outside them the list holds."""
    prices = book(lines({"model": "gpt-plain", "input": 5, "from": "2026-03-01", "until": date(2026, 4, 1)}))
    assert known(prices.cost(MILLION, "gpt-plain", at=at(day))).usd == usd(expected)


def test_a_tier_has_lines_of_its_own() -> None:
    """A tier's line prices that tier; another tier takes the standard line, and says so."""
    prices = book(lines({"model": "m", "input": 4}, {"model": "m", "service_tier": "batch", "input": 2}))
    by_tier = {
        tier: known(prices.cost(Usage(input_tokens=1_000_000, service_tier=tier), "m"))
        for tier in (None, "batch", "flex")
    }
    assert [cost.usd for cost in by_tier.values()] == [4, 2, 4]
    assert [cost.flags for cost in by_tier.values()] == [(), (), ("no flex price; standard used",)]


def test_long_prompts_step_up() -> None:
    """A line's steps hold strictly above their threshold."""
    overrides = lines({"model": "m", "input": 1, "tiers": [{"above_input_tokens": 1_000_000, "input": 2}]})
    assert paid(overrides, "m") == 1
    assert paid(overrides, "m", usage=Usage(input_tokens=1_000_001)) == usd("2.000002")


@pytest.mark.parametrize(("tokens", "expected"), [(0, "10"), (100, "10"), (101, "9"), (1001, "4")])
def test_the_price_follows_the_stated_volume(tokens: int, expected: str) -> None:
    """The last volume step that the month's tokens are above gives the discount or the rate."""
    steps = [{"above_tokens": 100, "discount_percent": 10}, {"above_tokens": 1000, "discount_percent": 0, "input": 4}]
    assert paid(lines({"model": "m", "input": 10, "volume_tokens": tokens, "volume": steps}), "m") == usd(expected)


def test_a_volume_discount_can_be_off_the_list() -> None:
    """Volume steps without rates take their share off the list's price."""
    line = {"model": "gpt-plain", "volume_tokens": 5, "volume": [{"above_tokens": 1, "discount_percent": 20}]}
    assert paid(lines(line), "gpt-plain") == usd("0.8")


@pytest.mark.parametrize(
    ("tokens", "expected"), [(50_000_000, "1"), (100_000_000, "1"), (100_000_001, "0.95"), (600_000_000, "0.9")]
)
def test_a_volume_below_the_first_step_pays_the_list_price(tokens: int, expected: str) -> None:
    """Steps that are not reached yet are no fault and no discount."""
    steps = [
        {"above_tokens": 100_000_000, "discount_percent": 5},
        {"above_tokens": 500_000_000, "discount_percent": 10},
    ]
    assert paid(lines({"model": "gpt-plain", "volume_tokens": tokens, "volume": steps}), "gpt-plain") == usd(expected)


def test_long_prompts_stay_dearer_at_a_volume() -> None:
    """A rate of a volume step replaces the rate of short prompts; the steps for long ones hold on."""
    line = {
        "model": "m",
        "input": 2,
        "output": 4,
        "tiers": [{"above_input_tokens": 1000, "input": 3, "output": 6}],
        "volume_tokens": 500,
        "volume": [{"above_tokens": 100, "input": 1}],
    }
    card = book(lines(line)).card("m")
    assert card is not None
    short_and_long = [(card.usd(name), card.usd(name, input_tokens=1001)) for name in ("input", "output")]
    assert short_and_long == [(usd("1"), usd("3")), (usd("4"), usd("6"))]


def test_volume_steps_add_up() -> None:
    """A later step changes what it states and keeps the rest of the step before it."""
    steps = [{"above_tokens": 1, "input": 3, "output": 5, "discount_percent": 50}, {"above_tokens": 2, "input": 2}]
    card = book(lines({"model": "m", "volume_tokens": 3, "volume": steps})).card("m")
    assert card is not None
    assert (card.usd("input"), card.usd("output")) == (usd("1"), usd("2.5"))


def test_a_discount_is_off_the_list_and_not_off_what_you_stated() -> None:
    """A negotiated discount lowers list prices, fees and tools included; a rate in the file is what is paid."""
    overrides = {
        "models": [{"model": "gpt-small", "input": 5}],
        "discounts": [{"provider": "openai", "percent": "12.5"}, {"percent": 50}],
    }
    assert paid(overrides, "gpt-small") == 5
    assert paid(overrides, "gpt-plain") == usd("0.875")
    searched = known(book(overrides).cost(replace(MILLION, server_tools=(("web_search", 2),)), "claude-mid"))
    assert (searched.input, searched.tool) == (usd("1.5"), usd("0.01"))
    searched = known(book(overrides).cost(MILLION, "deep-search"))
    assert (searched.input, searched.request) == (usd("0.5"), usd("0.0025"))
    assert searched.version is not None
    assert "less 50 %" in searched.version


def test_discounts_end() -> None:
    """A discount holds within its dates."""
    prices = book({"discounts": [{"percent": 50, "until": "2026-01-01"}]})
    assert known(prices.cost(MILLION, "gpt-plain", at=at("2025-12-31T23:59:59Z"))).usd == usd("0.5")
    assert known(prices.cost(MILLION, "gpt-plain", at=at("2026-01-01T00:00:00Z"))).usd == 1


def test_tools_have_prices_per_call_and_per_second() -> None:
    """A tool costs its price per call and per second; unknown tools and unknown durations have no price."""
    prices = book({"tools": {"search": "0.005", "sql_*": {"per_call": 1, "per_second": "0.5"}}})
    assert known(prices.tool_cost("Search")).tool == usd("0.005")
    assert known(prices.tool_cost("sql_orders", duration_s=2.0)).usd == 2
    assert prices.tool_cost("sql_orders") is None
    assert prices.tool_cost("sql_orders", duration_s=float("nan")) is None
    assert prices.tool_cost("weather") is None
    assert book().tool_cost("search") is None


def test_a_tools_price_is_rounded_once() -> None:
    """Seconds are multiplied before anything is rounded."""
    cost = known(ToolRate(per_second=usd("0.000000001")).cost(PriceSource("t", "1"), duration_s=2.5))
    assert cost.total_nano == 2


def test_own_hardware_is_priced_by_the_hour_and_the_speed() -> None:
    """An hour's money is spread over the tokens that an hour yields at the stated utilisation."""
    hosted = {
        "gpu_hour": "3.6",
        "gpus": 2,
        "input_tokens_per_s": 8000,
        "output_tokens_per_s": 1000,
        "utilisation": "0.5",
    }
    prices = book({"hosted": {"llama-*": hosted}})
    cost = known(prices.cost(Usage(input_tokens=8_000, output_tokens=1_000), "llama-70b", provider="vllm"))
    # 8000 input tokens and 1000 output tokens take a second each; a second costs 2 * 3.6 / 3600 / 0.5.
    assert (cost.usd, cost.source) == (usd("0.008"), "hosted")


@given(st.integers(1, 10**5), st.integers(1, 10**5), st.integers(1, 100))
def test_slower_hardware_costs_more_a_token(fast: int, slow: int, busy: int) -> None:
    """The price of a token falls with speed and with utilisation."""
    fast, slow = max(fast, slow), min(fast, slow)

    def rate(speed: int, percent: int) -> Decimal:
        hosted = HostedRate(usd("2"), Decimal(speed), Decimal(speed), utilisation=Decimal(percent) / 100)
        return hosted.rates()["output"].usd

    assert rate(fast, 100) <= rate(slow, 100)
    assert rate(fast, 100) <= rate(fast, busy)


def test_bills_are_converted_at_the_rate_of_their_day() -> None:
    """Each day has the last rate that started before it; before the first there is none."""
    overrides = PriceOverrides.load(
        {
            "currency": {
                "code": "eur",
                "rates": [{"from": "2026-07-01", "per_usd": "0.8"}, {"from": "2026-01-01", "per_usd": "0.9"}],
            }
        }
    )
    euro = overrides.currency
    assert euro == Currency("EUR", {date(2026, 1, 1): usd("0.9"), date(2026, 7, 1): usd("0.8")})
    assert euro.convert(usd("10"), at=at("2026-06-30T23:59:59Z")) == 9
    assert euro.convert(usd("10"), at=at("2026-07-01T00:00:00Z")) == 8
    with pytest.raises(PriceNotFound, match="No EUR rate holds on 2025-12-31; the earliest is of 2026-01-01"):
        euro.convert(usd("10"), at=datetime(2025, 12, 31, tzinfo=UTC))


def test_numbers_are_read_as_they_are_written(tmp_path: Path) -> None:
    """A rate keeps every digit in TOML, JSON, text and Python floats."""
    toml, as_json = tmp_path / "p.toml", tmp_path / "p.json"
    toml.write_text('[[models]]\nmodel = "m"\ninput = 0.1000000000000000055511151231257827\n', encoding="utf-8")
    as_json.write_text('{"models": [{"model": "m", "input": 0.1000000000000000055511151231257827}]}', encoding="utf-8")
    for given_ in (toml, str(as_json)):
        card = PriceBook(given_).card("m")
        assert card is not None
        assert card.usd("input") == usd("0.1000000000000000055511151231257827")
    card = PriceBook(lines({"model": "m", "input": 0.1})).card("m")
    assert card is not None
    assert card.usd("input") == usd("0.1")
