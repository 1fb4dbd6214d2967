from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import MessagesState

from langchain_agentcost.caching import cached_subgraph
from langchain_agentcost.caching.error_budget import ErrorBudget, Evidence
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from tests.caching.asked_graphs import Asked, Listener, of, one_node, parent_of
from tests.caching.desk import alike_cache, prepared

RUNS: list[str] = []


@pytest.fixture(autouse=True)
def runs() -> list[str]:
    """The questions that were run, in this test."""
    RUNS.clear()
    return RUNS


def shop(state: Asked) -> Asked:
    """Answer any question about hours."""
    RUNS.append(state["question"])
    return {"answer": "From nine to five.", "known": state.get("known", "")}


def hours(**made: Any) -> Any:
    """A graph with a subgraph that is found by similar questions."""
    return cached_subgraph(one_node(shop), version="1", **{"key": ["question"], **made})


def proven() -> Any:
    """A semantic cache that takes questions for one another where no rule forbids it, and was right so far."""
    return prepared(alike_cache(), FakeMeteredChatModel())


ASKED = ("Could parcels be tracked?", "Might parcels be traced?")


def test_a_proven_cache_serves_the_same_question_in_other_words() -> None:
    """A similar question is answered without a run, and the hit says how similar it was."""
    node, listener = hours(semantic=proven()), Listener()
    graph = parent_of(node)
    said = [graph.invoke({"question": question}, of(listener=listener)) for question in ASKED]
    assert [out["answer"] for out in said] == ["From nine to five."] * 2
    assert [out["question"] for out in said] == list(ASKED)
    assert list(ASKED[:1]) == RUNS
    (hit,) = listener.hits
    assert hit.cache == "subgraph"
    assert hit.similarity is not None
    assert node.counts == {"misses": 1, "similar": 1}


async def test_async_callers_are_served_alike() -> None:
    """The same in an event loop."""
    graph = parent_of(hours(semantic=proven()))
    said = [(await graph.ainvoke({"question": question}, of()))["answer"] for question in ASKED]
    assert said == ["From nine to five."] * 2
    assert list(ASKED[:1]) == RUNS


def test_an_unproven_cache_runs_and_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """In shadow mode every question is run, its result compared, and from enough right ones on it is served."""
    monkeypatch.setattr("langchain_agentcost.caching.auditor.random", lambda: 0.99)  # no audit by chance
    monkeypatch.setattr("langchain_agentcost.caching.likeness.guard", lambda before, now: None)  # nothing is forbidden
    budget = ErrorBudget(0.5, confidence=0.51)
    needed = Evidence(budget).needed()
    cache = alike_cache(budget=budget)
    graph = parent_of(hours(semantic=cache))
    for number in range(needed + 3):
        graph.invoke({"question": f"Could {'dear ' * number}parcels be tracked?"}, of())
    assert cache.counts["audits"] >= needed
    assert len(RUNS) < needed + 3


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"question": ASKED[0], "known": "a"}, {"question": ASKED[1], "known": "b"}),
        ({"question": "Where is order 12?", "known": "a"}, {"question": "Where is order 13?", "known": "a"}),
    ],
)
def test_what_is_not_the_text_is_a_hard_partition(first: Asked, then: Asked) -> None:
    """Another channel that differs, or a number in the text, forbids what similarity would allow."""
    graph = parent_of(hours(key=["question", "known"], semantic=proven()))
    for state in (first, then):
        graph.invoke(state, of())
    assert len(RUNS) == 2


def test_tenants_never_share_similar_questions() -> None:
    """However similar a question is, another tenant's result does not answer it."""
    graph = parent_of(hours(semantic=proven(), scope="tenant"))
    for tenant, question in zip("ab", ASKED, strict=True):
        graph.invoke({"question": question}, of(tenant))
    assert len(RUNS) == 2


def test_a_tag_ends_what_similar_questions_would_find() -> None:
    """What is invalidated is not served in other words either."""
    node = hours(semantic=proven(), tags=["hours"])
    graph = parent_of(node)
    graph.invoke({"question": ASKED[0]}, of())
    node.invalidate("hours", config=of())
    for question in ASKED:
        graph.invoke({"question": question}, of())
    assert list(ASKED[:1] * 2) == RUNS


@pytest.mark.parametrize("then", [ASKED, ASKED[1:]])
def test_a_result_past_its_time_is_not_served_in_other_words(
    monkeypatch: pytest.MonkeyPatch, then: tuple[str, ...]
) -> None:
    """The subgraph's own time to live holds, though the semantic cache keeps its entries for longer."""
    now = [1_000_000.0]
    for module in ("subgraph", "shelf", "semantic"):
        monkeypatch.setattr(f"langchain_agentcost.caching.{module}.time", lambda: now[0])
    graph = parent_of(hours(semantic=proven(), ttl_s=100))
    graph.invoke({"question": ASKED[0]}, of())
    now[0] += 120
    for question in then:
        graph.invoke({"question": question}, of())
    assert [ASKED[0], then[0]] == RUNS


def test_a_conversation_is_found_by_its_users_last_words() -> None:
    """Messages are compared by what the user said; the model calls that a hit spares are told."""
    model = FakeMeteredChatModel(answers=["From nine to five."], counts=FakeCounts(500, 9), model="gpt-4.1")

    def say(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    inner = one_node(say, MessagesState)
    node = cached_subgraph(inner, key=["messages"], version="1", semantic=proven())
    graph, listener = parent_of(node, MessagesState), Listener()
    for question in ASKED:
        out = graph.invoke({"messages": [HumanMessage(question)]}, of(listener=listener))
    assert [message.text for message in out["messages"]] == [ASKED[1], "From nine to five."]
    assert len(model.prompts) == 1
    assert [call.usage and call.usage.input_tokens for call in listener.hits[0].spared] == [500]


def test_a_question_without_text_is_found_exactly() -> None:
    """A key whose first channel holds no text works as without a semantic cache."""
    node = hours(key=["known", "question"], semantic=proven())
    graph = parent_of(node)
    for _ in range(2):
        graph.invoke({"question": "q", "known": {"a": 1}}, of())  # type: ignore[arg-type, unused-ignore]
    assert node.counts == {"misses": 1, "hits": 1}


def test_a_question_that_is_not_set_yet_is_compared_with_none() -> None:
    """LangGraph leaves an unset channel out of the state: the graph runs, and nothing similar is looked for."""
    node = cached_subgraph(
        one_node(lambda state: {"answer": "?"}), key=["question"], semantic=alike_cache(), version="1"
    )
    assert parent_of(node).invoke({}, of())["answer"] == "?"
