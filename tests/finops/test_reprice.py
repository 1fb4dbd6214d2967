from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.finops import RepriceResult, reprice
from langchain_agentcost.ledger import Entry, Ledger, open_ledger
from langchain_agentcost.ledger.entry import PRICED, Kind
from langchain_agentcost.pricing import Cost, PriceBook
from langchain_agentcost.usage import Usage

START = datetime(2026, 3, 1, tzinfo=UTC)
ANN = Attribution(user="ann", model="m", provider="ours", step=2)


def at_price(usd: str | int, **more: Any) -> PriceBook:
    """A book in which a million input tokens of "m" cost so much."""
    return PriceBook({"models": [{"model": "m", "input": usd, "output": usd, **more}]})


def call(number: int, cost: Cost | None = None, *, kind: Kind = "llm", who: Attribution = ANN, **more: Any) -> Entry:
    """A call of a million input tokens, an hour after the one before it."""
    usage = more.pop("usage", Usage(input_tokens=1_000_000))
    return Entry(f"r{number}", kind, START + timedelta(hours=number), who, usage=usage, cost=cost, **more)


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger of each back end."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'costs.db'}"
    with open_ledger(url) as opened:
        yield opened


def booked(ledger: Ledger, *entries: Entry) -> Ledger:
    """The ledger with entries."""
    for entry in entries:
        ledger.append(entry)
    return ledger


def total(ledger: Ledger) -> Decimal:
    """What the ledger says that everything cost."""
    return ledger.totals()[0].cost.usd


def dollars(amount: int) -> Cost:
    """A cost of input alone."""
    return Cost(amount * 10**9, input_nano=amount * 10**9)


def test_a_new_price_moves_the_total(ledger: Ledger) -> None:
    """After re-pricing, the ledger's total is what the new prices say, and the entries are as they were."""
    booked(ledger, call(1, dollars(5)), call(2, dollars(5)))
    before = list(ledger.entries({"kind": "llm"}))
    result = reprice(ledger, at_price(3))
    assert total(ledger) == 6
    assert (result.calls, result.corrected, result.newly_priced) == (2, 2, 0)
    assert [result.before.usd, result.after.usd, result.difference.usd] == [10, 6, -4]
    assert list(ledger.entries({"kind": "llm"})) == before


def test_a_correction_stands_beside_its_call(ledger: Ledger) -> None:
    """A correction has its call's labels, time and status, and names the call, so that every report finds it."""
    booked(ledger, call(1, dollars(5), status="aborted"))
    reprice(ledger, at_price(3))
    (correction,) = ledger.entries({"kind": "correction"})
    assert (correction.parent_id, correction.at, correction.status) == ("r1", START + timedelta(hours=1), "aborted")
    assert (correction.attribution, correction.usage) == (ANN, None)
    assert correction.cost is not None
    assert [correction.cost.usd, correction.cost.input] == [-2, -2]
    assert correction.cost.source == "override"
    assert ledger.totals(("user",))[0].failed_cost.usd == 3


def test_repricing_twice_changes_nothing(ledger: Ledger) -> None:
    """The second run with the same prices finds nothing to correct."""
    booked(ledger, call(1, dollars(5)), call(2))
    reprice(ledger, at_price(3))
    entries = list(ledger.entries())
    again = reprice(ledger, at_price(3))
    assert list(ledger.entries()) == entries
    assert [again.corrected, again.difference.usd] == [0, 0]


def test_a_late_price_ends_the_unpriced_call(ledger: Ledger) -> None:
    """A call that had no price gets one by its correction, and is not counted as unpriced any more."""
    booked(ledger, call(1), call(2, kind="embedding"))
    assert ledger.totals()[0].unpriced_calls == 2
    result = reprice(ledger, at_price(3))
    assert [ledger.totals()[0].unpriced_calls, total(ledger)] == [0, 6]
    assert (result.newly_priced, result.unpriced) == (2, 0)
    assert {entry.name for entry in ledger.entries({"kind": "correction"})} == {PRICED}


def test_a_price_of_nothing_is_a_price(ledger: Ledger) -> None:
    """A model that turns out to be free is no longer unpriced."""
    booked(ledger, call(1))
    assert reprice(ledger, at_price(0)).newly_priced == 1
    assert [ledger.totals()[0].unpriced_calls, total(ledger)] == [0, 0]


