"""What the tracer does when something else goes wrong: the user's run goes on, and the plain trace goes out."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.errors import GraphBubbleUp
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost.errors import MeteringWarning
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.testing.collector import LangSmithCollector
from tests.exporters.langsmith_world import (
    CACHED_COST,
    QUESTION,
    RUNS_OF_THE_DESK,
    Canned,
    Traced,
    book,
    costs,
    desk,
    exactly,
    metadata,
)


@pytest.fixture
def collector() -> Iterator[LangSmithCollector]:
    """A collector."""
    with LangSmithCollector() as running:
        yield running


class BrokenBook(PriceBook):
    """A price book with a bug."""

    def cost(self, *args: Any, **kwargs: Any) -> Any:
        """Fail."""
        raise ZeroDivisionError("a bug in pricing")

    tool_cost = cost


def test_a_bug_in_pricing_warns_once_and_lets_the_plain_trace_through(collector: LangSmithCollector) -> None:
    """Every run is posted, without costs; the user reads one warning and gets the answer."""
    traced = Traced(collector, prices=BrokenBook())
    config: Any = {"callbacks": traced.callbacks}
    with pytest.warns(MeteringWarning, match="a bug in pricing") as seen:
        answers = [desk(Canned()).invoke(QUESTION, config)["messages"][-1].text for _ in range(2)]
    assert answers == ["fine", "fine"]
    assert len(seen) == 1
    assert len(traced.runs()) == 2 * RUNS_OF_THE_DESK
    assert all(not costs(run) and run["end_time"] for run in traced.runs())
    assert traced.tracer.desk.open_runs == 0


def test_a_bug_in_pricing_is_logged_where_warnings_are_errors(
    collector: LangSmithCollector, caplog: pytest.LogCaptureFixture
) -> None:
    """With -W error the warning must not become the very fault that it is about."""
    traced = Traced(collector, prices=BrokenBook())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Canned().invoke("Hi", {"callbacks": traced.callbacks})
    assert traced.root()["end_time"]
    assert "a bug in pricing" in caplog.text


def test_an_unknown_price_is_no_fault_where_warnings_are_errors(collector: LangSmithCollector) -> None:
    """The run is labelled as unpriced as always."""
    traced = Traced(collector)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Canned(model="nobodys-model").invoke("Hi", {"callbacks": traced.callbacks})
    assert metadata(traced.root())["agentcost_unpriced"] is True


class Halting(BaseCallbackHandler):
    """A handler that stops the run before the model is called, as a budget does."""

    raise_error = True
    run_inline = True

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Stop."""
        raise GraphBubbleUp("budget spent")


@pytest.mark.parametrize(("first", "statuses"), [("tracer", ["halted"]), ("halting", [])])
def test_a_model_run_that_another_handler_stops_is_ended(
    collector: LangSmithCollector, first: str, statuses: list[str]
) -> None:
    """LangChain sends no event for a model call that a later handler stops: the tracer ends its run, at no cost."""
    traced = Traced(collector)
    callbacks = [traced.tracer, Halting()] if first == "tracer" else [Halting(), traced.tracer]
    graph = StateGraph(MessagesState).add_node("only", lambda _: {"messages": [Canned().invoke("Hi")]})
    with pytest.raises(GraphBubbleUp):
        graph.add_edge(START, "only").compile().invoke(QUESTION, {"callbacks": callbacks})
    assert [metadata(run)["agentcost_status"] for run in traced.runs("llm")] == statuses
    assert all(run.get("end_time") and not costs(run) for run in traced.runs())


def test_a_stopped_run_leaves_nothing_open_in_a_subgraph(collector: LangSmithCollector) -> None:
    """Inside a subgraph LangChain merges handlers through a set, so either handler may come first."""
    traced = Traced(collector)
    with pytest.raises(GraphBubbleUp):
        desk(Canned()).invoke(QUESTION, {"callbacks": [Halting(), traced.tracer]})
    assert all(run.get("end_time") and not costs(run) for run in traced.runs("llm"))
    assert metadata(traced.root())["agentcost_summary_llm_calls"] == 0
    assert traced.tracer.desk.open_runs == 0


def test_a_call_that_is_still_at_work_when_its_node_fails_keeps_its_cost(collector: LangSmithCollector) -> None:
    """A sibling's failure is no halt: the call ends by itself, later, and is posted with its cost."""
    traced = Traced(collector)
    node_failed, answered = threading.Event(), threading.Event()

    class Slow(Canned):
        """A model that answers after its node has failed."""

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            assert node_failed.wait(10)
            return super()._generate(*args, **kwargs)

    def node(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        started = threading.Event()

        class Started(BaseCallbackHandler):
            """Says that the call has begun."""

            def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
                """Say so."""
                started.set()

        def call() -> None:
            Slow(callbacks=[Started()]).invoke("Hi", config)
            answered.set()

        threading.Thread(target=call, daemon=True).start()
        assert started.wait(10)
        raise RuntimeError("the node failed")

    graph = StateGraph(MessagesState).add_node("only", node).add_edge(START, "only").compile()
    with pytest.raises(RuntimeError, match="the node failed"):
        graph.invoke(QUESTION, {"callbacks": traced.callbacks})
    node_failed.set()
    assert answered.wait(10)
    (late,) = traced.runs("llm")
    assert exactly(costs(late)["total_cost"]) == CACHED_COST
    assert traced.tracer.desk.open_runs == 0


def test_a_failed_tool_keeps_its_price_and_a_paused_one_has_none(collector: LangSmithCollector) -> None:
    """A service that fails has been called; a tool that a pause cuts short runs again."""
    traced = Traced(collector)

    @tool("search")
    def failing(pause: bool) -> str:
        """Fail in one way or the other."""
        raise GraphBubbleUp("wait") if pause else ValueError("no")

    for pause, kind in ((False, ValueError), (True, GraphBubbleUp)):
        with pytest.raises(kind):
            failing.invoke({"pause": pause}, {"callbacks": traced.callbacks})
    assert [costs(run) for run in traced.runs("tool")] == [{"total_cost": 0.004}, {}]


def test_a_retriever_with_a_price_carries_it(collector: LangSmithCollector) -> None:
    """A vector store's query is paid for like a tool."""
    traced = Traced(collector)

    class Documents(BaseRetriever):
        """A retriever."""

        def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
            return [Document("found")]

    Documents(name="documents").invoke("orders", {"callbacks": traced.callbacks})
    assert costs(traced.runs("retriever")[0]) == {"total_cost": 0.001}


def test_many_runs_at_once_keep_their_sums_apart(collector: LangSmithCollector) -> None:
    """Eight threads with one tracer: every root's sum is its own trace's, exactly."""
    traced = Traced(collector, prices=book())
    graph = desk(Canned())

    def run(number: int) -> None:
        graph.invoke(QUESTION, {"callbacks": traced.callbacks, "metadata": {"tenant": f"t{number % 4}"}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(40)))
    roots = [run for run in traced.runs() if not run.get("parent_run_id")]
    assert len(roots) == 40
    assert {metadata(root)["agentcost_summary_total_usd"] for root in roots} == {0.0063712}
    steps = sorted((run["trace_id"], metadata(run)["agentcost_step"]) for run in traced.runs("llm"))
    assert steps == sorted((root["trace_id"], step) for root in roots for step in (1, 2))
    assert traced.tracer.desk.open_runs == 0
