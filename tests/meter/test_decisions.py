"""What a router tells of its calls, in the ledger: one decision however many calls, and no faults of it in the run."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import CallbackManager
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost import Budget, BudgetExceeded, CostMeter, Entry, MeteringWarning
from langchain_agentcost.attribution import ROUTING_TAGS
from langchain_agentcost.finops import reprice
from langchain_agentcost.meter.decisions import routed_of
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.routed import POLICY, ROLE, ROLES, ROUTE, TIER, Role, Routed
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

PRICES = {"models": [{"model": "little", "input": "1", "output": "4"}, {"model": "big", "input": "10", "output": "40"}]}


def model_of(name: str = "little", **options: Any) -> FakeMeteredChatModel:
    """A model that takes 1,000 tokens and gives 100."""
    return FakeMeteredChatModel(model=name, counts=FakeCounts(1_000, 100), **options)


def told(role: Role = "answer", **other: Any) -> Routed:
    """What a router tells of a call of one decision."""
    fields: dict[str, Any] = {
        "id": "d1",
        "tier": "frontier" if role == "escalation" else "small",
        "policy": "step",
        "reasons": ("a step of this kind is extraction",),
        "expected_nano": {"small": 1_400_000, "mid": None, "frontier": 14_000_000},
        "baseline": "frontier",
        "baseline_nano": 13_000_000,
        "calibration": "c1",
    }
    return Routed(role=role, **{**fields, **other})


def asked(meter: CostMeter, *calls: Routed, model: FakeMeteredChatModel | None = None) -> None:
    """Make the calls of one run, each as a router makes it."""

    def work(question: str, config: RunnableConfig) -> str:
        for routed in calls:
            chosen = model or model_of("big" if routed.tier == "frontier" else "little")
            chosen.invoke(question, {"metadata": routed.as_metadata()})
        return "done"

    RunnableLambda(work, name="desk").invoke("Hi", {"callbacks": meter.callbacks})


def booked(meter: CostMeter, kind: str) -> Sequence[Entry]:
    """The entries of a kind, in order."""
    meter.journal.flush()
    return [*meter.ledger.entries({"kind": kind})]


@pytest.fixture
def meter() -> CostMeter:
    """A meter with easy prices."""
    return CostMeter(prices=PRICES)


def test_a_decision_is_one_entry_without_a_cost(meter: CostMeter) -> None:
    """It has the policy, the baseline, the tags and all that was told; totals are those of the call alone."""
    asked(meter, told())
    [call], [decision] = booked(meter, "llm"), booked(meter, "decision")
    assert (decision.name, decision.value, decision.cost) == ("step", Decimal("0.013"), None)
    assert (decision.parent_id, decision.decision, call.decision) == (call.id, "d1", "d1")
    assert decision.routed == told()
    assert dict(call.attribution.tags) == {TIER: "small", POLICY: "step", ROLE: "answer"}
    assert decision.attribution == call.attribution
    [total] = meter.ledger.totals()
    assert (total.calls, total.unpriced_calls, total.cost.total_nano) == (1, 0, 1_400_000)
    assert [row.key for row in meter.report(by=f"tag:{TIER}").rows] == [("small",)]


def test_a_draft_and_its_escalation_are_one_decision(meter: CostMeter) -> None:
    """Both calls name it, each with its own tier; what only compares or judges names it and makes none."""
    asked(meter, told("draft"), told("escalation"), told("shadow"), told("judge"))
    [decision] = booked(meter, "decision")
    assert {call.decision for call in booked(meter, "llm")} == {"d1"}
    assert len(booked(meter, "llm")) == 4
    assert decision.routed is not None
    assert decision.routed.role == "draft"


def test_shadow_calls_alone_make_no_decision(meter: CostMeter) -> None:
    """A call for comparison decides nothing."""
    asked(meter, told("shadow"), told("judge"))
    assert not booked(meter, "decision")


def test_calls_in_runs_of_their_own_are_one_decision(meter: CostMeter) -> None:
    """Outside a chain every call is a root run; what was decided for one is no tag of what the run achieved."""
    for routed in (told("draft"), told("escalation")):
        model_of().invoke("Hi", {"callbacks": meter.callbacks, "metadata": routed.as_metadata()})
    runs = {call.attribution.run for call in booked(meter, "llm")}
    assert len(runs) == 2
    assert len(booked(meter, "decision")) == 1
    for run in runs:
        meter.record_outcome("resolved", success=True, run=run)
    assert [entry.attribution.tags for entry in booked(meter, "outcome")] == [(), ()]


def test_a_call_that_is_not_routed_has_none(meter: CostMeter) -> None:
    """Nothing is added to other calls: no decision, no tag."""
    model_of().invoke("Hi", {"callbacks": meter.callbacks})
    [call] = booked(meter, "llm")
    assert (call.decision, call.routed, call.attribution.tags) == (None, None, ())
    assert not booked(meter, "decision")


async def test_async_streams_are_booked_alike(meter: CostMeter) -> None:
    """A streamed async call books its decision once."""
    config: RunnableConfig = {"callbacks": meter.callbacks, "metadata": told().as_metadata()}
    assert [chunk async for chunk in model_of().astream("Hi", config)]
    assert len(booked(meter, "decision")) == 1


def test_a_denied_call_books_no_decision() -> None:
    """A budget that holds a call back leaves nothing in the ledger."""
    with CostMeter(prices=PRICES, budgets=[Budget(usd="0.000001", per="run")]) as meter:
        with pytest.raises(BudgetExceeded):
            asked(meter, told())
        assert not booked(meter, "decision")


def test_an_answer_from_langchains_cache_books_no_decision(meter: CostMeter) -> None:
    """What LangChain's cache answered costs nothing on any tier: the saving is the cache's alone."""
    model = model_of(cache=InMemoryCache())
    asked(meter, told(), model=model)
    asked(meter, told(id="d2"), model=model)
    assert [decision.decision for decision in booked(meter, "decision")] == ["d1"]
    [hit] = booked(meter, "cache_hit")
    assert hit.decision == "d2"


def test_a_failed_call_keeps_its_decision(meter: CostMeter) -> None:
    """A draft that the provider refused was decided all the same; its escalation changes nothing of it."""
    with pytest.raises(RuntimeError):
        asked(meter, told("draft"), model=model_of(failures={1: RuntimeError("overloaded")}))
    [call], [decision] = booked(meter, "llm"), booked(meter, "decision")
    assert (call.status, decision.status, decision.parent_id) == ("error", "ok", call.id)


def test_a_model_that_passes_the_call_on_is_decided_once(meter: CostMeter) -> None:
    """Two model calls within one another that share the metadata are one call with one decision."""

    class Outer(FakeMeteredChatModel):
        inner: Any = None

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
            inside = CallbackManager(run_manager.inheritable_handlers, parent_run_id=run_manager.run_id)
            answer = self.inner.invoke(messages, {"callbacks": inside, "metadata": run_manager.metadata})
            made = super()._generate(messages, stop, run_manager, **kwargs)
            made.generations[0].message = answer
            return made

    asked(meter, told(), model=Outer(inner=model_of()))
    [call], [decision] = booked(meter, "llm"), booked(meter, "decision")
    assert decision.parent_id == call.id


def test_tags_of_the_run_stay_beside_those_of_the_router() -> None:
    """A tag that only the run's `configurable` states is kept on a routed call in a graph."""
    meter = CostMeter(prices=PRICES, attribution={"tenant": "customer"})
    meter.books = type(meter.books)(meter.prices, meter.attribution.with_tags(["team"]), meter.journal)

    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model_of().invoke(state["messages"], {"metadata": told().as_metadata()})]}

    graph = StateGraph(MessagesState).add_node("ask", node).add_edge(START, "ask").compile(name="desk")
    config: RunnableConfig = {"callbacks": meter.callbacks, "configurable": {"team": "red"}}
    graph.invoke({"messages": [HumanMessage("Hi")]}, config)
    [call], [decision] = booked(meter, "llm"), booked(meter, "decision")
    assert dict(call.attribution.tags) == {"team": "red", TIER: "small", POLICY: "step", ROLE: "answer"}
    assert (call.attribution.node, decision.attribution.node) == ("ask", "ask")