def test_prices_may_change_back(ledger: Ledger) -> None:
    """Each re-pricing corrects what stands by then, also back to a price that was there before."""
    booked(ledger, call(1, dollars(5)))
    for price in (3, 7, 3, 5, 3):
        reprice(ledger, at_price(price))
        assert total(ledger) == price
    assert len(list(ledger.entries({"kind": "correction"}))) == 5


def test_a_model_that_the_new_prices_do_not_know_keeps_its_price(ledger: Ledger) -> None:
    """What was booked stands where there is nothing better, and what had no price still has none."""
    unknown = Attribution(model="other", provider="ours")
    booked(ledger, call(1, dollars(5), who=unknown), call(2, who=unknown))
    with pytest.warns(UserWarning, match="'other'"):
        result = reprice(ledger, at_price(3))
    assert (result.kept, result.unpriced, result.corrected) == (1, 1, 0)
    assert [total(ledger), ledger.totals()[0].unpriced_calls] == [5, 1]


def test_calls_without_usage_or_model_are_left_alone(ledger: Ledger) -> None:
    """Where nothing is known that could be priced, nothing is invented."""
    booked(ledger, call(1, usage=None), call(2, who=Attribution()))
    assert reprice(ledger, at_price(3)) == RepriceResult(calls=2, unpriced=2, version=at_price(3).version)


def test_only_calls_are_priced_again(ledger: Ledger) -> None:
    """Tools, cache hits, savings and outcomes keep what was booked."""
    kinds: tuple[Kind, ...] = ("tool", "retriever", "cache_hit", "saving", "outcome", "decision")
    booked(ledger, *(call(number, dollars(1), kind=kind) for number, kind in enumerate(kinds)))
    assert reprice(ledger, at_price(3)).calls == 0


def test_each_call_is_priced_at_its_own_time(ledger: Ledger) -> None:
    """Without `as_of` a dated price holds for the calls of its time; with it, for all."""
    booked(ledger, call(1, dollars(5)), call(100, dollars(5)))
    dated = PriceBook(
        {
            "models": [
                {"model": "m", "input": 1, "until": "2026-03-03"},
                {"model": "m", "input": 2, "from": "2026-03-03"},
            ]
        }
    )
    reprice(ledger, dated)
    assert total(ledger) == 3
    reprice(ledger, dated, as_of=START)
    assert total(ledger) == 2


def test_a_window_limits_the_calls(ledger: Ledger) -> None:
    """Only calls between `since` and `until` are corrected, and their earlier corrections are seen."""
    booked(ledger, *(call(number, dollars(5)) for number in range(4)))
    since, until = START + timedelta(hours=1), START + timedelta(hours=3)
    for price in (1, 2):
        assert reprice(ledger, at_price(price), since=since, until=until).calls == 2
        assert total(ledger) == 10 + 2 * price


def test_a_dry_run_writes_nothing(ledger: Ledger) -> None:
    """A dry run tells the difference and leaves the ledger as it is."""
    booked(ledger, call(1, dollars(5)))
    assert reprice(ledger, at_price(3), dry_run=True).difference.usd == -2
    assert len(list(ledger.entries())) == 1


def of_run(run: str | None, *, step: int = 2, model: str = "m") -> Attribution:
    """A call of a workflow run."""
    return Attribution(model=model, provider="ours", run=run, step=step)


def fees(ledger: Ledger) -> dict[str | None, Decimal]:
    """The fees that were booked by correction, by call."""
    corrections = ledger.entries({"kind": "correction"})
    return {entry.parent_id: entry.cost.request for entry in corrections if entry.cost and entry.cost.request}


def test_a_task_pays_its_fee_once(ledger: Ledger) -> None:
    """A fee per task goes with the earliest call of each workflow run, whatever its step and however late its entry."""
    booked(ledger, call(3, who=of_run("a", step=1)), call(1, who=of_run("a")), call(2, who=of_run("b")))
    reprice(ledger, at_price(1, task="0.5"))
    assert fees(ledger) == {"r1": Decimal("0.5"), "r2": Decimal("0.5")}
    assert reprice(ledger, at_price(1, task="0.5")).corrected == 0


