from __future__ import annotations

import multiprocessing
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices import Usage as Counts
from genai_prices import calc_price
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

from langchain_agentcost.errors import PriceNotFoundWarning
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.pricing.book import MAX_CARDS
from langchain_agentcost.pricing.genai import GenaiPrices
from langchain_agentcost.pricing.names import NO_FINE_TUNED_PRICE
from langchain_agentcost.usage import Usage
from tests.pricing.price_list import LIST, at, book, known, small_list, usd

MILLION = Usage(input_tokens=1_000_000)
NOW = at("2026-11-23T12:00:00Z")


@pytest.mark.parametrize(
    ("when", "paid"), [("2026-08-20T23:59:59Z", "5"), ("2026-08-21T00:00:00Z", "4"), ("2026-08-21T01:00:00+02:00", "5")]
)
def test_a_call_is_priced_at_its_own_time(when: str, paid: str) -> None:
    """A price change holds from its day on, in UTC, and not for calls before it."""
    assert known(book().cost(MILLION, "deep-history", at=at(when))).usd == usd(paid)


def test_a_cached_card_does_not_outlive_its_price() -> None:
    """One book gives the right price however the instants jump around a change."""
    prices = book()
    instants = ["2026-08-22", "2026-08-19", "2026-08-22", "2020-01-01", "2026-08-21"]
    paid = [known(prices.cost(MILLION, "deep-history", at=at(f"{day}T00:00:00Z"))).usd for day in instants]
    assert paid == [usd("4"), usd("5"), usd("4"), usd("5"), usd("4")]


def test_a_card_is_kept_from_its_first_instant_on() -> None:
    """Within the time in which a price holds, its first instant included, the card is not made again."""
    prices = book()
    first = prices.card("deep-history", at=at("2026-08-21T00:00:00Z"))
    assert first is prices.card("deep-history", at=at("2026-08-21T00:00:00Z"))
    assert first is prices.card("deep-history", at=NOW)
    assert first is not prices.card("deep-history", at=at("2026-08-20T23:59:59Z"))


@pytest.mark.parametrize(
    ("clock", "paid"),
    [("00:29:59", "0.5"), ("00:30:00", "1"), ("16:29:59", "1"), ("16:30:00", "0.5"), ("23:59:59", "0.5")],
)
def test_a_price_by_the_clock_changes_at_its_minute(clock: str, paid: str) -> None:
    """An off-peak price that runs past midnight holds on both sides of it, and no minute longer."""
    prices = book()
    for day in ("2026-01-31", "2026-02-01"):
        assert known(prices.cost(MILLION, "deep-night", at=at(f"{day}T{clock}Z"))).usd == usd(paid)


def test_every_minute_of_a_day_has_the_lists_own_price() -> None:
    """Card by card, a day gives what the list itself says for each instant."""
    prices = book()
    info = LIST.providers["deepseek"].find_model("deep-night")
    assert info is not None
    for minute in range(0, 3 * 24 * 60, 7):
        when = at("2026-02-27T00:00:00Z") + timedelta(minutes=minute)
        expected = info.get_prices(when).input_mtok
        assert known(prices.cost(MILLION, "deep-night", at=when)).usd == expected


@pytest.mark.parametrize("when", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_ends_of_time_have_a_price(when: datetime) -> None:
    """An absurd instant is priced like any other, and breaks nothing."""
    assert known(book().cost(MILLION, "deep-night", at=when)).usd == usd("0.5")


def test_an_instant_without_a_time_zone_is_utc() -> None:
    """A naive instant is taken as UTC, as the list's own dates are."""
    naive = at("2026-08-21T00:00:00Z").replace(tzinfo=None)
    assert known(book().cost(MILLION, "deep-history", at=naive)).usd == usd("4")


def test_without_an_instant_it_is_now() -> None:
    """A call without a time is priced at the current price."""
    assert known(book().cost(MILLION, "deep-history")).usd == usd(
        "4" if datetime.now(UTC) >= at("2026-08-21T00Z") else "5"
    )


def test_a_cost_says_since_when_its_price_holds() -> None:
    """The source of a cost names the list, its version and the day from which the price holds."""
    cost = known(book().cost(MILLION, "deep-history", at=NOW))
    assert (cost.source, cost.version, cost.as_of) == ("genai-prices", LIST.version, "2026-08-21T00:00:00+00:00")
    assert known(book().cost(MILLION, "gpt-plain", at=NOW)).as_of is None


def test_a_tier_with_a_price_is_priced_at_it() -> None:
    """A batch call pays the batch rates."""
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000, service_tier="batch")
    cost = known(book().cost(usage, "gpt-small", at=NOW))
    assert (cost.usd, cost.service_tier, cost.flags) == (usd("0.5"), "batch", ())