@pytest.mark.parametrize(
    "route",
    [{"id": "1"}, {"id": "1", "baseline": "f", "nonsense": 1}, {"id": 7, "baseline": "f"},
     {"id": "1", "baseline": "f", "expected_nano": {"small": "much"}}, {"id": "1", "baseline": "f", "score": "high"},
     {"id": "1", "baseline": "f", "expected_nano": 7}, {"id": "1", "baseline": "f", "reasons": 7}],
)  # fmt: skip
def test_what_no_router_wrote_is_a_warning(meter: CostMeter, route: dict[str, Any]) -> None:
    """The call is made and booked, without a decision."""
    metadata = {**told().as_metadata(), ROUTE: route}
    with pytest.warns(MeteringWarning, match="a routing decision"):
        answer = model_of().invoke("Hi", {"callbacks": meter.callbacks, "metadata": metadata})
    assert answer.text == "OK"
    assert [call.decision for call in booked(meter, "llm")] == [None]
    assert not booked(meter, "decision")


def test_a_role_that_is_none_is_a_warning_under_limits_too() -> None:
    """Limits do not hold a call back because of what a router tells of it."""
    with CostMeter(prices=PRICES, budgets=[Budget(usd=1, per="run")]) as meter:
        metadata = {**told().as_metadata(), ROLE: "boss"}
        with pytest.warns(MeteringWarning, match="a routing decision"):
            assert model_of().invoke("Hi", {"callbacks": meter.callbacks, "metadata": metadata}).text == "OK"


