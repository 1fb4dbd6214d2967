"""The tracer on real graphs, through a real client, read back from the wire."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langsmith import get_current_run_tree, traceable, tracing_context
from pydantic import BaseModel

from langchain_agentcost.exporters.langsmith import LangSmithCostTracer
from langchain_agentcost.testing.collector import LangSmithCollector
from tests.exporters.langsmith_world import (
    CACHED,
    CACHED_COST,
    QUESTION,
    RUNS_OF_THE_DESK,
    Canned,
    Streaming,
    Traced,
    book,
    costs,
    desk,
    exactly,
    metadata,
    search,
)

WIRES = [{"zstd": True}, {"zstd": False}, {"multipart": False}]


@pytest.fixture
def collector() -> Iterator[LangSmithCollector]:
    """A collector that takes compressed traces, as the hosted service does."""
    with LangSmithCollector(zstd=True) as running:
        yield running


@pytest.fixture
def traced(collector: LangSmithCollector) -> Traced:
    """A tracer on that collector."""
    return Traced(collector)


async def _drive(graph: Any, how: str, config: Any) -> None:
    """Run a graph in one of the ways that people run graphs."""
    if how == "invoke":
        graph.invoke(QUESTION, config)
    elif how == "ainvoke":
        await graph.ainvoke(QUESTION, config)
    elif how == "stream":
        list(graph.stream(QUESTION, config))
    elif how == "batch":
        graph.batch([QUESTION], config)
    else:
        _ = [chunk async for chunk in graph.astream(QUESTION, config, stream_mode="messages")]


@pytest.mark.parametrize("wire", WIRES, ids=["zstd", "plain", "json"])
@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "batch", "messages"])
async def test_every_model_run_carries_its_cost_however_the_graph_is_run(wire: dict[str, Any], how: str) -> None:
    """The cost arrives on both model runs, in every encoding and in every way to run a graph."""
    with LangSmithCollector(**wire) as collector:
        traced = Traced(collector)
        await _drive(desk(Streaming()), how, {"callbacks": traced.callbacks})
        assert [exactly(costs(run)["total_cost"]) for run in traced.runs("llm")] == [CACHED_COST, CACHED_COST]
        assert len(traced.runs()) == RUNS_OF_THE_DESK
        encodings = {operation.encoding for operation in collector.operations()}
        assert encodings == {"zstd" if wire.get("zstd") else "multipart" if wire.get("multipart", True) else "json"}


def test_input_output_and_details_sum_to_the_total(traced: Traced) -> None:
    """Both sides sum to the total, and the details name the cached part."""
    desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks})
    assert costs(traced.runs("llm")[0]) == {
        "input_cost": 0.0008856,
        "output_cost": 0.0003,
        "total_cost": 0.0011856,
        "input_cost_details": {"cache_read": 0.0006144},
    }


def test_token_counts_stay_as_the_provider_reported_them(traced: Traced) -> None:
    """Costs are added to the counts; nothing of them changes."""
    desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks})
    usage = metadata(traced.runs("llm")[0])["usage_metadata"]
    assert {key: value for key, value in usage.items() if "cost" not in key} == CACHED


def test_a_chain_run_never_carries_a_cost(traced: Traced) -> None:
    """LangSmith adds children up, so a cost on a chain run would count twice."""
    desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks})
    chains = traced.runs("chain")
    assert len(chains) == 7
    assert all("usage_metadata" not in metadata(run) for run in chains)


def test_the_application_sees_the_message_as_the_model_gave_it(traced: Traced) -> None:
    """Costs go to LangSmith, not into the state of the graph."""
    answer = desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks})["messages"][-1]
    assert answer.usage_metadata == CACHED


def test_a_tool_with_a_price_carries_it(traced: Traced) -> None:
    """A tool run has a total and nothing else."""
    desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks})
    assert [costs(run) for run in traced.runs("tool")] == [{"total_cost": 0.004}]


def test_a_tool_without_a_price_carries_nothing(collector: LangSmithCollector) -> None:
    """No price is no cost, not a cost of 0."""
    traced = Traced(collector, prices=type(book())())
    search.invoke({"query": "orders"}, {"callbacks": traced.callbacks})
    assert "usage_metadata" not in metadata(traced.runs("tool")[0])


def test_a_cost_that_a_tool_states_itself_wins(traced: Traced) -> None:
    """What the user sets on the current run is kept, and counted in the summary."""

    @tool("search")
    def stating(query: str) -> str:
        """Search, and say what it cost."""
        current = get_current_run_tree()
        assert current is not None
        current.set(usage_metadata={"total_cost": 0.25})
        return query

    graph = StateGraph(MessagesState).add_node("only", lambda state: stating.invoke({"query": "x"}) and {})
    graph.add_edge(START, "only").compile().invoke(QUESTION, {"callbacks": traced.callbacks})
    assert costs(traced.runs("tool")[0]) == {"total_cost": 0.25}
    assert metadata(traced.root())["agentcost_summary_total_usd"] == 0.25


def test_a_cost_that_comes_with_the_answer_wins(traced: Traced) -> None:
    """Some providers bill in their answer; that bill is right."""
    Canned(usage={**CACHED, "input_cost": 0.5, "output_cost": 0.25}).invoke("Hi", {"callbacks": traced.callbacks})
    (run,) = traced.runs()
    assert costs(run) == {"input_cost": 0.5, "output_cost": 0.25}
    assert metadata(run)["agentcost_summary_total_usd"] == 0.75


def test_the_model_that_answered_is_priced(traced: Traced) -> None:
    """A router may answer with another model than was asked for."""
    Canned(model="asked-for", answered_by="small").invoke("Hi", {"callbacks": traced.callbacks})
    assert exactly(costs(traced.runs()[0])["total_cost"]) == CACHED_COST


def test_the_model_asked_for_is_priced_where_the_answer_names_one_without_a_price(traced: Traced) -> None:
    """A provider's internal name must not lose the price."""
    Canned(model="small", answered_by="internal-7").invoke("Hi", {"callbacks": traced.callbacks})
    assert exactly(costs(traced.runs()[0])["total_cost"]) == CACHED_COST


