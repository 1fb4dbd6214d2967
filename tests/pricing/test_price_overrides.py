from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from price_list import at, book, known, usd

from langchain_agentcost.errors import PriceFileError, PriceNotFound
from langchain_agentcost.pricing import Currency, HostedRate, PriceBook, PriceOverrides, PriceSource, ToolRate
from langchain_agentcost.usage import Usage

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


def test_a_discount_is_off_the_list_and_not_off_what_you_stated() -> None:
    """A negotiated discount lowers list prices, fees included; a rate in the file is what is paid."""
    overrides = {
        "models": [{"model": "gpt-small", "input": 5}],
        "discounts": [{"provider": "openai", "percent": "12.5"}, {"percent": 50}],
    }
    assert paid(overrides, "gpt-small") == 5
    assert paid(overrides, "gpt-plain") == usd("0.875")
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


FAULTY = [
    ('[[models]]\nmodel = "m"\ninput = nan\n', 3, "models[0].input", "must be a number"),
    ('[[models]]\nmodel = "m"\ninput = inf\n', 3, "models[0].input", "must be a number"),
    ('[[models]]\nmodel = "m"\ninput = -1\n', 3, "models[0].input", "must be at least 0"),
    ('[[models]]\nmodel = "m"\ninput = true\n', 3, "models[0].input", "must be a number"),
    ('[[models]]\nmodel = "m"\ninput = "cheap"\n', 3, "models[0].input", "such as 0.28, got 'cheap'"),
    ('[[models]]\nmodel = "m"\ninput = [1]\n', 3, "models[0].input", "must be a number"),
    ('[[models]]\nmodel = "m"\ninput = 1e300\n', 3, "models[0].input", "is the unit right?"),
    (
        '[[models]]\nmodel = "a"\ninput = 1\n\n[[models]]\nmodel = "m"\ninptu = 1\n',
        7,
        "models[1].inptu",
        "did you mean 'input'?",
    ),
    ('[[models]]\nmodel = "m"\noutput = 1\n', 1, "models[0].input", "is missing"),
    ("[[models]]\ninput = 1\n", 1, "models[0].model", "is missing"),
    ('[[models]]\nmodel = ""\ninput = 1\n', 2, "models[0].model", "must be a text"),
    ("[[models]]\nmodel = 7\ninput = 1\n", 2, "models[0].model", "must be a text"),
    ('[[models]]\nmodel = "m"\n', 1, "models[0]", "states no price"),
    ('[[models]]\nmodel = "m"\ninput = 1\nfrom = "soon"\n', 4, "models[0].from", "must be a date such as 2026-07-01"),
    (
        '[[models]]\nmodel = "m"\ninput = 1\nfrom = 2026-02-01\nuntil = 2026-01-01\n',
        5,
        "models[0].until",
        "must be later",
    ),
    (
        '[[models]]\nmodel = "m"\ninput = 1\ntiers = [\n  { above_input_tokens = 5, input = 2 },\n'
        "  { above_input_tokens = 4, input = 3 },\n]\n",
        6,
        "models[0].tiers[1].above_input_tokens",
        "must grow",
    ),
    (
        '[[models]]\nmodel = "m"\ninput = 1\ntiers = [{ above_input_tokens = 1.5, input = 2 }]\n',
        4,
        "tiers[0]",
        "whole number",
    ),
    (
        '[[models]]\nmodel = "m"\ninput = 1\ntiers = [{ above_input_tokens = 5, output = 2 }]\n',
        4,
        "output",
        "no base rate",
    ),
    ('[[models]]\nmodel = "m"\ninput = 1\nvolume_tokens = 5\n', 4, "volume_tokens", "need each other"),
    (
        '[[models]]\nmodel = "m"\ninput = 1\nserver_tools = { web_search = -2 }\n',
        4,
        "server_tools.web_search",
        "at least 0",
    ),
    ("[[discounts]]\npercent = 101\n", 2, "discounts[0].percent", "must be at most 100"),
    ("[[discounts]]\nprovider = 'x'\n", 1, "discounts[0].percent", "is missing"),
    ("[tools]\nsearch = -1\n", 2, "tools.search", "must be at least 0"),
    ("[tools]\nsearch = {}\n", 2, "tools.search", "per_call"),
    ('[tools."web search"]\nper_call = 1\nper_minute = 1\n', 3, "tools.web search.per_minute", "not a key"),
    (
        '[hosted."m"]\ngpu_hour = 1\ninput_tokens_per_s = 0\noutput_tokens_per_s = 5\n',
        3,
        "input_tokens_per_s",
        "above 0",
    ),
    ('[hosted."m"]\ngpu_hour = 1\ninput_tokens_per_s = 5\n', 1, "hosted.m.output_tokens_per_s", "is missing"),
    (
        '[hosted."m"]\ngpu_hour = 1\ninput_tokens_per_s = 5\noutput_tokens_per_s = 5\nutilisation = 40\n',
        5,
        "utilisation",
        "at most 1",
    ),
    ('[currency]\ncode = "EURO"\nrates = [{ from = 2026-01-01, per_usd = 1 }]\n', 2, "currency.code", "three letters"),
    ('[currency]\ncode = "EUR"\n', 1, "currency.rates", "is missing"),
    ('[currency]\ncode = "EUR"\nrates = [{ from = 2026-01-01, per_usd = 0 }]\n', 3, "rates[0].per_usd", "above 0"),
    ('[[models]]\nmodel = "a"\noutput = 1\n[[models]]\nmodel = "b"\ninput = 1\n', 1, "models[0].input", "is missing"),
    ("[currency]\nrates = []\n[tools]\ncode = 1\n", 1, "currency.code", "is missing"),
    ("[hosted.a]\ngpu_hour = 1\n[hosted.m]\ngpu_hour = 2\n", 1, "hosted.a.input_tokens_per_s", "is missing"),
    ("models = 5\n", 1, "models", "must be a list of tables"),
    ("models = [5]\n", 1, "models[0]", "must be a table"),
    ("tools = []\n", 1, "tools", "must be a table"),
    ("[modells]\n", 1, "modells", "did you mean 'models'?"),
]