def test_a_correction_names_the_decision_of_its_call(meter: CostMeter) -> None:
    """A re-pricing is booked to the decision that the call was made for."""
    asked(meter, told())
    reprice(meter.ledger, PriceBook({"models": [{"model": "little", "input": "2", "output": "4"}]}))
    [correction] = booked(meter, "correction")
    assert correction.decision == "d1"


def test_decisions_survive_in_a_file(tmp_path: Path) -> None:
    """A file gives back what was told, and its sums per day grow with tiers, policies and roles alone."""
    with CostMeter(f"sqlite:///{tmp_path / 'costs.db'}", prices=PRICES) as meter:
        for number in range(20):
            asked(meter, told(id=f"d{number}", baseline_nano=number))
        decisions = booked(meter, "decision")
        assert [decision.routed for decision in decisions] == [told(id=f"d{n}", baseline_nano=n) for n in range(20)]
        assert len({decision.attribution.tags for decision in decisions}) == 1


def test_the_tags_are_those_that_routers_write() -> None:
    """Attribution stands below the router's contract, so the names stand in both."""
    assert ROUTING_TAGS == (TIER, POLICY, ROLE)


_text = st.text(max_size=300)
_nano = st.none() | st.integers(0, 10**12)


@given(
    st.builds(
        Routed,
        id=_text,
        tier=_text,
        policy=_text,
        role=st.sampled_from(ROLES),
        reasons=st.lists(_text, max_size=12).map(tuple),
        expected_nano=st.dictionaries(_text, _nano, max_size=40),
        baseline=_text,
        baseline_nano=_nano,
        score=st.none() | st.floats(-1, 1),
        propensity=st.floats(0, 1),
        calibration=st.none() | _text,
    )
)
def test_what_is_kept_is_bounded_and_kept_again_unchanged(routed: Routed) -> None:
    """Whatever a router tells is cut to a bounded size without control characters, and once cut it stays."""
    kept = routed_of(routed.as_metadata())
    assert kept is not None
    assert routed_of(kept.as_metadata()) == kept
    assert all(text.isprintable() and len(text) <= 200 for text in (kept.id, kept.tier, *kept.reasons))
    assert (len(kept.reasons) <= 8, len(kept.expected_nano) <= 32) == (True, True)