def test_a_fee_per_request_is_part_of_the_input_side(traced: Traced) -> None:
    """LangSmith has two sides; a fee goes to the input and is named in its details."""
    usage = {"input_tokens": 1000, "output_tokens": 1000, "total_tokens": 2000}
    Canned(model="with-fees", usage=usage).invoke("Hi", {"callbacks": traced.callbacks})
    assert costs(traced.runs()[0]) == {
        "input_cost": 0.006,
        "output_cost": 0.002,
        "total_cost": 0.008,
        "input_cost_details": {"request": 0.005},
    }


def test_a_priority_call_is_priced_by_its_prefixed_keys(traced: Traced) -> None:
    """OpenAI's priority tier writes its details with a prefix, and costs more."""
    usage = {**CACHED, "input_token_details": {"priority_cache_read": 8192, "priority": 1808}}
    Canned(usage=usage).invoke("Hi", {"callbacks": traced.callbacks})
    (run,) = traced.runs()
    assert exactly(costs(run)["total_cost"]) == 2 * CACHED_COST
    assert metadata(run)["agentcost_service_tier"] == "priority"


def test_a_model_without_a_price_has_no_cost_and_says_so(traced: Traced) -> None:
    """Unknown is not 0: no cost is sent, a label is, and the summary counts it."""
    with pytest.warns(match="No price is known for 'nobodys-model'"):
        Canned(model="nobodys-model").invoke("Hi", {"callbacks": traced.callbacks})
    (run,) = traced.runs()
    assert costs(run) == {}
    assert metadata(run)["agentcost_unpriced"] is True
    assert metadata(run)["agentcost_summary_unpriced_calls"] == 1


def test_several_generations_of_one_call_are_billed_once(traced: Traced) -> None:
    """With n=3 every message repeats the usage of the response."""
    Canned(copies=3).generate([[AIMessage("Hi")]], callbacks=traced.callbacks)
    usage = metadata(traced.runs()[0])["usage_metadata"]
    assert exactly(usage["total_cost"]) == CACHED_COST
    assert usage["total_tokens"] == CACHED["total_tokens"]


