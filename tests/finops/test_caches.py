from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from langchain_agentcost.errors import QueryError
from langchain_agentcost.finops import CacheHits, CacheSavings, Report, cache_savings, report
from langchain_agentcost.finops.amounts import Amount
from langchain_agentcost.ledger import Entry, Ledger
from langchain_agentcost.ledger.entry import PRICED
from langchain_agentcost.pricing import Cost
from langchain_agentcost.usage import Usage
from tests.finops.booked import BACK_ENDS, START, Book, booked, cost, opened


class Hits(Book):
    """Makes hits beside other entries."""

    def hit(self, cache: str | None = "semantic", *, saved: int | None = 0, tokens: int = 0, **said: Any) -> Entry:
        """A hit that saved so many nano-USD, half of them of input, and as many tokens each way."""
        usage = Usage(tokens, tokens) if tokens else None
        spared = None if saved is None else cost(input=saved // 2, output=saved - saved // 2)
        return self("cache_hit", name=cache, cost=Cost(), saved=spared, usage=usage, **said)


def _row(made: CacheSavings, *key: str) -> CacheHits:
    row = next(row for row in made.rows if row.key == key)
    assert isinstance(row, CacheHits)
    return row


def _notes(made: Report) -> dict[str, str]:
    return {note.name: note.text for note in made.notes}


@pytest.fixture(params=BACK_ENDS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """Two caches of ours, LangChain's, a judge and embeddings of theirs, and calls that are no cache's."""
    book = Hits()
    return opened(
        request.param,
        tmp_path,
        book.hit(saved=700, tokens=10, tenant="a"),
        book.hit(saved=300, tokens=5, tenant="b"),
        book.hit("tool", saved=0, tenant="a"),
        book.hit("langchain", saved=50, tokens=1, tenant="a"),
        book("llm", nano=200, purpose="cache", tenant="a"),
        book("embedding", nano=30, purpose="cache", tenant="b"),
        book("llm", nano=9_999, tenant="a"),
        book("embedding", nano=9_999, tenant="a"),
    )


def test_gross_overhead_and_net(shop: Ledger) -> None:
    """What caches saved is less what they cost themselves, and nothing else of the bill is in it."""
    made = cache_savings(shop)
    assert [row.key for row in made.rows] == [("semantic",), ("langchain",), ("tool",)]
    assert (made.gross, made.overhead, made.net) == (Amount(1_050), Amount(230), Amount(820))
    semantic = _row(made, "semantic")
    assert (semantic.cache_hits, semantic.gross, semantic.spared) == (2, Amount(1_000), Usage(15, 15))
    assert (semantic.spent, semantic.net) == (None, None)
    assert made.hits.cache_hits == 4


def test_conditions_hold_for_hits_and_overhead(shop: Ledger) -> None:
    """A tenant's net is what was saved for it less what was spent for it."""
    made = cache_savings(shop, where={"tenant": "b"})
    assert (made.gross, made.overhead, made.net) == (Amount(300), Amount(30), Amount(270))


def test_only_the_time_that_is_asked_for(shop: Ledger) -> None:
    """Before anything happened there are no hits."""
    made = cache_savings(shop, until=START)
    assert (made.rows, made.gross, made.net) == ((), Amount(0), Amount(0))


def test_a_condition_that_no_hit_meets_gives_none(shop: Ledger) -> None:
    """Whoever asks for model calls alone gets no hits; whoever asks for another purpose no overhead."""
    assert cache_savings(shop, where={"kind": "llm"}).rows == ()
    assert cache_savings(shop, where={"purpose": [None, "verification"]}).overhead == Amount(0)


def test_by_further_dimensions(shop: Ledger) -> None:
    """Each cache's hits are told apart by tenant, and sum to the whole."""
    made = cache_savings(shop, by="tenant")
    assert _row(made, "semantic", "a").gross == Amount(700)
    assert sum(row.saved.total_nano for row in made.rows) == made.hits.saved.total_nano == 1_050


def test_caches_may_cost_more_than_they_save() -> None:
    """A cache in its shadow mode embeds and judges and serves nothing: its net is below 0, and the report says so."""
    book = Hits()
    ledger = booked(book("embedding", nano=50, purpose="cache"), book("llm", nano=1, purpose="cache"))
    made = cache_savings(ledger)
    assert (made.rows, made.net) == ((), Amount(-51))
    assert _notes(report(ledger))["Net of caches"].startswith("-$0.000000051: $0 saved less $0.000000051 in 2 calls")


class TestUnknown:
    """What is not known is never 0."""

    def test_hits_without_a_price_make_a_lower_bound(self) -> None:
        """What is known is at least saved."""
        book = Hits()
        made = cache_savings(booked(book.hit(saved=7, tokens=1), book.hit(saved=None, tokens=1)))
        assert (made.gross, made.net) == (Amount(7, "at least"), Amount(7, "at least"))
        assert _row(made, "semantic").unpriced_savings == 1

    def test_hits_of_which_none_has_a_price_are_unknown(self) -> None:
        """So is the net."""
        made = cache_savings(booked(Hits().hit(saved=None, tokens=1)))
        assert (made.gross, made.net) == (Amount(None, "unknown"), Amount(None, "unknown"))
        assert made.net_after_loss(0.01, Decimal(1)) is None

    def test_overhead_without_a_price_leaves_the_net_unknown(self) -> None:
        """A net that ignores what a cache costs would be too high, so there is no bound to give."""
        book = Hits()
        made = cache_savings(booked(book.hit(saved=7, tokens=1), book("llm", purpose="cache")))
        assert (made.overhead, made.net) == (Amount(None, "unknown"), Amount(None, "unknown"))

    def test_overhead_that_is_known_in_part_leaves_it_unknown_too(self) -> None:
        """The known part is a lower bound of what is taken off, which bounds nothing."""
        book = Hits()
        spent = book("llm", nano=3, purpose="cache"), book("llm", purpose="cache")
        made = cache_savings(booked(book.hit(saved=7, tokens=1), *spent))
        assert (made.overhead, made.net) == (Amount(3, "at least"), Amount(None, "unknown"))

    def test_a_price_that_came_later_counts(self) -> None:
        """A re-pricing of a judge's call makes its cost known."""
        book = Hits()
        call = book("llm", purpose="cache")
        priced = book("correction", nano=3, purpose="cache", name=PRICED, parent_id=call.id)
        made = cache_savings(booked(book.hit(saved=7, tokens=1), call, priced))
        assert (made.overhead, made.net) == (Amount(3), Amount(4))

    def test_a_cache_of_tools_without_prices_has_none_either(self) -> None:
        """Its hits saved time; a bill would show no price for them, and no $0."""
        book = Hits()
        made = cache_savings(booked(book.hit("tool", tool="clock"), book.hit("tool", tool="clock")))
        assert _row(made, "tool").gross == Amount(None, "no price")
        assert made.net == Amount(0)

    def test_hits_of_a_free_model_saved_nothing(self) -> None:
        """A model on own hardware may have a price of 0, and that is known."""
        assert cache_savings(booked(Hits().hit(saved=0, tokens=5))).gross == Amount(0)


class TestLoss:
    """What wrong answers may cost is said apart from the bill."""

    def test_it_is_hits_times_bound_times_cost(self) -> None:
        """Only the cache that compares meanings can be wrong; another name may be given."""
        book = Hits()
        ledger = booked(*(book.hit(saved=10**9, tokens=1) for _ in range(30)), *(book.hit("tool") for _ in range(5)))
        made = cache_savings(ledger)
        assert made.expected_loss(0.01, Decimal("2.50")) == Decimal("0.75")
        assert made.expected_loss(0.1, Decimal(1), cache="tool") == Decimal("0.5")
        assert made.net_after_loss(0.01, Decimal("2.50")) == Decimal("29.25")

    @pytest.mark.parametrize("bound", [-0.1, 1.1, float("nan")])
    def test_a_bound_is_a_share(self, bound: float) -> None:
        """A bound of 5 for 5 % would be off by a hundred."""
        with pytest.raises(ValueError, match="from 0 to 1"):
            cache_savings(booked()).expected_loss(bound, Decimal(1))

    @given(st.floats(0, 1), st.integers(0, 5), st.decimals(0, 1_000, places=2))
    def test_a_loss_is_never_more_than_every_hit_wrong(self, bound: float, hits: int, usd: Decimal) -> None:
        """The bound is a share of the hits."""
        book = Hits()
        made = cache_savings(booked(*(book.hit() for _ in range(hits))))
        assert 0 <= made.expected_loss(bound, usd) <= hits * usd


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["semantic", "tool", "subgraph", None]),
            st.none() | st.integers(0, 10**9),
            st.integers(0, 10**6),
            st.sampled_from(["a", "b"]),
        ),
        max_size=12,
    )
)
def test_rows_sum_to_the_whole_and_agree_with_the_ledger(
    drawn: list[tuple[str | None, int | None, int, str]],
) -> None:
    """Hits, tokens, money and what is missing: nothing is lost between the caches, or counted twice."""
    book = Hits()
    ledger = booked(*(book.hit(name, saved=nano, tokens=n, tenant=of) for name, nano, n, of in drawn))
    made = cache_savings(ledger, by="tenant")
    rows = [row for row in made.rows if isinstance(row, CacheHits)]
    plain = report(ledger, by=()).total
    assert sum(row.cache_hits for row in rows) == made.hits.cache_hits == plain.cache_hits
    assert sum(row.saved.total_nano for row in rows) == made.hits.saved.total_nano == plain.saved.total_nano
    assert sum(row.unpriced_savings for row in rows) == made.hits.unpriced_savings == plain.unpriced_savings
    assert sum((row.spared for row in rows), Usage()) == made.hits.spared


