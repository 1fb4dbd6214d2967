"""How tiers have done by a ledger's outcomes: who is counted, who is ranked first, who is named."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.errors import QueryError, RoutingWarning
from langchain_agentcost.ledger import Entry, Ledger, open_ledger
from langchain_agentcost.ledger.entry import PRICED
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.routed import ROLE, TIER
from langchain_agentcost.routing.records import dominated, doubts, near_constant, ranked, records_from
from langchain_agentcost.routing.tier import Record, Tier
from langchain_agentcost.testing import FakeMeteredChatModel

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
_numbers = count(1)


def tier(name: str, record: Record | None = None) -> Tier:
    """A tier whose model is named after it."""
    return Tier(name, FakeMeteredChatModel(model=f"{name}-model"), record=record)


TIERS = (tier("small"), tier("large"))


def call(run: str | None, of: str | None = None, nano: int | None = 10, **fields: Any) -> Entry:
    """A call: of a tier where it was routed, else of the model that is named."""
    role, number = fields.pop("role", "answer"), next(_numbers)
    own = {name: fields.pop(name) for name in list(fields) if name in Entry.__dataclass_fields__}
    tags = () if of is None else ((ROLE, role), (TIER, of))
    cost = None if nano is None else Cost(nano, output_nano=nano)
    who = Attribution(run=run, tags=tags, **fields)
    return Entry(f"c{number}", own.pop("kind", "llm"), START + timedelta(seconds=number), who, cost=cost, **own)


def outcome(name: str = "resolved", *, success: bool | None = True, **of: Any) -> Entry:
    """A recorded outcome."""
    return call(of.pop("run", None), nano=None, kind="outcome", name=name, success=success, **of)


def run(run: str, *tiers: str, success: bool | None = True, nano: int = 10) -> list[Entry]:
    """A run that these tiers answered, and its outcome."""
    return [*(call(run, of, nano) for of in tiers), outcome(run=run, success=success)]


def ledger_of(entries: Iterable[Entry]) -> Ledger:
    """A ledger in memory with these entries."""
    ledger = open_ledger("memory://")
    for entry in entries:
        ledger.append(entry)
    return ledger


def records(*entries: Entry, **options: Any) -> dict[str, Record | None]:
    """What is measured, by tier."""
    return {tier.name: tier.record for tier in records_from(ledger_of(entries), TIERS, **options)}


def test_a_run_counts_for_the_tier_that_answered_it() -> None:
    """All that was spent in it is its cost: tools and what no router chose, too."""
    lonely = [*run("a", "small", "small"), call("a", nano=5, kind="tool"), call("a", nano=3, model="embedder")]
    found = records(*lonely, *run("b", "small", success=False), *run("c", "large", nano=100))
    assert found == {"small": Record(runs=2, solved=1, nano=38), "large": Record(runs=1, solved=1, nano=100)}


def test_a_run_of_several_tiers_counts_for_none() -> None:
    """A draft and its escalation, and a router that changed its mind, say nothing of one tier; that is said."""
    entries = [call("a", "small", role="draft"), call("a", "large", role="escalation"), outcome(run="a")]
    with pytest.warns(RoutingWarning, match="2 runs with an outcome were answered by several tiers"):
        assert records(*entries, *run("b", "small", "large")) == {"small": None, "large": None}


def test_a_model_of_another_tier_beside_the_router_makes_a_run_mixed() -> None:
    """A planner that always asks the large model had a part in what the small one achieved."""
    with pytest.warns(RoutingWarning):
        assert records(*run("a", "small"), call("a", model="large-model"))["small"] is None


def test_comparison_is_no_part_of_a_run() -> None:
    """Shadow calls neither answer nor count as what the run cost."""
    entries = [*run("a", "small"), call("a", "large", 500, role="shadow")]
    assert records(*entries, call("a", nano=900, purpose="evaluation"))["small"] == Record(runs=1, solved=1, nano=10)


def test_a_judge_is_paid_for_and_answers_nothing() -> None:
    """What checks a tier's drafts is part of what its answers cost, whichever model it is."""
    judge = call("a", "large", 7, role="judge", purpose="verification")
    assert records(call("a", "small", role="draft"), judge, outcome(run="a"))["small"] == Record(
        runs=1, solved=1, nano=17
    )


