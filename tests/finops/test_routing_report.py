"""What a router did, from the ledger alone."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from langchain_agentcost.errors import QueryError
from langchain_agentcost.finops import RouterReport, routing_report
from langchain_agentcost.finops.amounts import Amount
from langchain_agentcost.finops.routing import TierShare
from langchain_agentcost.ledger import Entry, Ledger
from langchain_agentcost.ledger.entry import PRICED
from tests.finops.booked import BACK_ENDS, START, booked, cost, opened
from tests.finops.routed_calls import Router


def made_of(*entries: Entry | Iterable[Entry], **options: Any) -> RouterReport:
    """The report on these entries."""
    flat = [entry for part in entries for entry in ([part] if isinstance(part, Entry) else part)]
    return routing_report(booked(*flat), **options)


def notes_of(made: RouterReport) -> dict[str, str]:
    """The lines under a report."""
    return {note.name: note.text for note in made.notes}


def row_of(made: RouterReport, *key: str) -> TierShare:
    """One row."""
    row = next(row for row in made.rows if row.key == key)
    assert isinstance(row, TierShare)
    return row


@pytest.fixture(params=BACK_ENDS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """Two runs of a router with a draft that passed, one that did not, shadow calls and a judge, and other calls."""
    router = Router()
    entries = [
        *router.cascade(10, run="a", node="read"),
        *router.cascade(20, 1_100, run="a", node="read"),
        router.compared("judge", 5, run="a", node="read"),
        *router.answer("small", 30, {"calibration": "c1"}, run="b", node="read"),
        router.compared("shadow", 900, run="b", node="read"),
        *router.answer("large", 1_200, {"calibration": "c1"}, run="b", node="plan"),
        router.book(nano=99_999, run="b", node="plan", model="other"),
        router.book("tool", nano=7, run="b", node="plan"),
    ]
    return opened(request.param, tmp_path, *entries)


def test_the_saving_is_the_baseline_less_all_that_was_paid(desk: Ledger) -> None:
    """Drafts, escalations, shadow calls and judges are paid for; calls that no router made are not looked at."""
    saving = routing_report(desk).saving
    paid = 10 + 20 + 1_100 + 5 + 30 + 900 + 1_200
    assert (saving.baseline, saving.paid) == (Amount(4_000), Amount(paid))
    assert (saving.saved, saving.runs) == (Amount(4_000 - paid), 2)
    assert saving.percent == pytest.approx(100 * (1 - paid / 4_000))


def test_the_rows_say_what_went_to_each_tier(desk: Ledger) -> None:
    """Shares of calls and of spend are of what answers; comparison is apart."""
    made = routing_report(desk)
    large, small = row_of(made, "large"), row_of(made, "small")
    assert [(row.llm_calls, row.cost.total_nano) for row in (large, small)] == [(2, 2_300), (3, 60)]
    assert (small.discarded, small.discarded_spend) == (1, Amount(20))
    assert (made.total.llm_calls, made.total.cost.total_nano) == (5, 2_360)
    assert made.evaluation == Amount(905)
    assert made.decisions == 4
    read = json.loads(made.to_json())
    assert [row["calls_share"] for row in read["rows"]] == [pytest.approx(0.4), pytest.approx(0.6)]
    assert [row["cost_share"] for row in read["rows"]] == [pytest.approx(2_300 / 2_360), pytest.approx(60 / 2_360)]


def test_the_rows_may_be_by_node_too(desk: Ledger) -> None:
    """Every tier is divided, and the whole stays the same."""
    made = routing_report(desk, by="node")
    assert [row.key for row in made.rows] == [("large", "plan"), ("large", "read"), ("small", "read")]
    assert row_of(made, "small", "read").discarded == 1
    assert made.saving == routing_report(desk).saving
    assert made.total.cost == routing_report(desk).total.cost


def test_drafts_and_escalations_are_counted(desk: Ledger) -> None:
    """Half of the drafts did not pass."""
    made = routing_report(desk).escalations
    assert (made.drafts, made.escalated, made.rate, made.discarded) == (2, 1, 0.5, Amount(20))


def test_the_baseline_is_checked_where_the_strongest_tier_was_asked(desk: Ledger) -> None:
    """One call went there at once, and cost 1.2 times its forecast; escalations are not counted: they come late."""
    forecast = routing_report(desk).forecast
    assert [forecast.calls, forecast.of_baseline, forecast.of_expected] == pytest.approx([1, 1.2, 1.2])


def test_calibrations_are_counted(desk: Ledger) -> None:
    """Two decisions had one, two had none."""
    floor = routing_report(desk).floor
    assert (dict(floor.calibrations), floor.without, floor.share_without) == ({"c1": 2}, 2, 0.5)


def test_the_report_can_be_narrowed(desk: Ledger) -> None:
    """To a node, to a tag, or to a time."""
    assert routing_report(desk, where={"node": "plan"}).decisions == 1
    assert routing_report(desk, where={"tag:agentcost_policy": "step"}).decisions == 4
    assert routing_report(desk, since=START + timedelta(seconds=5)).decisions == 2
    assert routing_report(desk, until=START).decisions == 0


@pytest.mark.parametrize(
    "column", ["model", "kind", "status", "purpose", "step", "tag:agentcost_tier", "tag:agentcost_role"]
)
def test_what_tells_calls_of_a_decision_apart_is_refused(column: str) -> None:
    """Drafts without their escalations would save too much."""
    with pytest.raises(QueryError, match="tells the calls of one decision apart"):
        routing_report(booked(), where={column: "x"})


def test_a_call_without_a_price_makes_the_saving_unknown() -> None:
    """Whatever it is: an answer, a draft or a shadow call; a price that comes later makes it known."""
    router = Router()
    entries = [*router.answer("small", 10, run="a"), *router.answer("small", None, run="b")]
    made = made_of(entries)
    assert (made.saving.saved, made.saving.percent, made.saving.interval) == (Amount(None, "unknown"), None, None)
    assert (made.saving.paid, made.saving.baseline) == (Amount(10, "at least"), Amount(2_000))
    assert json.loads(made.to_json())["routing"]["saving"]["saved_usd"] is None
    assert "Unpriced calls" in notes_of(made)
    shadow = router.compared("shadow", None, run="a")
    assert made_of(router.answer("small", 10, run="a"), shadow).saving.saved.known == "unknown"
    unpriced = entries[2]
    correction = replace(
        unpriced, id="later", kind="correction", cost=cost(output=4), parent_id=unpriced.id, name=PRICED
    )
    assert made_of(entries, correction).saving.saved == Amount(2_000 - 14)


def test_a_decision_without_a_baseline_makes_the_saving_a_lower_bound() -> None:
    """A strongest tier without a price would have cost something: what was paid is all there."""
    router = Router()
    known, unknown = router.answer("small", 10, run="a"), router.answer("small", 20, {"baseline_nano": None}, run="a")
    made = made_of(known, unknown)
    assert made.saving.saved == Amount(970, "at least")
    assert (made.saving.percent, made.saving.without_baseline) == (None, 1)
    assert notes_of(made)["No baseline"].startswith("1 decisions")
    assert made_of(unknown).saving.saved == Amount(None, "unknown")


@pytest.mark.parametrize("status", ["error", "aborted"])
def test_what_fails_saves_nothing(status: Any) -> None:
    """A call that nobody got an answer from is paid for, and has no baseline."""
    router = Router()
    made = made_of(router.answer("small", 10, run="a", status=status), router.answer("small", 20, run="b"))
    assert (made.saving.baseline, made.saving.paid, made.saving.unanswered) == (Amount(1_000), Amount(30), 1)


def test_a_shadow_call_answers_nobody() -> None:
    """An answer that failed stays one, though the call for comparison went well."""
    router = Router()
    made = made_of(router.answer("small", 10, run="a", status="error"), router.compared("shadow", 900, run="a"))
    assert (made.saving.unanswered, made.saving.saved) == (1, Amount(-910))


def test_a_draft_is_discarded_whoever_answers_in_its_place() -> None:
    """Also where LangChain's cache had the strong tier's answer."""
    router = Router()
    hit = replace(router.call("large", "escalation", 0, decision="d1", run="a"), kind="cache_hit")
    made = made_of(router.cascade(10, run="a"), hit)
    assert (made.escalations.escalated, made.escalations.discarded) == (1, Amount(10))


def test_a_retry_after_a_failure_is_one_decision() -> None:
    """Both calls are paid for, the baseline counts once, and the strongest tier was not asked at once."""
    router = Router()
    failed, decided = router.answer("small", 5, run="a", status="error")
    again = router.call("large", "answer", 1_100, decision="d1", run="a")
    made = made_of([failed, decided, again, replace(decided, id="told-twice")])
    assert (made.saving.baseline, made.saving.paid, made.decisions) == (Amount(1_000), Amount(1_105), 1)
    assert made.forecast.calls == 0


def test_what_langchains_cache_answered_saves_nothing_here() -> None:
    """The cache books no decision, and has its own report."""
    router = Router()
    hit = replace(router.call("small", "answer", 0, decision="d9", run="b"), kind="cache_hit", saved=cost(output=50))
    made = made_of(router.answer("small", 10, run="a"), hit)
    assert (made.saving.saved, made.decisions) == (Amount(990), 1)
    assert row_of(made, "small").llm_calls == 1


def test_calls_in_runs_of_their_own_are_one_decision() -> None:
    """Outside a chain an escalation is a run of its own: it is paid for where its draft was made."""
    router = Router()
    draft, decided, escalation = router.cascade(10, 900, run="a")
    escalation = replace(escalation, attribution=replace(escalation.attribution, run="b"))
    made = made_of(draft, decided, escalation, router.book.outcome(run="a"))
    assert (made.decisions, made.saving.runs, made.saving.saved, made.escalations.escalated) == (1, 1, Amount(90), 1)
    assert made.measurement.mixed == 1


def test_an_outcome_is_no_call() -> None:
    """What has a router's tags and is none of its calls is not counted."""
    call, decided = Router().answer("small", 10, run="a")
    outcome = replace(call, id="outcome", kind="outcome", cost=None, decision=None, name="resolved", success=True)
    made = made_of(call, decided, outcome)
    assert (made.decisions, made.saving.runs, made.escalations.drafts) == (1, 1, 0)