class TestShown:
    """Every way to show a report shows this one."""

    def test_as_text(self, shop: Ledger) -> None:
        """The net stands in the line of the total alone."""
        lines = str(cache_savings(shop)).splitlines()
        assert lines[0] == "Savings by cache"
        assert lines[2].split() == [
            "cache",
            "hits",
            "input",
            "spared",
            "output",
            "spared",
            "saved",
            "own",
            "cost",
            "net",
        ]
        assert lines[4].split() == ["semantic", "2", "15", "15", "$0.000001"]
        assert lines[6].split() == ["tool", "1", "0", "0", "-"]
        assert lines[8].split() == ["total", "4", "16", "16", "$0.00000105", "$0.00000023", "$0.00000082"]
        assert "Own cost" in lines[10]

    def test_as_html_and_rich(self) -> None:
        """Labels are escaped in a page, and a terminal gets the same figures."""
        made = cache_savings(booked(Hits().hit("<b>", saved=1, tokens=1)))
        page = made.to_html()
        assert "&lt;b&gt;" in page
        assert "<b>" not in page
        assert made._repr_html_() in page
        console = Console(record=True, width=200, file=io.StringIO())
        console.print(made.rich())
        assert "$0.000000001" in console.export_text()

    def test_as_json_and_csv(self, shop: Ledger) -> None:
        """Machines get exact amounts, and null for what a row does not have."""
        made = cache_savings(shop)
        shown = json.loads(made.to_json())
        assert (shown["rows"][0]["gross_usd"], shown["rows"][0]["net_usd"]) == ("0.000001000", None)
        assert (shown["total"]["overhead_usd"], shown["total"]["net_usd"]) == ("0.000000230", "0.000000820")
        assert made.to_csv().splitlines()[0].startswith("cache,hits,spared_input_tokens")

    def test_in_a_report_that_was_asked_for_something_else(self, shop: Ledger) -> None:
        """One line for each cache, one for what is left, and the line on all savings as it was."""
        notes = _notes(report(shop))
        assert notes["Saved"] == "$0.00000105 in 4 cache hits"
        assert notes["Saved by semantic"] == "$0.000001 in 2 hits: 15 input and 15 output tokens"
        assert notes["Saved by tool"] == "no price in 1 hits"
        assert notes["Net of caches"] == (
            "$0.00000082: $0.00000105 saved less $0.00000023 in 2 calls of caches, embeddings and judges"
        )

    def test_a_cache_without_calls_of_its_own(self) -> None:
        """Whoever forgot to say the purpose of the embeddings sees that nothing was taken off."""
        notes = _notes(cache_savings(booked(Hits().hit("tool", saved=5 * 10**9))))
        assert notes["Own cost"] == "$5.00 saved, no call had the purpose 'cache'"

    def test_more_caches_than_lines(self) -> None:
        """The caches that saved most are named, the others counted."""
        book = Hits()
        made = report(booked(*(book.hit(f"c{at}", saved=at, tokens=1) for at in range(1, 9))))
        named = [name for name in _notes(made) if name.startswith("Saved by")]
        assert named == ["Saved by c8", "Saved by c7", "Saved by c6", "Saved by c5", "Saved by c4"]
        assert "with 3 more caches" in _notes(made)["Net of caches"]

    def test_langchains_cache_alone_needs_no_lines_of_its_own(self) -> None:
        """The line on savings says it; entries of older versions have no name."""
        book = Hits()
        ledger = booked(book.hit("langchain", saved=3, tokens=1), book.hit(None, saved=4, tokens=1))
        assert not [name for name in _notes(report(ledger)) if "cache" in name.lower() and name != "Prompt cache"]
        assert _row(cache_savings(ledger), "langchain").saved.total_nano == 7

    def test_nothing_is_said_where_there_was_no_cache(self) -> None:
        """Most ledgers have none."""
        assert not [name for name in _notes(report(booked(Book()(nano=1)))) if name.startswith(("Saved by", "Net"))]


def test_a_report_by_cache(shop: Ledger) -> None:
    """It is the same report, alone or with other names, but not with another question."""
    made = report(shop, by="cache,tenant")
    assert isinstance(made, CacheSavings)
    assert made.by == ("cache", "tenant")
    with pytest.raises(QueryError, match="not by both"):
        report(shop, by="cache,driver")