@pytest.mark.parametrize(
    ("model", "tier", "when"),
    [("gpt-plain", "batch", NOW), ("gpt-small", "flex", NOW), ("gpt-small", "batch", at("2026-09-30T23:59:59Z"))],
)
def test_a_tier_without_a_price_is_never_silently_standard(model: str, tier: str, when: datetime) -> None:
    """A tier that the list has no price for, then or at all, is paid at the standard rate with a flag."""
    usage = Usage(input_tokens=1_000_000, service_tier=tier)
    cost = known(book().cost(usage, model, at=when))
    standard = known(book().cost(MILLION, model, at=when))
    assert (cost.usd, cost.service_tier) == (standard.usd, None)
    assert cost.flags == (f"no {tier} price; standard used",)


def test_a_part_that_a_tier_has_no_price_for_is_said() -> None:
    """A batch price that leaves the prompt cache out bills it at the standard rate, with a flag where it was used."""
    plain = Usage(input_tokens=1_000_000, service_tier="batch")
    assert known(book().cost(plain, "claude-mid", at=NOW)).flags == ()
    cached = Usage(input_tokens=1_000_000, cache_read_tokens=1_000_000, service_tier="batch")
    cost = known(book().cost(cached, "claude-mid", at=NOW))
    assert (cost.usd, cost.flags) == (usd("0.3"), ("no batch price for cache_read; standard used",))


def test_fast_mode_is_a_tier() -> None:
    """Anthropic's speed and OpenAI's fast tier are both found under "fast"."""
    assert known(book().cost(Usage(input_tokens=1_000_000, service_tier="fast"), "claude-mid", at=NOW)).usd == usd("9")


def test_the_standard_tier_has_many_names() -> None:
    """The tiers "default" and "standard" are the list price, without a flag."""
    for tier in ("default", "Standard", None):
        card = book().card("gpt-small", at=NOW, service_tier=tier)
        assert card is not None
        assert (card.usd("input"), card.flags) == (usd("0.2"), ())


def test_fees_per_request_and_tool_come_from_the_list() -> None:
    """Request fees and the provider's own tools are added as the list states them."""
    assert known(book().cost(MILLION, "deep-search", requests=2)).request == usd("0.01")
    searched = Usage(input_tokens=1_000_000, server_tools=(("web_search", 2),))
    assert known(book().cost(searched, "claude-mid")).tool == usd("0.02")


def test_a_free_model_is_free_and_one_without_a_price_is_not() -> None:
    """Only a model that is called free costs nothing; an empty line of the list is no price."""
    assert known(book().cost(MILLION, "deep-free:free", provider="deepseek")).usd == 0
    assert book().card("deep-unknown", provider="deepseek") is None


@pytest.mark.parametrize("tier", [None, "batch"])
def test_the_bundled_list_gives_what_genai_prices_gives(tier: str | None) -> None:
    """For the models of the installed list, our cost is its own to a nano-dollar, past a long-context step too."""
    prices = PriceBook()
    usage = Usage(300_000, 2_000, 90_000, 20_000, 10_000, service_tier=tier)
    counts = Counts(
        input_tokens=300_000,
        output_tokens=2_000,
        cache_read_tokens=90_000,
        cache_write_tokens=30_000,
        cache_write_1h_tokens=10_000,
    )
    compared = 0
    for provider in prices.prices.providers.values():
        for model in provider.models[:30]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cost = prices.cost(usage, model.id, provider=provider.id, at=NOW)
            if cost is not None and NO_FINE_TUNED_PRICE not in cost.flags:
                theirs = calc_price(
                    counts,
                    model.id,
                    provider_id=provider.id,
                    genai_request_timestamp=NOW,
                    price_context={"processing": tier} if tier else None,
                )
                assert abs(cost.usd - theirs.total_price) <= Decimal("1e-9"), (provider.id, model.id)
                compared += 1
    assert compared > 300


