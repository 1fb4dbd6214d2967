"""A small price list of our own, so that no test depends on what a vendor charges today."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from langchain_agentcost.pricing import PriceBook, PriceOverrides
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.pricing.genai import GenaiPrices


def usd(amount: str) -> Decimal:
    """An amount as it is written."""
    return Decimal(amount)


def prices(**rates: str | tuple[str, int, str]) -> ModelPrice:
    """Prices by key; a tuple is a base, a threshold and the price above it."""
    return ModelPrice(**{key: _price(rate) for key, rate in rates.items()})


def _price(rate: str | tuple[str, int, str]) -> Decimal | TieredPrices:
    if isinstance(rate, str):
        return usd(rate)
    base, start, above = rate
    return TieredPrices(base=usd(base), tiers=[Tier(start=start, price=usd(above))])


def model(name: str, cost: ModelPrice | list[ConditionalPrice], *variants: PriceVariant) -> ModelInfo:
    """A model that is known by its name and by its dated snapshots."""
    match = ClauseOr(or_=[ClauseEquals(equals=name), ClauseStartsWith(starts_with=f"{name}-20")])
    return ModelInfo(id=name, match=match, prices=cost, price_variants=list(variants) or None)


def batch(since: date | None = None, **rates: Any) -> PriceVariant:
    """A batch price."""
    start = StartDateConstraint(start_date=since) if since else None
    return PriceVariant(when={"processing": "batch"}, prices=prices(**rates), constraint=start)


def small_list() -> list[Provider]:
    """Ten models at five providers."""
    return [
        Provider(
            id="openai",
            name="Open",
            api_pattern="",
            model_match=ClauseStartsWith(starts_with="gpt-"),
            models=[
                model(
                    "gpt-small",
                    prices(input_mtok="0.2", output_mtok="0.8", cache_read_mtok="0.1"),
                    batch(date(2026, 10, 1), input_mtok="0.1", output_mtok="0.4"),
                ),
                model(
                    "gpt-long",
                    prices(
                        input_mtok=("2", 1000, "4"),
                        output_mtok=("10", 1000, "15"),
                        cache_read_mtok=("0.5", 2000, "1"),
                    ),
                ),
                model("gpt-plain", prices(input_mtok="1", output_mtok="3")),
                model(
                    "gpt-voice",
                    prices(
                        input_mtok="1",
                        output_mtok="4",
                        cache_read_mtok="0.5",
                        input_audio_mtok="10",
                        cache_audio_read_mtok="2",
                        output_audio_mtok="20",
                    ),
                ),
                model("gpt-embed", prices(input_mtok="0.02")),
                model("gpt-ear", prices(audio_hours="0.36")),
                ModelInfo(
                    id="ft:gpt-tuned",
                    match=ClauseStartsWith(starts_with="ft:gpt-tuned"),
                    prices=prices(input_mtok="2", output_mtok="6"),
                ),
            ],
        ),
        Provider(
            id="azure",
            name="Azure",
            api_pattern="",
            fallback_model_providers=["openai"],
            models=[model("gpt-plain", prices(input_mtok="1.1", output_mtok="3.3"))],
        ),
        Provider(
            id="anthropic",
            name="Anthropic",
            api_pattern="",
            model_match=ClauseStartsWith(starts_with="claude"),
            models=[
                model(
                    "claude-mid",
                    prices(
                        input_mtok="3",
                        output_mtok="15",
                        cache_read_mtok="0.3",
                        cache_write_mtok="3.75",
                        cache_write_1h_mtok="6",
                        web_searches_kcount="10",
                    ),
                    batch(input_mtok="1.5", output_mtok="7.5"),
                    PriceVariant(when={"speed": "fast"}, prices=prices(input_mtok="9", output_mtok="45")),
                ),
            ],
        ),
        Provider(
            id="aws",
            name="AWS",
            api_pattern="",
            models=[
                ModelInfo(
                    id="regional.anthropic.claude-mid",
                    match=ClauseStartsWith(starts_with="us.anthropic.claude-mid"),
                    prices=prices(input_mtok="3.3", output_mtok="16.5"),
                )
            ],
        ),
        Provider(
            id="deepseek",
            name="Deep",
            api_pattern="",
            model_match=ClauseStartsWith(starts_with="deep"),
            models=[
                model(
                    "deep-history",
                    [
                        ConditionalPrice(prices=prices(input_mtok="5", output_mtok="10")),
                        ConditionalPrice(
                            StartDateConstraint(start_date=date(2026, 8, 21)),
                            prices=prices(input_mtok="4", output_mtok="8"),
                        ),
                    ],
                ),
                model(
                    "deep-night",
                    [
                        ConditionalPrice(prices=prices(input_mtok="1", output_mtok="2")),
                        ConditionalPrice(
                            TimeOfDateConstraint(start_time=time(16, 30), end_time=time(0, 30)),
                            prices=prices(input_mtok="0.5", output_mtok="1"),
                        ),
                    ],
                ),
                model("deep-search", prices(input_mtok="1", output_mtok="2", requests_kcount="5")),
                model("deep-thought", prices(input_mtok="1", output_mtok="2", output_reasoning_mtok="3")),
                model("deep-free:free", ModelPrice()),
                model("deep-unknown", ModelPrice()),
            ],
        ),
    ]


LIST = GenaiPrices(small_list())


def book(overrides: PriceOverrides | dict[str, Any] | None = None) -> PriceBook:
    """A price book on the small list."""
    return PriceBook(overrides, prices=LIST)


def known(cost: Cost | None) -> Cost:
    """A cost that must be known."""
    assert cost is not None
    return cost


def at(text: str) -> datetime:
    """An instant, such as "2026-08-20T23:59:59Z"."""
    return datetime.fromisoformat(text)
