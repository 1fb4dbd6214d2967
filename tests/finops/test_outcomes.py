from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.finops import Outcome, Outcomes, outcomes
from langchain_agentcost.finops.amounts import Amount
from langchain_agentcost.ledger import Ledger
from tests.finops.booked import BACK_ENDS, START, Book, booked, opened


def _row(made: Outcomes, *key: str | None) -> Outcome:
    row = next(row for row in made.rows if row.key == key)
    assert isinstance(row, Outcome)
    return row


def _note(made: Outcomes) -> str:
    return next(note.text for note in made.notes if note.name == "Outcomes")


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_cost_per_outcome_per_success_and_in_failed_work(back_end: str, tmp_path: Path) -> None:
    """Failed work is part of what a success costs; runs without an outcome are counted beside it."""
    book = Book()
    calls = [book(nano=nano, run=f"r{at}") for at, nano in enumerate((100, 200, 300, 50, 7))]
    records = [book.outcome(run=f"r{at}", success=ok) for at, ok in enumerate((True, False, True, None))]
    with opened(back_end, tmp_path, *calls, *records) as ledger:
        made = outcomes(ledger)
    row = _row(made, "resolved")
    assert (row.requests, row.succeeded, row.failed, row.without) == (4, 2, 1, 1)
    assert (row.cost.total_nano, row.failed_spend.cost.total_nano, row.without_spend.cost.total_nano) == (650, 200, 7)
    assert (row.per_outcome, row.per_success) == (Amount(162), Amount(325))
    assert made.total.cost.total_nano == 657


def test_the_latest_record_of_a_run_counts() -> None:
    """A ticket that was reopened is no success; its earlier record is not counted."""
    book = Book()
    ledger = booked(
        book(nano=10, run="r"),
        book.outcome(run="r", success=True),
        book.outcome(run="r", success=False, value=Decimal(3)),
    )
    row = _row(outcomes(ledger), "resolved")
    assert (row.requests, row.succeeded, row.failed, row.value) == (1, 0, 1, Decimal(3))
    assert row.per_success is None


def test_an_outcome_of_a_session_is_about_its_runs() -> None:
    """A session's outcome covers its runs as one request, but for those with an outcome of their own."""
    book = Book()
    calls = [book(nano=10**at, run=f"r{at}", session="s") for at in range(3)]
    ledger = booked(*calls, book.outcome(session="s", success=True), book.outcome(run="r2", session="s", success=False))
    row = _row(outcomes(ledger), "resolved")
    assert (row.requests, row.succeeded, row.failed, row.without) == (2, 1, 1, 0)
    assert (row.cost.total_nano, row.failed_spend.cost.total_nano) == (111, 100)


def test_outcomes_of_different_names_are_kept_apart() -> None:
    """Each name is a question of its own over all runs; a name can be asked for."""
    book = Book()
    ledger = booked(
        book(nano=10, run="a"), book(nano=20, run="b"), book.outcome("resolved", run="a"), book.outcome("sold", run="b")
    )
    made = outcomes(ledger)
    assert [(row.key, row.cost.total_nano) for row in made.rows] == [(("resolved",), 10), (("sold",), 20)]
    assert [row.key for row in outcomes(ledger, "sold").rows] == [("sold",)]
    assert _row(outcomes(ledger, "sold"), "sold").without == 1


def test_an_abandoned_mark_is_no_outcome_unless_asked_for() -> None:
    """It says what was given up, not what a run achieved."""
    book = Book()
    ledger = booked(book(nano=10, run="a"), book.outcome("abandoned", run="a", success=False))
    assert outcomes(ledger).rows == ()
    assert _row(outcomes(ledger, "abandoned"), "abandoned").failed == 1


@pytest.mark.parametrize("name", [None, "sold"])
def test_without_outcomes_there_is_no_row(name: str | None) -> None:
    """Where nobody recorded an outcome there is nothing to show but the total, and the line says why."""
    book = Book()
    made = outcomes(booked(book(nano=10, run="a"), book(nano=5, run="b"), book(nano=1)), name)
    assert (made.rows, made.total.cost.total_nano) == ((), 16)
    assert "none recorded" in _note(made)


