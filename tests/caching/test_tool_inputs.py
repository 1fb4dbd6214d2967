from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId, StructuredTool, tool
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.store.base import BaseStore
from pydantic import BaseModel, field_validator

from langchain_agentcost.caching.scope import Caller
from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tools import ToolCachePolicy
from tests.caching.tool_shop import OF_TENANT, READ, WRITE, Shop, ask, looked

names = st.text(max_size=6)


@st.composite
def callers(draw: st.DrawFn) -> Caller:
    """Who asks, by any names."""
    maybe = st.none() | names
    return Caller(tenant=draw(maybe), user=draw(maybe), session=draw(maybe), run=draw(maybe))


@given(one=callers(), other=callers(), scope=st.sampled_from(["run", "session", "user", "tenant"]))
def test_no_caller_sees_what_another_one_was_given(one: Caller, other: Caller, scope: Any) -> None:
    """For any names: only who is of the same tenant, and user or session where that is the scope, shares."""
    cache, shop, policy = ToolCache(), Shop(), ToolCachePolicy("read", scope=scope)
    looked(cache, shop, ask(by=one), policy)
    looked(cache, shop, ask(by=other), policy)
    same = one.namespace(scope) is not None and one.namespace(scope) == other.namespace(scope)
    assert (shop.calls == 1) == same
    if one.tenant != other.tenant:
        assert shop.calls == 2


@given(one=st.tuples(names, names, names), other=st.tuples(names, names, names))
def test_no_tool_version_or_argument_is_mixed_up(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """For any strings: delimiters, NUL, and characters that look alike."""
    cache, shop = ToolCache(), Shop()
    for name, version, value in (one, other):
        looked(cache, shop, ask(name, {"item": value}), replace(READ, version=version))
    assert (shop.calls == 1) == (one == other)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, "", "1", "true", "null", "é", "é"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


@given(one=values, other=values)
def test_arguments_are_told_apart_with_their_types(one: Any, other: Any) -> None:
    """1, 1.0, true and "1" are four arguments."""
    cache, shop = ToolCache(), Shop()
    for value in (one, other):
        looked(cache, shop, ask(args={"item": value}))
    assert (shop.calls == 1) == (repr(one) == repr(other) or _sorted(one) == _sorted(other))


def _sorted(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{sorted((key, _sorted(item)) for key, item in value.items())}}}"
    return f"[{[_sorted(item) for item in value]}]" if isinstance(value, list) else repr(value)


def test_arrays_and_images_are_told_apart() -> None:
    """Whole arrays and images are compared, and not their shortened texts."""
    numpy, image = pytest.importorskip("numpy"), pytest.importorskip("PIL.Image")
    big, other = numpy.zeros(10_000), numpy.zeros(10_000)
    other[5_000] = 1
    red, blue = (image.new("RGB", (9, 9), color) for color in ("red", "blue"))
    cache, shop = ToolCache(), Shop()
    for value in (big, other, big.reshape(100, 100), big.astype("int64"), red, blue, red.convert("L")):
        for _ in range(2):
            looked(cache, shop, ask(args={"item": value}))
    assert shop.calls == 7


def test_what_has_no_value_is_not_cached() -> None:
    """Two clients cannot be told apart: every call is made."""
    cache, shop = ToolCache(), Shop()
    for _ in range(2):
        looked(cache, shop, ask(args={"item": Event()}))
    assert shop.calls == 2


def test_a_failing_normaliser_breaks_no_call() -> None:
    """It is a fault of the cache: the call is made."""
    cache, shop = ToolCache(), Shop()
    assert looked(cache, shop, ask(args={"item": 1}), replace(READ, normalise={"item": str.upper})) == "7 left"
    assert cache.counts == {"unkeyable": 1}


def _find(item: str, most: int = 3) -> str:
    """Find an item."""
    return item[:most]


find = tool("find")(_find)