def test_structured_output_carries_its_cost(traced: Traced) -> None:
    """The model below a parser is a model run like any other."""

    class Verdict(BaseModel):
        """A verdict."""

        good: bool

    calls = [{"name": "Verdict", "args": {"good": True}, "id": "1", "type": "tool_call"}]

    class Structured(Canned):
        """A model that takes tools."""

        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self.bind(tools=tools)

    made = Structured(calls=calls).with_structured_output(Verdict).invoke("Good?", {"callbacks": traced.callbacks})
    assert made == Verdict(good=True)
    assert [exactly(costs(run)["total_cost"]) for run in traced.runs("llm")] == [CACHED_COST]


def test_the_root_summary_is_the_sum_over_the_trace(traced: Traced) -> None:
    """Whoever filters by root runs sees what LangSmith would add up."""
    desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks})
    parts = [exactly(costs(run)["total_cost"]) for run in traced.runs() if costs(run)]
    found = metadata(traced.root())
    assert exactly(found["agentcost_summary_total_usd"]) == sum(parts) == Decimal("0.0063712")
    assert found["agentcost_summary_llm_calls"] == 2
    assert found["agentcost_summary_tool_usd"] == 0.004
    assert found["agentcost_summary_cache_read_share"] == 0.8192


def test_nothing_of_a_finished_trace_is_kept(traced: Traced) -> None:
    """A process can run for months."""
    graph = desk(Canned())
    for _ in range(3):
        graph.invoke(QUESTION, {"callbacks": traced.callbacks})
    assert traced.tracer.desk.open_runs == 0


def test_a_clone_that_langgraph_makes_keeps_its_prices(traced: Traced) -> None:
    """LangGraph clones the tracer to hand `configurable` down; the clones share prices and open traces."""
    clone = traced.tracer.copy_with_metadata_defaults(metadata={"a": "b"}, tags=["t"])
    assert isinstance(clone, LangSmithCostTracer)
    assert clone is not traced.tracer
    assert clone.desk is traced.tracer.desk
    desk(Canned()).invoke(QUESTION, {"callbacks": [clone], "configurable": {"thread_id": "7"}})
    assert [exactly(costs(run)["total_cost"]) for run in traced.runs("llm")] == [CACHED_COST, CACHED_COST]


def test_the_environments_own_tracer_is_not_added(
    collector: LangSmithCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With tracing on in the environment, every run is posted once, and with its cost."""
    for name, value in collector.environment().items():
        monkeypatch.setenv(name, value)
    traced = Traced(collector)
    with tracing_context(enabled=True, client=traced.client):
        desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks})
    runs = traced.runs()
    posts = [operation.run_id for operation in collector.operations() if operation.kind == "post"]
    assert len(posts) == len(set(posts)) == len(runs) == RUNS_OF_THE_DESK
    assert exactly(metadata(traced.root())["agentcost_summary_total_usd"]) == Decimal("0.0063712")


def test_an_explicit_tracer_works_where_the_environment_says_no(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LANGSMITH_TRACING=false keeps LangChain from adding a tracer; one that is passed is meant."""
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks})
    assert len(traced.runs()) == RUNS_OF_THE_DESK


def test_below_a_traceable_function_the_graph_is_the_root_of_its_sums(
    collector: LangSmithCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LangSmith's decorator makes a run above ours: runs hang below it, and the sums are on the graph's run."""
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    traced = Traced(collector)

    @traceable
    def answer() -> str:
        return str(desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks})["messages"][-1].text)

    with tracing_context(enabled=True, client=traced.client, project_name="tests"):
        answer()
    top, graph, *_ = traced.runs()
    assert graph["parent_run_id"] == top["id"]
    assert len(traced.runs()) == RUNS_OF_THE_DESK + 1
    assert exactly(metadata(graph)["agentcost_summary_total_usd"]) == Decimal("0.0063712")
    assert not costs(top)


def test_the_metadata_of_other_handlers_is_not_touched(traced: Traced) -> None:
    """LangChain hands one mapping to all handlers."""
    stated = {"tenant": "acme"}
    desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks, "metadata": stated})
    assert stated == {"tenant": "acme"}


def test_chunks_stay_chunks(traced: Traced) -> None:
    """A streamed answer is merged by LangChain; the copy for LangSmith is of the same kind."""
    chunks = list(Streaming().stream("Hi", {"callbacks": traced.callbacks}))
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert exactly(costs(traced.runs()[0])["total_cost"]) == CACHED_COST