@pytest.fixture
def strict() -> Iterator[None]:
    """Let every warning through, however often it comes."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield


@pytest.mark.usefixtures("strict")
def test_an_unknown_model_warns_once() -> None:
    """The first call of an unknown model warns and says what to do; later ones do not."""
    prices = book()
    with warnings.catch_warnings(record=True) as said:
        costs = [prices.cost(MILLION, "nobody", provider="openai") for _ in range(5)]
    assert costs == [None] * 5
    assert [one.category for one in said] == [PriceNotFoundWarning]
    assert "'nobody' of openai: its cost is None. State one in PriceBook" in str(said[0].message)
    assert said[0].filename == __file__


def test_the_warning_names_what_answered_and_what_was_asked_for() -> None:
    """The warning has both names where they differ, so that a reader knows which one to state a price for."""
    with pytest.warns(PriceNotFoundWarning, match="for 'nobody' of openai, asked for as 'prod-chat': its cost is None"):
        assert book().cost(MILLION, "nobody", provider="openai", asked="prod-chat") is None
    with pytest.warns(PriceNotFoundWarning, match="for 'nobody' of openai: its cost is None"):
        assert book().cost(MILLION, "nobody", provider="openai", asked="nobody") is None


@pytest.mark.usefixtures("strict")
def test_many_threads_get_one_warning() -> None:
    """Threads that meet an unknown model at the same moment share one warning; another provider has its own."""
    prices = book()
    start = threading.Barrier(8)

    def meet() -> None:
        start.wait()
        for _ in range(50):
            prices.cost(MILLION, "nobody", provider="openai")
            prices.cost(MILLION, "nobody", provider="azure")

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=meet) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(str(one.message).split(":")[0] for one in said) == [
        "No price is known for 'nobody' of azure",
        "No price is known for 'nobody' of openai",
    ]


def test_threads_share_a_book() -> None:
    """Threads that price different models and times with one book all get the right price."""
    prices = book()
    wrong: list[object] = []

    def work(number: int) -> None:
        early, late = at("2026-08-20T00:00:00Z"), at("2026-08-22T00:00:00Z")
        for turn in range(300):
            when, paid = (early, Decimal(5)) if (number + turn) % 2 else (late, Decimal(4))
            cost = prices.cost(MILLION, "deep-history", at=when)
            if cost is None or cost.usd != paid:
                wrong.append((when, cost))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _priced_in_child(prices: PriceBook, answer: multiprocessing.SimpleQueue[str]) -> None:
    answer.put(str(known(prices.cost(MILLION, "gpt-plain")).usd))


def test_a_book_works_in_a_forked_process() -> None:
    """A book that was used before a fork prices in the child too."""
    prices = book()
    known(prices.cost(MILLION, "gpt-plain"))
    context = multiprocessing.get_context("fork")
    answer: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    child = context.Process(target=_priced_in_child, args=(prices, answer))
    child.start()
    child.join(20)
    assert child.exitcode == 0
    assert Decimal(answer.get()) == 1


def test_a_flood_of_names_does_not_fill_the_memory() -> None:
    """However many names are looked up, only so many cards are kept."""
    prices = book()
    for number in range(MAX_CARDS + 10):
        prices.card(f"nobody-{number}", provider="openai")
    assert len(prices._windows) <= MAX_CARDS


def test_an_update_elsewhere_in_the_process_changes_nothing() -> None:
    """A custom snapshot that somebody installs in genai-prices does not reach our bills."""
    before = PriceBook().card("gpt-4o-mini", provider="openai", at=NOW)
    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert PriceBook(prices=GenaiPrices()).card("gpt-4o-mini", provider="openai", at=NOW) == before
    finally:
        set_custom_snapshot(None)
    assert before is not None


def test_the_version_names_list_and_overrides() -> None:
    """Two books with the same prices have the same version; another price gives another."""
    same = {"models": [{"model": "m", "input": 1}]}
    assert book(same).version == book(same).version
    assert book(same).version != book({"models": [{"model": "m", "input": 2}]}).version
    assert book().version.startswith(LIST.version)


def test_the_hash_of_a_list_tells_lists_apart() -> None:
    """The same prices have the same hash, other prices have not."""
    other = small_list()
    other.pop()
    assert GenaiPrices(small_list()).fingerprint == LIST.fingerprint
    assert GenaiPrices(other).fingerprint != LIST.fingerprint
