"""How a call can end: refused, broken off, left, without counts, out of a cache, passed on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListLLM
from langchain_core.outputs import Generation
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost.testing.collector import LangSmithCollector
from tests.exporters.langsmith_world import (
    CACHED,
    CACHED_COST,
    QUESTION,
    Canned,
    Streaming,
    Traced,
    costs,
    exactly,
    metadata,
)


@pytest.fixture
def traced() -> Iterator[Traced]:
    """A tracer on a collector."""
    with LangSmithCollector(zstd=True) as running:
        yield Traced(running)


def test_a_failed_call_without_output_costs_nothing_and_is_no_unpriced_call(traced: Traced) -> None:
    """A provider that refuses does not bill."""
    with pytest.raises(ValueError, match="rate limit"):
        Canned(error=ValueError("rate limit")).invoke("Hi", {"callbacks": traced.callbacks})
    (run,) = traced.runs()
    found = metadata(run)
    assert "usage_metadata" not in found
    assert found["agentcost_status"] == "error"
    assert found["agentcost_summary_failed_calls"] == 1
    assert found["agentcost_summary_unpriced_calls"] == 0


def test_a_stream_that_breaks_is_billed_by_an_estimate(traced: Traced) -> None:
    """The provider bills what it generated, though it never came to report it."""
    words = "one two three four five six seven eight"
    with pytest.raises(ConnectionError):
        list(Streaming(reply=words, breaks_after=6).stream("Count.", {"callbacks": traced.callbacks}))
    (run,) = traced.runs()
    assert metadata(run)["agentcost_estimated"] is True
    assert 6 <= metadata(run)["usage_metadata"]["output_tokens"] <= 12
    assert costs(run)["output_cost"] > 0


def test_a_stream_that_is_left_is_billed_by_an_estimate_and_marked(traced: Traced) -> None:
    """A consumer who leaves has paid for what came."""
    stream: Any = Streaming(reply="one two three four five").stream("Count.", {"callbacks": traced.callbacks})
    next(stream)
    next(stream)
    stream.close()
    (run,) = traced.runs()
    assert metadata(run)["agentcost_status"] == "aborted"
    assert costs(run)["total_cost"] > 0


def test_an_answer_without_usage_is_estimated_and_marked(traced: Traced) -> None:
    """Streams through a custom address report nothing; the run still shows a cost, and that it is an estimate."""
    Streaming(usage=None, reply="one two three").invoke("Count.", {"callbacks": traced.callbacks})
    (run,) = traced.runs()
    assert metadata(run)["agentcost_estimated"] is True
    assert metadata(run)["agentcost_summary_estimated_calls"] == 1
    assert costs(run)["total_cost"] > 0


def test_a_cache_hit_costs_nothing_and_shows_what_it_saved(traced: Traced) -> None:
    """LangChain's own cache leaves the counts and a total of 0: the 0 stays, the saving goes to the metadata."""
    hit = {**CACHED, "total_cost": 0}
    Canned(usage=hit).invoke("Hi", {"callbacks": traced.callbacks})
    (run,) = traced.runs()
    assert costs(run) == {"total_cost": 0}
    assert exactly(metadata(run)["agentcost_saved_usd"]) == CACHED_COST
    assert metadata(run)["agentcost_cache"] == "langchain"
    assert metadata(run)["agentcost_summary_cache_hits"] == 1
    assert metadata(run)["agentcost_summary_llm_calls"] == 0


def test_langchains_cache_is_seen_through_langchain_itself(traced: Traced) -> None:
    """The same question twice with a real cache: one call is paid, one is saved."""
    model = Canned(cache=InMemoryCache())
    for _ in range(2):
        model.invoke("Hi", {"callbacks": traced.callbacks})
    paid, hit = traced.runs("llm")
    assert exactly(costs(paid)["total_cost"]) == CACHED_COST
    assert costs(hit) == {"total_cost": 0}
    assert exactly(metadata(hit)["agentcost_summary_saved_usd"]) == CACHED_COST


def test_a_cache_that_keeps_only_text_is_not_billed_by_an_estimate(traced: Traced) -> None:
    """Such a hit carries no counts at all; it consumed nothing."""

    class TextCache(InMemoryCache):
        """A cache that forgets everything but the text, as some back ends do."""

        def lookup(self, prompt: str, llm_string: str) -> Any:
            """Give the text alone."""
            found = super().lookup(prompt, llm_string)
            return [Generation(text=generation.text) for generation in found] if found else None

    model = Canned(cache=TextCache())
    for _ in range(2):
        model.invoke("Hi", {"callbacks": traced.callbacks})
    hit = traced.runs("llm")[-1]
    assert metadata(hit)["usage_metadata"] == {
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
        "total_cost": 0,
    }
    assert metadata(hit)["agentcost_cache"] == "langchain"


@pytest.mark.parametrize("passes", ["as it is", "copied", "as parent"])
def test_a_model_that_passes_the_call_on_is_not_billed_twice(traced: Traced, passes: str) -> None:
    """The inner model's run has the cost; the outer one repeats the message and costs nothing itself."""
    outer_model = Canned(inner=Canned(), passes=passes)
    graph = StateGraph(MessagesState).add_node("only", lambda _: {"messages": [outer_model.invoke("Hi")]})
    graph.add_edge(START, "only").compile().invoke(QUESTION, {"callbacks": traced.callbacks})
    outer, inner = traced.runs("llm")
    assert costs(outer)["total_cost"] == 0
    assert exactly(costs(inner)["total_cost"]) == CACHED_COST
    assert exactly(metadata(traced.root())["agentcost_summary_total_usd"]) == CACHED_COST


def test_calls_at_the_same_time_are_all_billed_though_a_server_reuses_ids(traced: Traced) -> None:
    """Some local servers give every answer the same id; that does not make them one call."""
    together = threading.Barrier(4)

    class Overlapping(Canned):
        """A model whose calls wait for each other."""

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            together.wait(10)
            return super()._generate(*args, **kwargs)

    model = Overlapping(message_id="chatcmpl-1")
    graph = StateGraph(MessagesState).add_node("only", lambda _: {"messages": model.batch(["Hi"] * 4)})
    graph.add_edge(START, "only").compile().invoke(QUESTION, {"callbacks": traced.callbacks})
    assert [exactly(costs(run)["total_cost"]) for run in traced.runs("llm")] == [CACHED_COST] * 4


def test_an_older_text_model_is_estimated(traced: Traced) -> None:
    """Its result has no message to carry the usage, so the run carries it alone."""
    with pytest.warns(match="No price is known"):
        FakeListLLM(responses=["an answer of some words"]).invoke("Hi there", {"callbacks": traced.callbacks})
    (run,) = traced.runs()
    assert metadata(run)["agentcost_estimated"] is True
    assert metadata(run)["agentcost_unpriced"] is True
    assert metadata(run)["usage_metadata"]["output_tokens"] >= 4