@pytest.mark.parametrize(("text", "line", "key", "problem"), FAULTY)
def test_a_fault_is_named_by_line_and_key(tmp_path: Path, text: str, line: int, key: str, problem: str) -> None:
    """A price file with a fault is refused, with a sentence that names file, line, key and remedy."""
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PriceFileError) as caught:
        PriceBook(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}, ")
    assert key in message
    assert problem in message


def test_a_fault_in_json_is_named_by_line_and_key(tmp_path: Path) -> None:
    """JSON faults have their line too, among lines that look alike."""
    path = tmp_path / "prices.json"
    models = [{"model": "a", "input": 1}, {"model": "b", "input": 1}, {"model": "c", "input": "NaN"}]
    path.write_text(json.dumps({"models": models}, indent=1), encoding="utf-8")
    with pytest.raises(PriceFileError, match=r"prices.json, line 13, models\[2\].input: must be a number"):
        PriceBook(path)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("p.toml", "[[models]\n", "is not TOML: .*line 1"),
        ("p.toml", "a = 1\na = 2\n", "is not TOML: .*line 2"),
        ("p.json", '{"models": [}', "is not JSON: .*line 1"),
        ("p.json", '{"tools": {}, "tools": {"a": 1}}', "line 1, tools: is stated twice"),
        ("p.json", "[]", "must hold one table"),
        ("p.json", "[" * 100_000, "is not JSON"),
        ("p.yaml", "models:", "neither a .toml nor a .json"),
    ],
)
def test_a_file_that_cannot_be_parsed_says_so(tmp_path: Path, name: str, text: str, problem: str) -> None:
    """A file that is not what its name says is refused with the place of the fault."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PriceFileError, match=problem):
        PriceBook(path)


@pytest.mark.parametrize("given_", ["nowhere.toml", ".", 5, ["a"]])
def test_what_is_no_price_file_is_refused(given_: Any) -> None:
    """A missing path, a directory or another type is refused with a sentence that says what is wanted."""
    with pytest.raises(PriceFileError, match=r"TOML or JSON|a path, a mapping"):
        PriceBook(given_)


def test_binary_rubbish_is_refused(tmp_path: Path) -> None:
    """A file that is not text is refused."""
    path = tmp_path / "p.toml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(PriceFileError, match="cannot be read"):
        PriceBook(path)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "model",
                    "input",
                    "output",
                    "tiers",
                    "from",
                    "volume",
                    "percent",
                    "code",
                    "rates",
                    "per_call",
                    "gpu_hour",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["models", "discounts", "tools", "hosted", "currency", "other"]), VALUE, max_size=3)
)
def test_rubbish_is_either_loaded_or_refused_in_one_way(given_: dict[str, Any]) -> None:
    """Whatever a mapping holds, it becomes prices or a `PriceFileError`, and nothing else is raised."""
    refused = ""
    try:
        PriceOverrides.load(given_)
    except PriceFileError as error:
        refused = str(error)
    assert not refused or re.search(r"[.?]$", refused)


LITELLM = {
    "sample_spec": {"input_cost_per_token": "USD", "litellm_provider": "one of …"},
    "gpt-plain": {
        "litellm_provider": "openai",
        "input_cost_per_token": 1.5e-07,
        "output_cost_per_token": 6e-07,
        "cache_read_input_token_cost": 7.5e-08,
        "input_cost_per_token_batches": 7.5e-08,
        "output_cost_per_token_batches": 3e-07,
        "input_cost_per_token_priority": 3e-07,
        "output_cost_per_token_priority": 1.2e-06,
        "input_cost_per_token_above_200k_tokens": 3e-07,
        "output_cost_per_token_above_200k_tokens": 9e-07,
        "max_tokens": 16384,
        "mode": "chat",
    },
    "azure/gpt-plain": {"litellm_provider": "azure", "input_cost_per_token": 2e-07, "output_cost_per_token": 6e-07},
    "us.anthropic.claude-mid": {
        "litellm_provider": "bedrock_converse",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
        "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
    },
    "dall-e": {"litellm_provider": "openai", "input_cost_per_pixel": 1e-08},
}


@pytest.mark.parametrize(
    ("model", "provider", "usage", "expected"),
    [
        ("gpt-plain", "openai", Usage(1000, 1000, 400), "0.000720"),
        ("gpt-plain", "openai", Usage(1000, 1000, service_tier="batch"), "0.000375"),
        ("gpt-plain", "openai", Usage(1000, 1000, service_tier="priority"), "0.0015"),
        ("gpt-plain", "openai", Usage(200_000), "0.03"),
        ("gpt-plain", "openai", Usage(200_001), "0.0600003"),
        ("gpt-plain", "azure", Usage(1000), "0.0002"),
        ("us.anthropic.claude-mid", "amazon_bedrock", Usage(1000, cache_write_1h_tokens=1000), "0.006"),
    ],
)
def test_litellms_price_map_can_be_imported(model: str, provider: str, usage: Usage, expected: str) -> None:
    """Rates, tiers, long-context steps and cache prices of LiteLLM's map become our own."""
    for overrides in (PriceOverrides.from_litellm(LITELLM), PriceOverrides.load(LITELLM)):
        cost = known(PriceBook(overrides).cost(usage, model, provider=provider))
        assert (cost.usd, cost.source) == (usd(expected), "override")


def test_litellms_models_in_other_units_are_left_out(tmp_path: Path) -> None:
    """A model that is billed by the pixel has no price here, rather than one of 0."""
    path = tmp_path / "model_prices.json"
    path.write_text(json.dumps(LITELLM), encoding="utf-8")
    names = {line.scope.model for line in PriceOverrides.from_litellm(path).models}
    assert names == {"gpt-plain", "us.anthropic.claude-mid"}


def test_a_faulty_litellm_price_is_refused() -> None:
    """A price in LiteLLM's map that is no number of USD is named."""
    with pytest.raises(PriceFileError, match=r"the LiteLLM mapping, m\.input_cost_per_token: must be a number"):
        PriceOverrides.from_litellm({"m": {"input_cost_per_token": "free"}})