def test_a_call_that_was_not_billed_does_not_pay_for_the_task(ledger: Ledger) -> None:
    """A refused call, an embedding, a cache hit and a call without a price leave the fee to the next call."""
    booked(
        ledger,
        call(1, Cost(), who=of_run("a", step=1), usage=None, status="error"),
        call(2, who=of_run("a"), kind="embedding"),
        call(3, who=of_run("a"), kind="cache_hit"),
        call(4, who=of_run("a", model="other")),
        call(5, who=of_run("a")),
    )
    with pytest.warns(UserWarning, match="'other'"):
        reprice(ledger, at_price(1, task="0.5"))
    assert fees(ledger) == {"r5": Decimal("0.5")}


def test_a_call_without_a_run_is_no_task(ledger: Ledger) -> None:
    """Where nobody says which run a call belongs to, no fee is invented."""
    booked(ledger, call(1, who=of_run(None, step=1)))
    reprice(ledger, at_price(1, task="0.5"))
    assert total(ledger) == 1


def test_a_task_that_began_before_the_window_pays_no_second_fee(ledger: Ledger) -> None:
    """A window sees that a run had its first call earlier, and corrects nothing before its start."""
    booked(ledger, call(1, who=of_run("a")), call(2, who=of_run("a")), call(3, who=of_run("b")))
    result = reprice(ledger, at_price(1, task="0.5"), since=START + timedelta(hours=2))
    assert (result.calls, fees(ledger)) == (2, {"r3": Decimal("0.5")})
    earliest = datetime.min.replace(tzinfo=UTC)
    assert reprice(ledger, at_price(1, task="0.5"), since=earliest).calls == 3


def test_the_name_that_was_asked_for_is_priced_again(ledger: Ledger) -> None:
    """A price for a deployment or an alias is found again by the name that the entry keeps."""
    booked(ledger, call(1, name="prod-chat"), call(2))
    prices = PriceBook({"models": [{"model": "prod-chat", "input": 3}, {"model": "m-large", "input": 1}]})
    with pytest.warns(UserWarning, match="'m'"):
        assert reprice(ledger, prices).newly_priced == 1
    assert total(ledger) == 3


def test_the_tier_that_a_call_was_billed_at_is_kept(ledger: Ledger) -> None:
    """Where the answer did not name its tier, the one that was billed is priced again."""
    booked(ledger, call(1, Cost(10**9, input_nano=10**9, service_tier="flex")))
    lines = [{"model": "m", "input": 4}, {"model": "m", "service_tier": "flex", "input": 2}]
    reprice(ledger, PriceBook({"models": lines}))
    assert total(ledger) == 2


def test_the_tier_of_a_call_is_kept(ledger: Ledger) -> None:
    """A batch call is priced again as a batch call."""
    booked(ledger, call(1, usage=Usage(input_tokens=1_000_000, service_tier="batch")))
    lines = [{"model": "m", "input": 4}, {"model": "m", "service_tier": "batch", "input": 2}]
    reprice(ledger, PriceBook({"models": lines}))
    assert total(ledger) == 2


def test_calls_of_the_same_instant_are_told_apart(ledger: Ledger) -> None:
    """Calls that started at the same microsecond each get their own corrections."""
    calls = [Entry(f"s{n}", "llm", START, ANN, usage=Usage(input_tokens=n * 1_000_000)) for n in range(1, 6)]
    booked(ledger, *calls)
    for price in (2, 3):
        reprice(ledger, at_price(price))
        assert total(ledger) == 15 * price


def test_two_runs_at_the_same_time_correct_a_call_once(ledger: Ledger) -> None:
    """Of two corrections that start from the same state, only one is kept, so that they cannot add up."""
    booked(ledger, call(1, dollars(5)))
    other = open_ledger("memory://")
    booked(other, call(1, dollars(5)))
    reprice(other, at_price(7))
    reprice(ledger, at_price(3))
    booked(ledger, *other.entries({"kind": "correction"}))
    assert total(ledger) == 3


@given(st.lists(st.integers(0, 10**5), min_size=1, max_size=5), st.lists(st.none() | st.integers(0, 50), max_size=6))
def test_the_last_prices_decide_whatever_came_before(prices: list[int], costs: list[int | None]) -> None:
    """After any sequence of re-pricings, the total is that of the last prices on every call."""
    ledger = open_ledger("memory://")
    booked(ledger, *(call(n, None if cost is None else dollars(cost)) for n, cost in enumerate(costs)))
    for price in prices:
        reprice(ledger, at_price(price))
    entries = list(ledger.entries())
    assert sum((entry.cost.total_nano for entry in entries if entry.cost), 0) == prices[-1] * 10**9 * len(costs)