def test_a_tier_that_failed_to_answer_did_not_answer() -> None:
    """A call that the provider refused makes no run mixed, and its cost counts."""
    entries = [*run("a", "large", nano=100), call("a", "small", 7, status="error")]
    assert records(*entries)["large"] == Record(runs=1, solved=1, nano=107)


def test_runs_from_before_the_router_count_by_their_model() -> None:
    """The name that was asked for tells the tier, also where a dated one answered; a stranger's runs count for none."""
    dated = call("a", model="small-model-2026-01-01", name="small-model")
    stranger = [call("b", model="other"), outcome(run="b")]
    both = [call("c", model="small-model"), call("c", model="other"), outcome(run="c")]
    assert records(dated, outcome(run="a"), *stranger, *both)["small"] == Record(runs=1, solved=1, nano=10)


def test_a_name_that_two_tiers_share_tells_nothing() -> None:
    """Two tiers of one model, with other settings, are told apart by the router alone."""
    model = FakeMeteredChatModel(model="same")
    ledger = ledger_of([call("a", model="same"), outcome(run="a")])
    assert [found.record for found in records_from(ledger, [Tier("low", model), Tier("high", model)])] == [None, None]


def test_a_call_without_a_price_makes_the_cost_unknown() -> None:
    """Unknown is not 0; a price that came later makes it known."""
    entries = [*run("a", "small"), call("a", "small", None)]
    assert records(*entries)["small"] == Record(runs=1, solved=1, nano=None)
    priced = call("a", "small", 4, kind="correction", name=PRICED)
    assert records(*entries, priced)["small"] == Record(runs=1, solved=1, nano=14)


def test_the_outcome_of_a_session_is_one_run() -> None:
    """What was recorded for a session is about all its workflow runs together."""
    entries = [call("a", "small", session="s"), call("b", "small", session="s"), outcome(success=False, session="s")]
    assert records(*entries)["small"] == Record(runs=1, solved=0, nano=20)


def test_only_the_outcome_that_is_asked_for_says_something() -> None:
    """Other names count where they are asked for; of all names, all have to say so; no verdict is none."""
    entries = [*run("a", "small"), outcome("liked", success=False, run="a"), *run("b", "small", success=None)]
    assert records(*entries)["small"] == Record(runs=1, solved=1, nano=10)
    assert records(*entries, outcome=None)["small"] == Record(runs=1, solved=0, nano=10)
    assert records(*entries, outcome="sold")["small"] is None


def test_the_latest_outcome_counts() -> None:
    """An outcome that was corrected is what was said last."""
    assert records(*run("a", "small"), outcome(success=False, run="a"))["small"] == Record(runs=1, solved=0, nano=10)


def test_a_record_that_is_there_stays_where_nothing_is_measured() -> None:
    """Measured on examples before, and no run in the ledger: what is known is kept."""
    known = Record(runs=40, solved=30, nano=400)
    [found] = records_from(ledger_of([]), [tier("small", known)])
    assert found.record == known


def test_time_and_conditions_narrow_the_spending() -> None:
    """Only what was spent then, by them, counts; a column that does not exist is an error."""
    entries = [*run("a", "small"), call("a", "small", 90, tenant="acme")]
    assert records(*entries, where={"tenant": "acme"})["small"] == Record(runs=1, solved=1, nano=90)
    assert records(*entries, until=START)["small"] is None
    with pytest.raises(QueryError):
        records(*entries, where={"nonsense": "x"})