def test_a_router_that_costs_more_than_it_saves_is_pointed_at() -> None:
    """The saving is negative, with a warning."""
    router = Router()
    made = made_of(*(router.cascade(900, 1_000, run=str(run)) for run in range(10)))
    assert made.saving.saved == Amount(-9_000)
    assert made.saving.percent == pytest.approx(-90)
    assert made.saving.interval == pytest.approx((-90, -90))
    assert next(note for note in made.notes if note.name == "Saved").warning


def test_few_runs_have_no_interval() -> None:
    """The runs are what is drawn: nine say too little of how far the share would move, and it says so."""
    router = Router()
    entries = [router.answer("small", 10 * run, run=str(run)) for run in range(1, 11)]
    made = made_of(*entries[:9])
    assert (made.saving.percent, made.saving.interval) == (95, None)
    assert "95.0%; with fewer than 10 runs no interval" in notes_of(made)["Saved"]
    made = made_of(*entries)
    low, high = made.saving.interval or (0, 0)
    assert 90 < low < made.saving.percent < high < 99  # type: ignore[operator]  # it is known
    assert "over 10 runs, of which runs came and not of the forecast" in notes_of(made)["Saved"]


def test_a_baseline_that_nothing_speaks_for_is_said_to_be_one() -> None:
    """At nodes where the strongest tier never answered, the length of its answers is that of others; aside counts."""
    router = Router()
    entries = [
        router.answer("small", 10, run="a", node="sort"),
        router.answer("large", 900, run="a", node="plan"),
        router.answer("small", 10, run="a", node="plan"),
        router.answer("large", 900, run="a", node="fail", status="error"),
        router.answer("small", 10, run="a", node="fail"),
        router.cascade(10, 900, run="a", node="read"),
        [*router.answer("small", 10, run="a", node="look"), router.compared("shadow", 900, run="a", node="look")],
        [*router.answer("small", 10, run="a", node="rate"), router.compared("judge", 9, run="a", node="rate")],
    ]
    made = made_of(*entries)
    assert (made.forecast.whole_nano, made.forecast.unseen_nano) == (7_000, 3_000)
    assert notes_of(made)["Never heard"].startswith(
        "42.9% of the baseline is of nodes where the strongest tier gave no"
    )
    assert json.loads(made.to_json())["routing"]["forecast"]["unseen_share"] == pytest.approx(3 / 7)
    assert "Never heard" not in notes_of(made_of(*entries[1:3]))


