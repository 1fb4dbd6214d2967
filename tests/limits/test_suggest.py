"""Limits that a ledger's own runs suggest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.errors import BudgetError, QueryError
from langchain_agentcost.ledger import Entry, Ledger, open_ledger
from langchain_agentcost.ledger.entry import PRICED, Kind
from langchain_agentcost.limits.suggest import Suggestion, suggest_limits
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage

START = datetime(2026, 11, 1, tzinfo=UTC)
ids = count()


@pytest.fixture(params=["memory://", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Ledger]:
    """Both kinds of ledger."""
    with open_ledger(request.param if "//" in request.param else f"sqlite:///{tmp_path}/ledger.db") as opened:
        yield opened


def call(run: str, *, at: datetime = START, nano: int | None = 1_000_000, tokens: int = 100, **labels: Any) -> Entry:
    """One model call."""
    stated = {"workflow": "support", "model": "gpt-4o-mini", "run": run, **labels}
    cost = None if nano is None else Cost(nano, input_nano=nano)
    return Entry(f"e{next(ids)}", "llm", at, Attribution(**stated), usage=Usage(input_tokens=tokens), cost=cost)


def fill(ledger: Ledger, runs: int = 100, **labels: Any) -> None:
    """Runs of 1, 2, 3, … calls, a minute apart."""
    for run in range(1, runs + 1):
        for step in range(run):
            ledger.append(call(f"run{run}", at=START + timedelta(minutes=run, seconds=step / 10), **labels))


def the(suggestions: tuple[Suggestion, ...], unit: str, per: str) -> Suggestion:
    """The one suggestion for a unit."""
    (found,) = [one for one in suggestions if (one.unit, one.per) == (unit, per)]
    return found


def test_steps_a_run_are_the_quantile_with_a_margin(ledger: Ledger) -> None:
    """Of runs with 1 to 100 calls, 99 % have at most 99; a quarter more is 123.75, rounded up 130."""
    fill(ledger)
    found = the(suggest_limits(ledger), "steps", "run")
    assert (found.measured, found.count, found.quantile) == (99, 100, 0.99)
    assert found.budget is not None
    assert found.budget.limits == {"steps": 130}
    assert found.budget.where == {"workflow": "support", "model": "gpt-4o-mini"}
    assert str(found) == "support gpt-4o-mini: 0.99 of 100 runs took at most 99 steps: at most 130 steps a run."


def test_the_quantile_and_the_margin_can_be_chosen(ledger: Ledger) -> None:
    """Half of the runs have at most 10 calls; without a margin that is the limit."""
    fill(ledger, runs=20)
    found = the(suggest_limits(ledger, quantile=0.5, margin=1), "steps", "run")
    assert found.budget is not None
    assert (found.measured, found.budget.limits) == (10, {"steps": 10})


def test_money_is_added_up_by_run_and_by_session(ledger: Ledger) -> None:
    """Ten runs a session: $0.01 a run, $0.10 a session."""
    for run in range(1000):
        at = START + timedelta(seconds=run)
        ledger.append(call(f"r{run}", at=at, nano=10_000_000, session=f"s{run // 10}"))
    found = suggest_limits(ledger, margin=1)
    by_run, by_session = the(found, "usd", "run"), the(found, "usd", "session")
    assert (by_run.measured, by_run.count) == (Decimal("0.01"), 1000)
    assert (by_session.measured, by_session.count) == (Decimal("0.1"), 100)
    assert by_session.budget is not None
    assert by_session.budget.limits == {"usd": 100_000_000}


def test_tokens_a_step_are_input_and_output_of_one_call(ledger: Ledger) -> None:
    """Every call is a step, whatever its run."""
    for size in range(1, 201):
        ledger.append(call("one run", at=START + timedelta(seconds=size), tokens=size * 100))
    found = the(suggest_limits(ledger, margin=1), "total_tokens", "step")
    assert (found.measured, found.count) == (19_800, 200)


def test_too_few_runs_suggest_nothing_and_say_so(ledger: Ledger) -> None:
    """A 99th percentile of 99 runs is no more than the largest one."""
    fill(ledger, runs=99)
    found = the(suggest_limits(ledger), "steps", "run")
    assert found.budget is None
    assert "99 runs took at most 99 steps, which are too few to suggest a limit: it takes 100" in str(found)


def test_each_workflow_and_model_has_its_own(ledger: Ledger) -> None:
    """A run that asks two models counts for both."""
    for run in range(100):
        at = START + timedelta(seconds=run)
        for model in ("small", "small", "large"):
            ledger.append(call(f"r{run}", at=at, model=model))
    steps = {one.where["model"]: one.measured for one in suggest_limits(ledger) if one.unit == "steps"}
    assert steps == {"small": 2, "large": 1}


def test_a_model_goes_by_the_name_that_it_is_asked_for_under(ledger: Ledger) -> None:
    """Budgets see the name in the request: a budget for the dated name would hold no call."""
    for run in range(100):
        dated = call(f"r{run}", at=START + timedelta(seconds=run), model="gpt-4o-mini-2024-07-18")
        ledger.append(replace(dated, name="gpt-4o-mini"))
    assert {one.where["model"] for one in suggest_limits(ledger)} == {"gpt-4o-mini"}


def test_a_run_with_a_call_of_unknown_price_is_left_out_of_the_money(ledger: Ledger) -> None:
    """Unknown is not 0; its steps still count."""
    for run in range(150):
        ledger.append(call(f"r{run}", at=START + timedelta(seconds=run), nano=None if run < 50 else 2_000_000))
    found = suggest_limits(ledger)
    money = the(found, "usd", "run")
    assert (money.count, money.unpriced, money.measured) == (100, 50, Decimal("0.002"))
    assert "50 more have calls without a price" in str(money)
    assert the(found, "steps", "run").count == 150


def test_a_later_price_counts(ledger: Ledger) -> None:
    """A correction gives the run its cost, and is no step."""
    for run in range(100):
        first = call(f"r{run}", at=START + timedelta(seconds=run), nano=None)
        ledger.append(first)
        ledger.append(
            replace(
                first, id=f"{first.id}+", kind="correction", name=PRICED, usage=None, cost=Cost(7_000, input_nano=7_000)
            )
        )
    found = suggest_limits(ledger)
    assert the(found, "usd", "run").measured == Decimal("0.000007")
    assert the(found, "steps", "run").measured == 1


def test_a_run_that_is_long_over_is_added_up_before_the_ledger_ends(ledger: Ledger) -> None:
    """A call of the same name weeks later is a run of its own: that bounds what is kept in mind."""
    for week in range(100):
        ledger.append(call("nightly", at=START + timedelta(weeks=2 * week)))
    assert the(suggest_limits(ledger), "steps", "run").count == 100


def test_only_what_is_asked_for_is_looked_at(ledger: Ledger) -> None:
    """Where and since narrow the entries."""
    fill(ledger, runs=10)
    fill(ledger, runs=10, workflow="other")
    narrow = suggest_limits(ledger, where={"workflow": "other"}, since=START + timedelta(minutes=6))
    assert {one.where["workflow"] for one in narrow} == {"other"}
    assert the(narrow, "steps", "run").count == 5


def test_tools_and_outcomes_are_no_steps(ledger: Ledger) -> None:
    """Only model calls, answered by a provider or a cache, count."""
    for run in range(100):
        one = call(f"r{run}", at=START + timedelta(seconds=run))
        kinds: tuple[Kind, ...] = ("llm", "cache_hit", "tool", "outcome", "embedding")
        for kind in kinds:
            ledger.append(replace(one, id=f"{one.id}{kind}", kind=kind))
    assert the(suggest_limits(ledger), "steps", "run").measured == 2


@pytest.mark.parametrize("wrong", [{"quantile": 0}, {"quantile": 1}, {"margin": "0.9"}, {"margin": float("nan")}])
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    """A quantile lies between 0 and 1, a margin makes nothing smaller."""
    with pytest.raises(BudgetError):
        suggest_limits(open_ledger("memory://"), **wrong)


def test_an_unknown_column_is_refused() -> None:
    """The ledger says which columns there are."""
    with pytest.raises(QueryError):
        suggest_limits(open_ledger("memory://"), where={"colour": "red"})