def test_defaults_and_types_are_the_schemas() -> None:
    """A call that spells out a default, or a number as text, is the same call."""
    cache, shop = ToolCache(), Shop()
    for args in ({"item": "a"}, {"item": "a", "most": 3}, {"most": "3", "item": "a"}):
        looked(cache, shop, ask("find", args, tool=find))
    assert shop.calls == 1
    looked(cache, shop, ask("find", {"item": "a", "most": 4}, tool=find))
    looked(cache, shop, ask("find", {"item": "a", "more": 3}, tool=find))
    assert shop.calls == 3


def _takes_state(item: str, customer: Annotated[str, InjectedState("customer")]) -> str:
    """Look."""
    return item + customer


def _takes_all(item: str, state: Annotated[dict[str, Any], InjectedState]) -> str:
    """Look."""
    return item + str(state)


def _takes_store(item: str, store: Annotated[BaseStore, InjectedStore()]) -> str:
    """Look."""
    return item + str(store)


def _takes_runtime(item: str, runtime: ToolRuntime) -> str:
    """Look."""
    return item + str(runtime.state)


def _takes_config(item: str, config: RunnableConfig) -> str:
    """Look."""
    return item + str(config)


def _takes_id(item: str, call: Annotated[str, InjectedToolCallId]) -> str:
    """Look."""
    return item + call


def _made(function: Callable[..., Any]) -> BaseTool:
    return StructuredTool.from_function(function, name="look")


def test_a_part_of_the_state_is_part_of_the_key() -> None:
    """What is injected by name is compared; what the model forges in its place is not looked at."""
    cache, shop, look = ToolCache(), Shop(), _made(_takes_state)
    for customer in ("ann", "bob", "ann"):
        looked(cache, shop, ask("look", tool=look, state={"customer": customer}))
    assert shop.calls == 2
    looked(cache, shop, ask("look", {"item": "lamp", "customer": "bob"}, tool=look, state={"customer": "ann"}))
    assert shop.calls == 2


@pytest.mark.parametrize("function", [_takes_all, _takes_store, _takes_runtime, _takes_config])
def test_a_tool_that_is_given_more_has_to_say_what_counts(function: Callable[..., Any]) -> None:
    """Without `vary_on` it is not cached; with it, only what it names counts."""
    cache, shop, look = ToolCache(), Shop(), _made(function)

    def looks(customer: str, policy: ToolCachePolicy = READ) -> None:
        config: RunnableConfig = {"configurable": {"region": customer}}
        state, context = {"customer": customer}, {"customer": customer}
        looked(cache, shop, ask("look", tool=look, state=state, context=context, config=config), policy)

    looks("ann")
    looks("ann")
    assert shop.calls == 2
    for number, path in enumerate(("state.customer", "context.customer", "configurable.region"), start=1):
        policy = replace(READ, vary_on=(path,))
        for customer in ("ann", "bob", "ann"):
            looks(customer, policy)
        assert shop.calls == 2 + 2 * number
    for customer in ("ann", "bob"):
        looks(customer, replace(READ, vary_on=()))
    assert shop.calls == 9


def test_the_calls_id_is_no_input() -> None:
    """A tool that is given the id of its call is cached."""
    cache, shop, look = ToolCache(), Shop(), _made(_takes_id)
    for number in range(2):
        looked(cache, shop, ask("look", tool=look, call_id=f"c{number}"))
    assert shop.calls == 1


def test_a_path_that_leads_nowhere_is_not_cached() -> None:
    """A missing part is not the same as an equal one."""
    cache, shop = ToolCache(), Shop()
    for _ in range(2):
        looked(cache, shop, ask(state={}), replace(READ, vary_on=("state.customer",)))
    assert shop.calls == 2


def test_of_two_tools_of_one_name_neither_is_served_the_others_result() -> None:
    """Two graphs may share a store."""
    cache, shop = ToolCache(), Shop()
    for function in (_takes_id, _takes_state):
        looked(cache, shop, ask("look", tool=_made(function), state={"customer": "ann"}))
    assert shop.calls == 2