def test_the_saving_is_corrected_by_what_forecasts_were_worth() -> None:
    """Ten calls of the strongest tier that cost half of what was expected halve the baseline of all, and it is said."""
    router = Router(baseline_nano=1_000, expected=1_000)
    strong = [router.answer("large", 500, run=f"r{number}") for number in range(10)]
    small = [router.answer("small", 100, run=f"s{number}") for number in range(10)]
    made = made_of(*strong, *small)
    corrected = made.saving.corrected(made.forecast)
    assert corrected is not None
    assert (corrected.baseline, corrected.saved) == (Amount(10_000), Amount(10_000 - 6_000))
    assert notes_of(made)["Saved, corrected"].endswith("(40.0%) if all forecasts were off by 0.50x")
    assert json.loads(made.to_json())["routing"]["saving_corrected"]["saved_pct"] == pytest.approx(40)
    few = made_of(*strong[:9], *small)
    assert few.saving.corrected(few.forecast) is None
    assert "Saved, corrected" not in notes_of(few)


def test_a_forecast_far_off_is_pointed_at() -> None:
    """A cold cache is told from a wrong forecast: the one beside what was expected decides."""
    cold = Router(baseline_nano=500, expected=1_000)
    made = made_of(cold.answer("large", 1_000, run="a"))
    assert (made.forecast.of_baseline, made.forecast.of_expected) == (2, 1)
    assert not next(note for note in made.notes if note.name == "Baseline").warning
    wrong = Router(baseline_nano=500, expected=None)
    made = made_of(wrong.answer("large", 1_000, run="a"))
    assert made.forecast.of_expected is None
    assert next(note for note in made.notes if note.name == "Baseline").warning


