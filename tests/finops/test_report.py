from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from langchain_agentcost.errors import PriceNotFound, QueryError
from langchain_agentcost.finops import Drivers, Outcomes, Report, report
from langchain_agentcost.ledger import Ledger
from langchain_agentcost.ledger.query import GROUPS
from langchain_agentcost.pricing import Currency
from langchain_agentcost.usage import Usage
from tests.finops.booked import BACK_ENDS, START, Book, booked, cost, opened, usd

STANDING = [
    "Unpriced calls",
    "Estimated calls",
    "Flagged calls",
    "Failed spend",
    "Saved",
    "Prompt cache",
    "Latency",
    "Calls per request",
]


def _notes(made: Report) -> dict[str, str]:
    return {note.name: note.text for note in made.notes}


@pytest.fixture(params=BACK_ENDS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """Two runs of a support desk: nine calls of every sort."""
    book = Book()
    one: dict[str, Any] = {"run": "r1", "tenant": "acme", "session": "s1", "tags": (("ticket", "7"),)}
    two: dict[str, Any] = {"run": "r2", "tenant": "bolt", "session": "s2"}
    usage = Usage(input_tokens=100, cache_read_tokens=60, output_tokens=10)
    entries = [
        book(**one, nano=300, node="triage", agent="desk", model="mini", usage=usage, duration_s=1.0, step=1),
        book(**one, nano=500, node="draft", agent="desk", model="large", usage=usage, duration_s=3.0, step=2),
        book(**one, cost=None, node="draft", agent="desk", model="secret", usage=usage, step=3),
        book("tool", **one, node="tools", agent="desk", tool="orders"),
        book(**two, nano=200, node="triage", model="mini", usage=usage, status="error", at=START + timedelta(days=1)),
        book(**two, nano=100, node="triage", model="mini", usage=usage, attempt=2, purpose="verification"),
        book("cache_hit", **two, node="triage", model="mini", cost=cost(), saved=cost(output=200)),
        book("embedding", **two, node="search", model="embed", cost=cost(input=40), usage=Usage(input_tokens=7)),
        book.outcome(run="r1"),
        book("correction", **two, parent_id="e6", nano=-10, node="triage", model="mini"),
    ]
    with opened(request.param, tmp_path, *entries) as ledger:
        yield ledger


@pytest.mark.parametrize("by", [*GROUPS, "tag:ticket", "agent,model", "day, kind, status"])
def test_rows_sum_to_the_total_by_any_dimension(desk: Ledger, by: str) -> None:
    """Whatever it is grouped by, nothing is lost: money, calls and tokens add up to the total."""
    made = report(desk, by=by)
    assert made.total.cost.total_nano == 1130
    assert sum(row.cost.total_nano for row in made.rows) == 1130
    assert sum(row.calls for row in made.rows) == made.total.calls == 8
    assert sum(row.usage.input_tokens for row in made.rows) == made.total.usage.input_tokens == 507
    assert all(len(row.key) == len(made.by) for row in made.rows)


def test_the_dearest_group_comes_first(desk: Ledger) -> None:
    """Rows are ranked by cost, and the key says who they are."""
    assert [(row.key, row.cost.total_nano) for row in report(desk).rows] == [
        (("triage",), 590),
        (("draft",), 500),
        (("search",), 40),
        (("tools",), 0),
    ]


def test_unknown_cost_is_never_zero(desk: Ledger) -> None:
    """A group without any price is unknown, a partly priced one at least what is known, and so is the total."""
    shown = {row["model"]: row for row in json.loads(report(desk, by="model").to_json())["rows"]}
    assert (shown["secret"]["cost_usd"], shown["secret"]["cost_known"]) == (None, "unknown")
    assert (shown["large"]["cost_usd"], shown["large"]["cost_known"]) == ("0.000000500", "exact")
    lines = str(report(desk)).splitlines()
    assert ">= $0.0000005" in next(line for line in lines if line.startswith("draft"))
    assert ">= $0.00000113" in next(line for line in lines if line.startswith("total"))
    assert " unknown " in next(line for line in str(report(desk, by="model")).splitlines() if line.startswith("secret"))


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_failures_and_savings_without_a_price_are_unknown(back_end: str, tmp_path: Path) -> None:
    """An aborted stream and cache hits of a model without a price are unknown spending and savings, never $0."""
    book = Book()
    hits = [book("cache_hit", model="x", cost=cost()) for _ in range(2)]
    with opened(back_end, tmp_path, book(model="x", status="aborted"), *hits) as ledger:
        made = report(ledger, by="model")
    notes = {note.name: note for note in made.notes}
    assert notes["Failed spend"].text == "unknown in 1 failed or aborted calls"
    assert notes["Saved"].text == "unknown in 2 cache hits"
    assert notes["Failed spend"].warning
    assert notes["Saved"].warning
    shown = json.loads(made.to_json())
    for row in (*shown["rows"], shown["total"]):
        assert {row[name] for name in row if name.endswith("_usd")} == {None}
    assert "0.000000000" not in made.to_csv()
    assert "$0" not in str(made)


def test_partly_known_failures_savings_and_parts_are_lower_bounds() -> None:
    """With a price for some, what failed and what was saved is at least that; a part that has no amount is unknown."""
    book = Book()
    calls = [book(nano=4_000, status="error"), book(status="error")]
    hits = [book("cache_hit", cost=cost(), saved=cost(output=7_000)), book("saving")]
    made = report(booked(*calls, *hits))
    assert _notes(made)["Failed spend"] == ">= $0.000004 in 2 failed or aborted calls"
    assert _notes(made)["Saved"] == ">= $0.000007 in 1 cache hits"
    row = json.loads(made.to_json())["total"]
    assert (row["failed_cost_usd"], row["saved_usd"]) == ("0.000004000", "0.000007000")
    assert (row["cost_output_usd"], row["cost_input_usd"]) == ("0.000004000", None)


def test_a_saving_of_unknown_size_is_a_row() -> None:
    """A group that holds nothing else is shown, with what it saved as unknown."""
    made = report(booked(Book()("saving", node="cache")))
    assert (made.rows[0].key, json.loads(made.to_json())["rows"][0]["saved_usd"]) == (("cache",), None)


def test_a_failed_tool_without_a_price_has_no_failed_cost() -> None:
    """It is neither unknown nor $0: nobody sells it by the call."""
    made = report(booked(Book()("tool", tool="orders", status="error")), by="tool")
    assert json.loads(made.to_json())["rows"][0]["failed_cost_usd"] is None
    assert _notes(made)["Failed spend"] == "no price in 1 failed or aborted calls"


def test_a_later_price_in_a_group_of_its_own_is_exact() -> None:
    """The correction that prices a call takes one from the unpriced ones; by itself it is a known amount."""
    book = Book()
    ledger = booked(book(model="m"), book("correction", name="priced", parent_id="e1", nano=70, model="m"))
    shown = {row["kind"]: row["cost_known"] for row in json.loads(report(ledger, by="kind").to_json())["rows"]}
    assert shown == {"correction": "exact", "llm": "unknown"}
    assert _notes(report(ledger, where={"kind": "correction"}))["Unpriced calls"] == "none"


def test_a_tool_without_a_price_shows_none(desk: Ledger) -> None:
    """Its cost is a dash for people and null for machines: nobody stated one."""
    line = next(line for line in str(report(desk, by="tool")).splitlines() if line.startswith("orders"))
    assert line.split()[5] == "-"


def test_the_standing_lines_say_what_the_table_does_not(desk: Ledger) -> None:
    """Unpriced, failed, saved, cached, latency and calls per request stand under every report."""
    notes = _notes(report(desk))
    assert list(notes) == STANDING
    assert notes["Unpriced calls"] == "1, their cost is unknown and not in the sums: secret (1)"
    assert notes["Failed spend"] == "$0.0000002 in 1 failed or aborted calls"
    assert notes["Saved"] == "$0.0000002 in 1 cache hits"
    assert notes["Prompt cache"].startswith("59.2% of the input tokens")
    assert notes["Latency"].startswith("p50 0.99")
    assert notes["Calls per request"] == "p50 2, p90 3 model calls per workflow run (2 runs)"


@pytest.mark.parametrize("by", ["node", "driver", "outcome", "kind,day", ""])
def test_an_empty_ledger_reports_nothing_and_says_so(by: str) -> None:
    """There are no rows, the total is $0, and every standing line is there."""
    made = report(booked(), by=by)
    assert made.rows == ()
    assert [note.name for note in made.notes][-len(STANDING) :] == STANDING
    assert "$0" in str(made)
    assert "<table>" in made._repr_html_()
    assert json.loads(made.to_json())["total"]["cost_usd"] == "0.000000000"


def test_estimated_and_flagged_calls_are_pointed_out() -> None:
    """A reader learns how many figures are estimates or odd before using the sums."""
    book = Book()
    estimated = Usage(input_tokens=5, estimated=True)
    odd = Usage(input_tokens=5, anomalies=("total_tokens was 9, but input + output is 5",))
    notes = _notes(report(booked(book(nano=1, usage=estimated), book(nano=1, usage=odd), book(nano=1))))
    assert notes["Estimated calls"] == "1 of 3: their token counts are estimates"
    assert notes["Flagged calls"] == "1 of 3: their usage or price has a flag; see the entries"


def test_many_unpriced_models_are_named_by_number_of_calls() -> None:
    """The worst five are named, the rest counted, and control characters in a name do not reach the terminal."""
    book = Book()
    models = [f"m{at}" for at in range(7) for _ in range(at + 1)]
    unpriced = _notes(report(booked(*(book(model=model) for model in models), book(model="x\x1b[2J"))))[
        "Unpriced calls"
    ]
    assert unpriced.endswith("m6 (7), m5 (6), m4 (5), m3 (4), m2 (3) and 3 more")
    assert "\x1b" not in _notes(report(booked(book(model="x\x1b[2J"))))["Unpriced calls"]


def test_a_large_ledger_is_not_read_entry_by_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of calls a plain report leaves telling the runs apart to the report by driver, and says so."""
    book = Book()
    ledger = booked(book(nano=1, run="r"), book(nano=1, run="r"))
    monkeypatch.setattr("langchain_agentcost.finops.requests.COUNTED_UP_TO", 1)
    assert _notes(report(ledger))["Calls per request"] == "not counted here; the report by driver does"
    assert _notes(report(ledger, by="driver"))["Calls per request"].startswith("p50 2, p90 2")


def test_conditions_and_times_narrow_the_report(desk: Ledger) -> None:
    """Only what is asked for is added up."""
    assert report(desk, where={"tenant": "acme"}).total.cost.total_nano == 800
    assert report(desk, where={"agent": None}).total.cost.total_nano == 330
    assert report(desk, where={"model": ["large", "embed"]}).total.cost.total_nano == 540
    assert report(desk, since=START + timedelta(days=1)).total.cost.total_nano == 200
    assert report(desk, until=START + timedelta(seconds=2)).total.cost.total_nano == 300


def test_a_price_that_came_later_counts() -> None:
    """A correction of an unpriced call makes its cost known."""
    book = Book()
    ledger = booked(book(model="m"), book("correction", name="priced", parent_id="e1", nano=70, model="m"))
    assert report(ledger, by="model").rows[0].cost.usd == usd("0.00000007")
    assert _notes(report(ledger))["Unpriced calls"] == "none"


@pytest.mark.parametrize("by", ["prompt", "node,prompt", "driver,prompt", "outcome,prompt", "tag:"])
def test_an_unknown_column_is_answered_with_the_known_ones(by: str) -> None:
    """The error names what was asked for and what there is."""
    with pytest.raises(QueryError, match=r"tenant.*tag:NAME"):
        report(booked(), by=by)


@pytest.mark.parametrize("by", ["node", "driver", "outcome"])
@pytest.mark.parametrize("where", [{"kind": "llms"}, {"kind": ["llm", "llms"]}, {"status": None}])
def test_a_kind_or_status_that_there_is_not_is_answered_with_the_list(by: str, where: Any) -> None:
    """A typing error is no empty report."""
    with pytest.raises(QueryError, match=r"is one of (llm, embedding|ok, error)"):
        report(booked(), by=by, where=where)


def test_a_report_has_one_question() -> None:
    """Drivers and outcomes are reports of their own and cannot be crossed."""
    with pytest.raises(QueryError, match="by driver or by outcome"):
        report(booked(), by="driver,outcome")


def test_drivers_and_outcomes_are_reports_by_name() -> None:
    """`by="driver"` and `by="outcome"` lead to those reports, grouped by the other names."""
    book = Book()
    ledger = booked(book(nano=5, tenant="acme", run="r"), book.outcome(run="r"))
    assert isinstance(report(ledger, by="tenant,driver"), Drivers)
    assert report(ledger, by="tenant,driver").rows[0].key == ("acme", "output")
    assert isinstance(report(ledger, by=("outcome", "tenant")), Outcomes)
    assert report(ledger, by=("outcome", "tenant")).rows[0].key == ("resolved", "acme")


def test_a_bill_is_shown_in_its_currency_at_the_rate_of_each_day() -> None:
    """Spending of two days is converted at two rates and added up; what is not known stays unknown."""
    book = Book()
    days: list[dict[str, Any]] = [{"at": START}, {"at": START + timedelta(days=1)}]
    euro = Currency("EUR", {date(2026, 1, 1): usd("0.5"), date(2026, 3, 3): usd("0.8")})
    entries = [book(nano=1_000, node="a", **days[0]), book(nano=1_000, node="a", **days[1]), book(node="b", **days[1])]
    made = report(booked(*entries), currency=euro)
    rows = json.loads(made.to_json())
    assert [row["cost_eur"] for row in (*rows["rows"], rows["total"])] == ["0.000001300", None, "0.000001300"]
    assert str(made).splitlines()[2].split()[-2:] == ["cost", "EUR"]
    assert str(made).splitlines()[-10].endswith(">= 0.0000013")
    with pytest.raises(PriceNotFound, match="2026-03-02"):
        report(booked(*entries), currency=Currency("EUR", {date(2026, 3, 3): usd("0.8")}))
    with pytest.raises(QueryError, match="in USD"):
        report(booked(*entries), by="driver", currency=euro)


def test_without_dimensions_there_is_only_the_total(desk: Ledger) -> None:
    """Nothing to group by gives the total."""
    made = report(desk, by=())
    assert (made.rows, made.total.cost.total_nano) == ((), 1130)