class Box(BaseModel):
    """An argument that is a model."""

    size: int = 1


@tool
def pack(box: Box) -> str:
    """Pack a box."""
    return str(box)


def test_nested_models_are_compared_by_value() -> None:
    """Their defaults count as well."""
    cache, shop = ToolCache(), Shop()
    for box in ({}, {"size": 1}, {"size": 2}):
        looked(cache, shop, ask("pack", {"box": box}, tool=pack))
    assert shop.calls == 2


class Odd(BaseModel):
    """Arguments whose schema fails in its own way."""

    item: str

    @field_validator("item")
    @classmethod
    def _fails(cls, item: str) -> str:
        raise LookupError(item)


@pytest.mark.parametrize("policy", [READ, ToolCachePolicy("write", tags=("stock:{item}",))])
def test_code_of_the_users_that_fails_breaks_no_call(policy: ToolCachePolicy) -> None:
    """A validator that raises is a miss of the cache, and the write ends all that its caller sees."""
    odd = StructuredTool.from_function(_find, name="odd", args_schema=Odd)
    cache, shop = ToolCache(), Shop()
    looked(cache, shop, ask(), OF_TENANT)
    assert looked(cache, shop, ask("odd", tool=odd), policy) == "7 left"
    looked(cache, shop, ask(), OF_TENANT)
    assert shop.calls == (2 if policy is READ else 3)


def test_type_hints_that_cannot_be_read_are_no_ground_for_a_hit() -> None:
    """What such a tool is given is not known."""
    unknown = StructuredTool.from_function(_find, name="look")
    unknown.func = _hinted_at_what_is_not_there
    cache, shop = ToolCache(), Shop()
    for _ in range(2):
        looked(cache, shop, ask("look", tool=unknown))
    assert shop.calls == 2


def _hinted_at_what_is_not_there(item: NotThere) -> str:  # type: ignore[name-defined]  # noqa: F821
    return str(item)


async def _called_by_a_server(runtime: Annotated[object | None, InjectedToolArg()] = None, **arguments: Any) -> str:
    return str(arguments)


def test_tools_of_mcp_servers_see_their_arguments_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """langchain-mcp-adapters takes the runtime for its interceptors; any other function that takes it is refused."""
    schema = {"type": "object", "properties": {"item": {"type": "string"}}}
    for module, made in (("langchain_mcp_adapters.tools", 2), ("somewhere.else", 4)):
        monkeypatch.setattr(_called_by_a_server, "__module__", module)
        served = StructuredTool(name="find", description="", args_schema=schema, coroutine=_called_by_a_server)
        cache, shop = ToolCache(), Shop()
        for item in ("lamp", "lamp", "chair", "chair"):
            looked(cache, shop, ask("find", {"item": item}, tool=served))
        assert shop.calls == made


class Named(BaseModel):
    """Arguments whose schema makes names alike."""

    item: str

    @field_validator("item")
    @classmethod
    def _lower(cls, item: str) -> str:
        return item.lower()


def test_tags_and_keys_see_what_the_tools_own_validators_make_of_arguments() -> None:
    """Whatever the model calls it, a write ends the reads of the thing that the tool takes it for."""
    named = StructuredTool.from_function(_find, name="named", args_schema=Named)
    cache, shop = ToolCache(), Shop()
    reading = ToolCachePolicy("read", scope="tenant", tags=("stock:{item}",))
    for item in ("lamp", "Lamp", "LAMP"):
        looked(cache, shop, ask("named", {"item": item}, tool=named), reading)
    assert shop.calls == 1
    cache.call(ask("sell", {"item": "LaMP"}, tool=named), lambda: None, policy=replace(WRITE, tags=("stock:{item}",)))
    looked(cache, shop, ask("named", {"item": "lamp"}, tool=named), reading)
    assert shop.calls == 2