def test_a_near_constant_router_is_pointed_at() -> None:
    """Fifty calls to one tier and none to another."""
    router = Router()
    made = made_of(entry for _ in range(50) for entry in router.answer("large", 10, run="a"))
    assert made.doubts == (
        "'large' was chosen for 100.0% of 50 calls: a router that always says the same routes nothing.",
    )
    assert next(note for note in made.notes if note.name == "Doubt").warning


def _judged(router: Router, tier: str, nano: int, *, good: int, bad: int) -> list[Entry]:
    made = []
    for number in range(good + bad):
        run = f"{tier}{number}"
        made += router.answer(tier, nano, run=run)
        made.append(router.book.outcome(success=number < good, run=run))
    return made


def test_a_dominated_tier_is_named_by_what_it_really_cost() -> None:
    """A tier whose runs cost no less than the strongest one's and succeed less often."""
    router = Router()
    made = made_of(_judged(router, "small", 1_000, good=10, bad=30), _judged(router, "large", 900, good=35, bad=5))
    assert made.doubts[0].startswith("'small' does worse than 'large' and costs no less: 10 of 40 runs")
    assert (row_of(made, "small").measured, made.measurement.mixed) == (made.measurement.tiers["small"], 0)
    read = json.loads(made.to_json())
    assert {row["tier"]: row["per_success_usd"] for row in read["rows"]} == {
        "small": "0.000004000",
        "large": "0.000001029",
    }
    assert read["routing"]["tiers"]["large"]["solved"] == 35


