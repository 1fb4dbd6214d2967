from __future__ import annotations

import operator
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware, SummarizationMiddleware
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel, Field

from langchain_agentcost.caching import ToolCache, ToolCachePolicy, cached_tool
from langchain_agentcost.caching.graph_fingerprint import graph_fingerprint
from langchain_agentcost.caching.plain import plain_json
from langchain_agentcost.errors import Unkeyable
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.caching.asked_graphs import Asked, one_node


def captured(value: Any) -> Any:
    """A graph whose node captured a value."""
    return one_node(lambda state: {"answer": value})


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None)
@given(one=PLAIN, other=PLAIN)
def test_captured_values_are_told_apart(one: Any, other: Any) -> None:
    """Two functions of one factory have one fingerprint if and only if they captured the same value."""
    same = plain_json(one) == plain_json(other)
    assert (graph_fingerprint(captured(one)) == graph_fingerprint(captured(other))) == same


def nothing(state: Asked) -> None:
    """Change nothing."""


LIMIT = 3


def limited(state: Asked) -> Asked:
    """Say what the limit is."""
    return {"answer": str(LIMIT)}


def through(state: Asked) -> Asked:
    """Say it by another function."""
    return limited(state)


def test_a_global_that_a_function_names_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed global changes the graph, also behind a helper of the same module."""
    before = [graph_fingerprint(one_node(node)) for node in (limited, through)]
    monkeypatch.setitem(globals(), "LIMIT", 4)
    after = [graph_fingerprint(one_node(node)) for node in (limited, through)]
    assert len({*before, *after}) == 4


class Asker:
    """A node with settings."""

    tone = "kind"

    def __init__(self, text: str) -> None:
        self.text = text
        self.lock = threading.Lock()

    def __call__(self, state: Asked) -> Asked:
        """Answer."""
        return {"answer": self.text}


class Louder(Asker):
    """The same in another tone."""

    tone = "loud"


class Reply(BaseModel):
    """An answer in parts."""

    text: str = Field(description="what is said")


class Answer(BaseModel):
    """The same in other words."""

    text: str = Field(description="what is meant")


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


@tool
def find(word: str) -> str:
    """Look a word up."""
    return word


def agent(**made: Any) -> Any:
    """An agent that differs from its like in what is given."""
    return create_agent(**{"model": FakeMeteredChatModel(), "tools": [look_up], **made})


class Added(TypedDict):
    """Texts that are joined."""

    texts: Annotated[list[str], operator.add]


class Kept(TypedDict):
    """Texts that are replaced."""

    texts: list[str]


VARIANTS: dict[str, Callable[[], Any]] = {
    "an object's attributes": lambda: one_node(Asker("a")),
    "another attribute": lambda: one_node(Asker("b")),
    "a class's constants": lambda: one_node(Louder("a")),
    "arguments of a partial": lambda: one_node(partial(lambda state, text: {"answer": text}, text="a")),
    "other arguments": lambda: one_node(partial(lambda state, text: {"answer": text}, text="b")),
    "a default": lambda: one_node(lambda state, text="a": {"answer": text}),
    "another default": lambda: one_node(lambda state, text="b": {"answer": text}),
    "a lambda of LangChain": lambda: one_node(RunnableLambda(lambda state: {"answer": "a"})),
    "an agent": agent,
    "an agent's prompt": lambda: agent(system_prompt="Be kind."),
    "an agent's model": lambda: agent(model=FakeMeteredChatModel(model="gpt-4.1")),
    "an agent's tool": lambda: agent(tools=[find]),
    "no tools": lambda: agent(tools=[]),
    "an agent's form": lambda: agent(response_format=Reply),
    "what a form says": lambda: agent(response_format=Answer),
    "an agent's limit": lambda: agent(middleware=[ModelCallLimitMiddleware(run_limit=1)]),
    "another limit": lambda: agent(middleware=[ModelCallLimitMiddleware(run_limit=2)]),
    "a reducer": lambda: one_node(lambda state: {"texts": ["a"]}, Added),
    "none": lambda: one_node(lambda state: {"texts": ["a"]}, Kept),
    "a pattern": lambda: captured(re.compile("a")),
    "another pattern": lambda: captured(re.compile("a", re.IGNORECASE)),
    "the functional API": lambda: entrypoint()(lambda state: state),
}


def test_whatever_differs_is_told_apart() -> None:
    """Graphs that differ in one thing have different fingerprints; built twice they have the same."""
    first = {name: graph_fingerprint(build()) for name, build in VARIANTS.items()}
    assert first == {name: graph_fingerprint(build()) for name, build in VARIANTS.items()}
    assert len(set(first.values())) == len(VARIANTS)


def test_a_constant_of_a_class_counts() -> None:
    """Two classes that differ in a constant only are told apart."""

    def toned(said: str) -> Any:
        class Tone(Asker):
            tone = said

        return one_node(Tone("a"))

    assert graph_fingerprint(toned("kind")) != graph_fingerprint(toned("loud"))
    assert graph_fingerprint(toned("kind")) == graph_fingerprint(toned("kind"))


def test_edges_count() -> None:
    """The same nodes in another order are another graph."""

    def chain(first: str, second: str) -> Any:
        graph = StateGraph(Asked).add_node("a", nothing).add_node("b", nothing)
        return graph.add_edge(START, first).add_edge(first, second)

    assert graph_fingerprint(chain("a", "b")) != graph_fingerprint(chain("b", "a"))


def test_the_rule_of_a_branch_counts() -> None:
    """Another rule for where to go is another graph."""

    def branching(limit: int) -> Any:
        graph = StateGraph(Asked).add_node("a", nothing).add_node("b", nothing)
        graph.add_conditional_edges(START, lambda state: "a" if len(state["question"]) > limit else "b", ["a", "b"])
        return graph

    assert graph_fingerprint(branching(1)) != graph_fingerprint(branching(2))


def test_another_version_is_another_fingerprint() -> None:
    """The user's own version is part of it."""
    graph = captured("a")
    assert len({graph_fingerprint(graph, version=version) for version in ("", "1", "2")}) == 3