def test_tiers_are_ranked_by_what_a_success_costs() -> None:
    """The figures are of SWE-bench (facts on routing): the cheaper list price is the dearer success."""
    cheap = tier("devstral", Record(runs=500, solved=269, nano=500 * 676_000_000))
    dear = tier("opus", Record(runs=500, solved=372, nano=500 * 721_000_000))
    mini = tier("mini", Record(runs=500, solved=299, nano=500 * 35_000_000))
    never, unknown, new = (
        tier("a", Record(runs=9, solved=0, nano=9)),
        tier("b", Record(runs=9, solved=9, nano=None)),
        tier("c"),
    )
    order = ranked([never, unknown, cheap, new, dear, mini])
    assert [found.name for found in order] == ["mini", "opus", "devstral", "a", "b", "c"]
    assert dominated([mini, cheap, dear]) == ()
    assert doubts([mini, cheap, dear]) == (
        "'devstral' costs less a run than 'opus' and more a success: 269 of 500 runs succeeded at $0.676 a run, "
        "against 372 of 500 at $0.721.",
    )


def test_a_tier_that_a_stronger_one_beats_at_no_more_cost_is_named() -> None:
    """One sentence for each, however many beat it."""
    weak = tier("weak", Record(runs=100, solved=40, nano=100_000_000_000))
    mid, strong = (tier(name, Record(runs=100, solved=70, nano=90_000_000_000)) for name in ("mid", "strong"))
    assert dominated([weak, mid, strong]) == (
        "'weak' does worse than 'mid' and costs no less: 40 of 100 runs succeeded at $1.00 a run, against 70 of 100 at "
        "$0.90.",
    )


def test_a_stronger_tier_with_the_harder_work_is_not_named() -> None:
    """What a router gives a strong tier is harder: that it does worse there says nothing."""
    easy = tier("small", Record(runs=100, solved=95, nano=1_000))
    hard = tier("large", Record(runs=100, solved=40, nano=100_000))
    assert doubts([easy, hard]) == ()


@pytest.mark.parametrize(
    ("weak", "strong"),
    [
        (Record(runs=2, solved=0, nano=10), Record(runs=2, solved=2, nano=5)),
        (Record(runs=40, solved=20, nano=10), Record(runs=40, solved=22, nano=5)),
        (Record(runs=100, solved=40, nano=None), Record(runs=100, solved=90, nano=5)),
        (Record(runs=100, solved=40, nano=10), None),
    ],
    ids=["two lucky runs", "within noise", "a cost not known", "never measured"],
)
def test_what_is_not_sure_is_not_said(weak: Record, strong: Record | None) -> None:
    """Too few runs, too small a difference or an unknown cost name no tier."""
    assert doubts([tier("weak", weak), tier("strong", strong)]) == ()


@pytest.mark.parametrize(
    ("counts", "named"),
    [({"a": 49}, False), ({"a": 50}, True), ({"a": 95, "b": 5}, False), ({"a": 96, "b": 4}, True), ({}, False)],
)
def test_a_router_that_nearly_always_says_the_same_is_named(counts: dict[str, int], named: bool) -> None:
    """More than 95 % of at least 50 decisions."""
    assert (near_constant(counts) is not None) == named


_records = st.none() | st.builds(
    lambda runs, solved, nano: Record(runs=runs, solved=min(runs, solved), nano=nano),
    st.integers(0, 300),
    st.integers(0, 300),
    st.none() | st.integers(0, 10**9),
)


@given(st.lists(_records, max_size=5))
def test_rank_and_doubts_hold_for_any_records(known: list[Record | None]) -> None:
    """The order loses no tier and costs a success never less further on; no tier is named dominated twice."""
    tiers = [tier(f"t{number}", record) for number, record in enumerate(known)]
    order = ranked(tiers)
    assert sorted(found.name for found in order) == [found.name for found in tiers]
    costs = [found.record.usd_per_solved if found.record else None for found in order]
    stated = [cost for cost in costs if cost is not None]
    assert stated == sorted(stated)
    assert costs[: len(stated)] == stated
    assert len(dominated(tiers)) <= max(0, len(tiers) - 1)
