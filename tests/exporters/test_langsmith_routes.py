"""What a router decided, on the LangSmith runs of its calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tracers.langchain import LangChainTracer
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost.errors import MeteringWarning
from langchain_agentcost.routed import POLICY, ROLE, ROUTE, TIER, Role, Routed
from langchain_agentcost.testing.collector import LangSmithCollector
from tests.exporters.langsmith_world import Canned, Traced, costs, metadata

SECRET = "my account number is 4711"  # noqa: S105  # what a person wrote, not a password


@pytest.fixture
def traced() -> Iterator[Traced]:
    """A tracer on a collector."""
    with LangSmithCollector(zstd=True) as collector:
        yield Traced(collector)


def told(role: Role = "answer", **other: Any) -> Routed:
    """What a router tells of a call."""
    fields: dict[str, Any] = {
        "id": "d1",
        "tier": "small",
        "policy": "step>sticky",
        "reasons": ("a step of this kind is extraction", "the thread is warm there"),
        "expected_nano": {"small": 1_400, "mid": None, "frontier": 14_000},
        "baseline": "frontier",
        "baseline_nano": 13_000,
        "calibration": "c1",
    }
    return Routed(role=role, **{**fields, **other})


def graph_of(*calls: Routed) -> Any:
    """A graph whose node makes the calls of a decision, as a router makes them."""

    def node(state: MessagesState) -> dict[str, Any]:
        config = [{"metadata": routed.as_metadata(), "tags": [routed.tag]} for routed in calls]
        return {"messages": [Canned().invoke(state["messages"], one) for one in config]}  # type: ignore[arg-type]

    return StateGraph(MessagesState).add_node("ask", node).add_edge(START, "ask").compile(name="desk")


def asked(traced: Traced, *calls: Routed, tracer: Any = None) -> list[Any]:
    """The model runs of a graph that makes these calls."""
    config = {"callbacks": [tracer or traced.tracer]}
    graph_of(*calls).invoke({"messages": [HumanMessage(SECRET)]}, config)
    return traced.runs("llm")


def test_the_decision_is_on_the_run_of_its_call(traced: Traced) -> None:
    """Tier, policy, reasons, alternatives and expected costs are flat metadata, and the tier is a tag."""
    [run] = asked(traced, told())
    assert run["tags"].count("router:small") == 1
    shown = {name: value for name, value in metadata(run).items() if name.startswith("agentcost_route_")}
    assert shown == {
        "agentcost_route_id": "d1",
        "agentcost_route_reasons": "a step of this kind is extraction; the thread is warm there",
        "agentcost_route_alternatives": "mid, frontier",
        "agentcost_route_baseline": "frontier",
        "agentcost_route_baseline_usd": 0.000013,
        "agentcost_route_calibration": "c1",
        "agentcost_route_usd_small": 0.0000014,
        "agentcost_route_usd_frontier": 0.000014,
    }
    assert {name: metadata(run)[name] for name in (TIER, POLICY, ROLE)} == {
        TIER: "small", POLICY: "step>sticky", ROLE: "answer"
    }  # fmt: skip
    assert Routed.from_metadata(metadata(run)) == told()
    assert not [name for name in metadata(run) if name.startswith("agentcost_tag_")]
    assert costs(run)["total_cost"]


def test_a_draft_and_its_escalation_are_told_apart(traced: Traced) -> None:
    """Each run has its own tier and role, and both have the decision's id."""
    runs = asked(traced, told("draft"), told("escalation", tier="frontier", score=0.25, propensity=0.5))
    assert [[tag for tag in run["tags"] if tag.startswith("router:")] for run in runs] == [
        ["router:small"], ["router:frontier"]
    ]  # fmt: skip
    assert [metadata(run)[ROLE] for run in runs] == ["draft", "escalation"]
    assert {metadata(run)["agentcost_route_id"] for run in runs} == {"d1"}
    assert (metadata(runs[1])["agentcost_route_score"], metadata(runs[1])["agentcost_route_propensity"]) == (0.25, 0.5)


def test_a_tag_that_the_router_set_is_not_doubled(traced: Traced) -> None:
    """A router that tags its calls itself gets one tag."""
    config: Any = {"callbacks": [traced.tracer], "metadata": told().as_metadata(), "tags": ["router:small", "mine"]}
    Canned().invoke("Hi", config)
    [run] = traced.runs("llm")
    assert sorted(run["tags"]) == ["mine", "router:small"]


def test_nothing_of_the_decision_is_text_of_the_prompt(traced: Traced) -> None:
    """What the person wrote stands in the inputs, and in no metadata or tag."""
    [run] = asked(traced, told())
    assert SECRET in json.dumps(run["inputs"])
    assert SECRET not in json.dumps([run["extra"], run["tags"]])


def test_other_runs_show_no_decision(traced: Traced) -> None:
    """A call that no router made, and the chain around one, have none of it."""
    asked(traced, told())
    Canned().invoke("Hi", {"callbacks": [traced.tracer]})
    others = [run for run in traced.runs() if ROUTE not in metadata(run)]
    assert len(others) >= 3
    assert not [name for run in others for name in metadata(run) if "route" in name]
    assert not [tag for run in others for tag in run["tags"] or () if tag.startswith("router:")]


def test_langchains_own_tracer_shows_what_the_router_wrote(traced: Traced) -> None:
    """Without our tracer the nested metadata arrives whole."""
    tracer = LangChainTracer(client=traced.client, project_name="plain")
    [run] = asked(traced, told(), tracer=tracer)
    assert Routed.from_metadata(metadata(run)) == told()


def test_what_no_router_wrote_leaves_the_trace_whole(traced: Traced) -> None:
    """The run goes out with its costs; the fault is told once."""
    nonsense = {**told().as_metadata(), ROUTE: {"id": "1", "nonsense": 2}}
    with pytest.warns(MeteringWarning):
        Canned().invoke("Hi", {"callbacks": [traced.tracer], "metadata": nonsense})
    [run] = traced.runs("llm")
    assert costs(run)["total_cost"]
    assert metadata(run)["agentcost_step"] == 1