def test_runs_without_the_outcome_are_counted_beside_it() -> None:
    """Runs whose outcome nobody recorded are not failures: they are counted as having none, with their cost."""
    book = Book()
    calls = [book(nano=10, run="a"), book(nano=5, run="b"), book(nano=1)]
    row = _row(outcomes(booked(*calls, book.outcome(run="a"))), "resolved")
    assert (row.requests, row.failed, row.without, row.without_spend.cost.total_nano) == (1, 0, 1, 6)


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_values_are_summed_to_the_last_digit(back_end: str, tmp_path: Path) -> None:
    """No digit is rounded away, neither in the sum nor in what people and machines see."""
    book = Book()
    stated = [Decimal("12345678901234567890123456789.01"), Decimal("0.02")]
    records = [book.outcome(run=f"r{at}", value=value) for at, value in enumerate(stated)]
    with opened(back_end, tmp_path, book(nano=1, run="r0"), book(nano=1, run="r1"), *records) as ledger:
        made = outcomes(ledger)
    assert _row(made, "resolved").value == Decimal("12345678901234567890123456789.03")
    assert "12,345,678,901,234,567,890,123,456,789.03" in str(made)
    assert json.loads(made.to_json())["rows"][0]["value"] == "12345678901234567890123456789.03"


@pytest.mark.parametrize("odd", ["1e9999999", "-1e-9999999", "NaN", "sNaN", "Infinity", "0E+999999999"])
def test_a_value_beyond_all_sense_makes_the_sum_unknown(odd: str) -> None:
    """What an old ledger holds does not break a report: the sum is not known, and a line says so."""
    book = Book()
    records = [book.outcome(run=run, value=Decimal(value)) for run, value in (("a", odd), ("b", "2"))]
    made = outcomes(booked(book(nano=1, run="a"), book(nano=1, run="b"), *records))
    assert _row(made, "resolved").value is None
    assert json.loads(made.to_json())["rows"][0]["value"] is None
    assert next(note for note in made.notes if note.name == "Values").text.startswith("1 of 2 are beyond all sense")
    assert len(str(made)) < 5_000


def test_an_outcome_of_a_run_that_spent_nothing_here_is_mentioned() -> None:
    """It cannot have a cost, so it is not in the table but in the line below."""
    book = Book()
    made = outcomes(booked(book(nano=1, run="a"), book.outcome(run="a"), book.outcome(run="elsewhere")))
    assert _row(made, "resolved").requests == 1
    assert _note(made).endswith("; 1 outcomes are about runs that spent nothing here")


def test_an_unpriced_call_makes_the_cost_a_lower_bound() -> None:
    """Per success is then at least so much, and unknown where nothing was priced."""
    book = Book()
    partly = booked(book(nano=2_000, run="a"), book(run="a"), book.outcome(run="a"))
    assert str(_row(outcomes(partly), "resolved").per_success) == ">= $0.000002"
    never = booked(book(run="a"), book.outcome(run="a"))
    assert str(_row(outcomes(never), "resolved").per_success) == "unknown"


def test_outcomes_are_grouped_by_what_the_spending_was_booked_to() -> None:
    """The record need not name the tenant; the run's calls do."""
    book = Book()
    ledger = booked(
        book(nano=10, run="a", tenant="acme"),
        book(nano=40, run="b", tenant="bolt"),
        book(nano=60, run="c", tenant="bolt"),
        *(book.outcome(run=run, success=run != "b") for run in "abc"),
    )
    made = outcomes(ledger, by=("tenant",))
    assert [row.key for row in made.rows] == [("resolved", "bolt"), ("resolved", "acme")]
    bolt = _row(made, "resolved", "bolt")
    assert (bolt.requests, bolt.succeeded, str(bolt.per_success)) == (2, 1, "$0.0000001")


def test_spending_is_filtered_and_outcomes_are_not() -> None:
    """An outcome recorded after `until`, or without the tenant, still counts for what was spent before."""
    book = Book()
    ledger = booked(book(nano=10, run="a", tenant="acme"), book(nano=40, run="a", tenant="bolt"), book.outcome(run="a"))
    assert _row(outcomes(ledger, where={"tenant": "acme"}), "resolved").cost.total_nano == 10
    assert _row(outcomes(ledger, until=START.replace(second=2)), "resolved").cost.total_nano == 10


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["s", "t", None]), st.integers(0, 99))),
    st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["s", None]), st.booleans())),
)
def test_spending_with_and_without_an_outcome_is_all_spending(
    calls: list[tuple[str | None, str | None, int]], records: list[tuple[str | None, str | None, bool]]
) -> None:
    """No money is counted twice or lost, whatever was recorded for runs and for their sessions."""
    book = Book()
    ledger: Ledger = booked(
        *(book(nano=nano, run=run, session=session) for run, session, nano in calls),
        *(book.outcome(run=run, session=session, success=ok) for run, session, ok in records),
    )
    spent = sum(nano for _, _, nano in calls)
    made = outcomes(ledger)
    rows = [row for row in made.rows if isinstance(row, Outcome)]
    assert made.total.cost.total_nano == spent
    # A record of neither a run nor a session is about nothing.
    if any(run or session for run, session, _ in records):
        assert sum(row.cost.total_nano + row.without_spend.cost.total_nano for row in rows) == spent
    else:
        assert rows == []
