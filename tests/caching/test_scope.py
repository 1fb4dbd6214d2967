"""Whose an answer is, and in which run."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching.scope import SCOPES, Caller, Runs, checked_scope

names = st.none() | st.text(st.characters()) | st.sampled_from(["", "\0", "a", "a\0b", "a b", "session", "\ud800"])
callers = st.builds(Caller, tenant=names, user=names, session=names, run=names)


@given(callers, callers, st.sampled_from(SCOPES))
def test_who_differs_in_what_a_scope_names_shares_nothing(one: Caller, other: Caller, scope: Any) -> None:
    """Two callers have the same namespace only if nothing that tells them apart matters for it."""
    first, second = one.namespace(scope), other.namespace(scope)
    if first is None or first != second:
        return
    if first[0] != "global":
        assert one.tenant == other.tenant
    if first[0] in ("user", "session", "run"):
        assert one.user == other.user
    if first[0] in ("session", "run"):
        assert getattr(one, str(first[0])) == getattr(other, str(first[0]))


@given(callers, st.sampled_from(SCOPES))
def test_no_scope_is_widened(caller: Caller, scope: Any) -> None:
    """Where a name is missing the answer is shared with fewer, never with more."""
    namespace = caller.namespace(scope)
    if namespace is not None:
        assert SCOPES.index(namespace[0]) <= SCOPES.index(scope)
        assert namespace[0] not in ("tenant", "user") or caller.tenant is not None


def test_without_any_name_nothing_is_shared() -> None:
    """A caller who is nobody, in no session and no run, shares only what is global by choice."""
    assert [Caller().namespace(scope) for scope in SCOPES] == [None, None, None, None, ("global",)]


def test_a_scope_that_there_is_not_is_refused() -> None:
    """The message names those that there are."""
    assert checked_scope("tenant") == "tenant"
    with pytest.raises(ValueError, match="run, session, user, tenant, global"):
        checked_scope("everyone")


def who(metadata: dict[str, Any], configurable: dict[str, Any] | None = None, **table: Any) -> Caller:
    """Read a caller from a config."""
    config: RunnableConfig = {"metadata": metadata, "configurable": configurable or {}}
    return Caller.of(config, table=AttributionMap(**table) if table else None)


def test_metadata_counts_before_configurable() -> None:
    """What a call says of itself counts more than what its graph is configured with."""
    assert who({"tenant": "m"}, {"tenant": "c", "thread_id": "t"}) == Caller(tenant="m", session="t")


@pytest.mark.parametrize(("one", "other"), [("a\0b", "a b"), ("x" * 201, "x" * 200), ("é", "e\u0301"), (" a", "a")])
def test_names_are_taken_raw(one: str, other: str) -> None:
    """A label of the ledger is cut and cleaned; here two tenants must not become one."""
    assert (who({"tenant": one}).tenant, who({"tenant": other}).tenant) == (one, other)


def test_numbers_are_names_too() -> None:
    """An id of a database row is the same tenant as its text."""
    assert who({"tenant": 0, "user": 7}) == who({"tenant": "0", "user": "7"})


@pytest.mark.parametrize("nobody", ["", None])
def test_an_empty_name_names_nobody(nobody: Any) -> None:
    """Visitors whose tenant, user and session are left empty share nothing with one another."""
    caller = who({"tenant": nobody, "user": nobody, "session": nobody})
    assert [caller.namespace(scope) for scope in SCOPES[:-1]] == [None] * 4
    assert who({"tenant": "", "tenant_id": "acme"}).tenant == "acme"


@pytest.mark.parametrize("thing", [object(), {"id": 1}, ["acme"], b"acme"])
def test_an_object_is_no_name(thing: Any) -> None:
    """It might be written by its address, which another tenant's may get next; a constant does not replace it."""
    assert who({"tenant": thing}).tenant is None
    assert who({"tenant": thing}, constants={"tenant": "acme"}).tenant is None


def test_own_keys_and_constants_name_callers() -> None:
    """The user's own table counts, as it does for the meter."""
    table: dict[str, Any] = {"keys": {"tenant": "customer"}, "constants": {"user": "batch"}}
    assert who({"customer": "acme", "tenant": "other"}, **table) == Caller(tenant="acme", user="batch")
    assert who({"user": "ann"}, **table).user == "ann"


def test_a_caller_is_read_from_the_run_around() -> None:
    """Without a config, that of the run that the code is in counts, in threads as in tasks."""
    read = RunnableLambda(lambda _: Caller.of(), afunc=_read)
    config: RunnableConfig = {"metadata": {"tenant": "acme"}, "configurable": {"thread_id": "t"}}
    assert read.invoke(0, config) == Caller(tenant="acme", session="t")
    assert asyncio.run(read.ainvoke(0, config)) == Caller(tenant="acme", session="t")
    assert Caller.of() == Caller()


async def _read(_: object) -> Caller:
    return Caller.of()


class _State(TypedDict, total=False):
    seen: Annotated[list[str | None], operator.add]
    calls: list[AIMessage]


def _graph(runs: Runs) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A graph with a subgraph as a node, one called in a node, a fan-out and a tool, which all note their run."""

    def note(state: _State) -> _State:
        return {"seen": [runs.current()]}

    @tool
    def which_run() -> str:
        """Say in which run this is."""
        return str(runs.current())

    inner = StateGraph(_State).add_node("note", note).add_edge(START, "note").compile()
    tools = ToolNode([which_run], messages_key="calls")

    def use_tool(state: _State) -> _State:
        call = AIMessage("", tool_calls=[{"name": "which_run", "args": {}, "id": "1"}])
        return {"seen": [tools.invoke({"calls": [call]})["calls"][0].content]}

    graph = StateGraph(_State).add_node("first", note).add_node("fan", note).add_node("sub", inner)
    graph.add_node("called", lambda state: {"seen": inner.invoke({"seen": []})["seen"]}).add_node("tool", use_tool)
    graph.add_edge(START, "first")
    graph.add_conditional_edges("first", lambda _: [Send("fan", {}), Send("fan", {}), "sub", "called", "tool"])
    return graph.compile()


@pytest.mark.parametrize("is_async", [False, True])
def test_a_run_has_one_identity_and_the_next_another(is_async: bool) -> None:
    """Subgraphs, branches of a fan-out and tools are in their run; another invoke is another run."""
    runs = Runs()
    graph = _graph(runs)

    def run() -> set[str | None]:
        seen = (asyncio.run(graph.ainvoke({"seen": []})) if is_async else graph.invoke({"seen": []}))["seen"]
        assert len(seen) >= 6
        return set(seen)

    found = [run() for _ in range(3)]
    assert [len(ids) for ids in found] == [1, 1, 1]
    assert len(set.union(*found)) == 3
    assert None not in set.union(*found)


def test_runs_at_the_same_time_are_told_apart() -> None:
    """Eight runs in one loop are eight runs."""
    runs = Runs()
    graph = _graph(runs)

    async def all_runs() -> list[Any]:
        return list(await asyncio.gather(*(graph.ainvoke({"seen": []}) for _ in range(8))))

    assert len({name for result in asyncio.run(all_runs()) for name in result["seen"]}) == 8


def test_outside_a_graph_there_is_no_run() -> None:
    """Neither plain code nor a runnable outside LangGraph is in one."""
    runs = Runs()
    assert runs.current() is None
    assert RunnableLambda[int, str | None](lambda _: runs.current()).invoke(0) is None