def test_runs_of_several_tiers_are_said_to_say_nothing() -> None:
    """How many there are stands under the table."""
    router = Router()
    mixed = [*router.cascade(10, 1_000, run="a"), router.book.outcome(run="a")]
    made = made_of(mixed, _judged(router, "small", 10, good=2, bad=1))
    assert (made.measurement.mixed, made.measurement.tiers["small"].runs) == (1, 3)
    assert "1 runs with an outcome were answered by several tiers" in notes_of(made)["Outcomes"]


def test_a_ledger_without_a_router_says_so() -> None:
    """No saving is claimed, and the line says what to do."""
    router = Router()
    made = made_of(router.book(nano=10, run="a"))
    assert (made.decisions, made.rows, made.saving.saved, made.floor.share_without) == (0, (), Amount(0), None)
    assert "Routed calls" in notes_of(made)
    assert str(made)
    assert made._repr_html_()
    assert json.loads(made.to_json())["routing"]["escalations"]["rate"] is None


def test_every_form_shows_the_saving(desk: Ledger) -> None:
    """Text, terminal, notebook and JSON; labels are escaped."""
    router = Router()
    desk.append(router.answer("<b>tier</b>", 10, run="c")[0])
    made = routing_report(desk)
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(made.rich())
    for text in (str(made), made._repr_html_(), console.export_text()):
        assert "expected with the strongest tier alone" in text
    assert "<b>tier" not in made._repr_html_()
    read = json.loads(made.to_json())
    assert Decimal(read["routing"]["saving"]["baseline_usd"]) == made.saving.baseline.exact
    assert read["routing"]["saving"]["saved_pct_interval"] is None


_amount = st.none() | st.integers(0, 5_000)
_runs = st.sampled_from(["a", "b", "c", None])


@st.composite
def routed(draw: st.DrawFn) -> list[Entry]:
    """Decisions of every shape."""
    router, made = Router(), []
    for _ in range(draw(st.integers(0, 12))):
        fields: dict[str, Any] = {"run": draw(_runs), "status": draw(st.sampled_from(["ok", "ok", "error"]))}
        told = {"baseline_nano": draw(_amount)}
        if draw(st.booleans()):
            made += router.cascade(draw(_amount), draw(_amount), **fields)
        else:
            made += router.answer(draw(st.sampled_from(["small", "large"])), draw(_amount), told, **fields)
        if draw(st.booleans()):
            made.append(router.compared(draw(st.sampled_from(["shadow", "judge"])), draw(_amount), **fields))
    return made


@settings(deadline=None)
@given(routed())
def test_the_bill_is_complete_and_nothing_unknown_is_a_number(entries: list[Entry]) -> None:
    """What was paid is all that the calls cost; rows add up; a saving is stated only where all of it is known."""
    made = made_of(entries)
    calls = [entry for entry in entries if entry.kind == "llm"]
    paid = sum(entry.cost.total_nano for entry in calls if entry.cost)
    assert (made.saving.paid.nano or 0) == paid
    assert (made.saving.paid.known == "exact") == all(entry.cost for entry in calls)
    assert sum(row.cost.total_nano for row in made.rows) + (made.evaluation.nano or 0) == paid
    assert sum(row.llm_calls for row in made.rows) == made.total.llm_calls
    if made.saving.saved.nano is not None:
        assert all(entry.cost for entry in calls)
        assert made.saving.saved.nano == (made.saving.baseline.nano or 0) - paid
    assert made.saving.interval is None or made.saving.percent is not None
    assert 0 <= made.forecast.unseen_nano <= made.forecast.whole_nano == (made.saving.baseline.nano or 0)
    assert made.escalations.escalated <= made.escalations.drafts