def test_what_has_no_value_counts_by_its_class_where_a_version_is_given() -> None:
    """A captured client is refused without a version, and is named by its class with one."""
    client: Iterator[int] = iter([])
    with pytest.raises(Unkeyable, match=r"list_iterator.*version="):
        graph_fingerprint(captured(client))
    assert graph_fingerprint(captured(client), version="1") == graph_fingerprint(captured(iter([])), version="1")


def test_a_model_within_middleware_counts() -> None:
    """A summary by another model is another graph."""
    prints = {
        graph_fingerprint(
            agent(
                middleware=[SummarizationMiddleware(model=FakeMeteredChatModel(model=name), trigger=("tokens", 99))],
            )
        )
        for name in ("gpt-4.1", "gpt-5-mini")
    }
    assert len(prints) == 2


def test_a_graph_that_holds_itself_has_an_end() -> None:
    """A captured object that refers to itself is written once."""
    knot: list[Any] = []
    knot.append(knot)
    assert graph_fingerprint(captured(knot)) != graph_fingerprint(captured([]))


def test_a_captured_data_set_needs_a_version() -> None:
    """What would take seconds to read through is refused with what to do."""
    with pytest.raises(Unkeyable, match="version="):
        graph_fingerprint(captured([[n] for n in range(50_001)]))


PROGRAM = """
from tests.caching.test_graph_fingerprint import VARIANTS, graph_fingerprint
print([graph_fingerprint(build()) for build in VARIANTS.values()])
"""


def test_processes_agree() -> None:
    """A fingerprint does not depend on addresses, or on the seed of Python's hashes."""
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", PROGRAM]
    said = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout
    assert said.strip() == str([graph_fingerprint(build()) for build in VARIANTS.values()])


def test_a_messages_graph_is_what_it_is_compiled_from() -> None:
    """A graph and its builder have one fingerprint, with or without a checkpointer."""
    builder = StateGraph(MessagesState).add_node("work", lambda state: {}).add_edge(START, "work")
    assert graph_fingerprint(builder) == graph_fingerprint(builder.compile(checkpointer=False, name="other"))


def cached_agent(prompt: str) -> Any:
    """An agent with caches of this package in it."""
    cache = ToolCache({"look_up": ToolCachePolicy("read")})
    return agent(tools=[cached_tool(look_up, cache=cache)], system_prompt=prompt)


def test_caches_within_a_graph_have_no_say() -> None:
    """An agent whose tools are cached is told from its like by what it does, and not by what its caches hold."""
    assert graph_fingerprint(cached_agent("a")) == graph_fingerprint(cached_agent("a"))
    assert graph_fingerprint(cached_agent("a")) != graph_fingerprint(cached_agent("b"))
