from typing import Any

from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_agentcost.routing.operations import Operations, facts_of, name_of, with_settings
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel


class Invoice(BaseModel):
    """An invoice."""

    total: int


@tool
def search(query: str) -> str:
    """Search."""
    return query


@tool
def cancel(order: str) -> str:
    """Cancel an order."""
    return order


TIER = Tier("small", FakeMeteredChatModel())


def test_what_is_bound_is_bound_to_the_tier() -> None:
    """A tier gets the operations in the order in which they were called."""
    bound: Any = Operations().then("bind_tools", ([search],), {}).then("bind", (), {"stop": ["."]}).on(TIER)
    assert [one["function"]["name"] for one in bound.kwargs["tools"]] == ["search"]
    assert bound.kwargs["stop"] == ["."]


def test_a_tier_is_bound_once() -> None:
    """A graph that binds the same tools anew at each step gets the same model again."""
    first, start = [search], Operations()
    assert start.then("bind_tools", (first,), {}).on(TIER) is start.then("bind_tools", ([search],), {}).on(TIER)
    assert start.then("bind_tools", (first,), {}).on(TIER) is not start.then("bind_tools", ([cancel],), {}).on(TIER)


def test_a_router_that_nothing_is_bound_to_asks_the_model_itself() -> None:
    """Without operations there is nothing between router and model."""
    assert Operations().on(TIER) is TIER.model


def test_facts_of_tools_and_schemas() -> None:
    """What a policy looks at is read from what was bound, whatever form it has."""
    facts = Operations().then("bind_tools", ([search, Invoice],), {"tool_choice": "search"}).facts
    assert facts.tools == ("search", "Invoice")
    assert facts.forced_tool == "search"
    structured = Operations().then("with_structured_output", (Invoice,), {"method": "json_schema"}).facts
    assert structured.schema == "Invoice"
    assert structured.tools == ()


def test_facts_of_one_call() -> None:
    """What a call sends beside what is bound counts for that call."""
    facts = facts_of(Operations().then("bind_tools", ([search, cancel],), {}).queue)
    assert with_settings(facts, {"max_tokens": 5}).max_output_tokens == 5
    assert with_settings(facts, {"tools": [cancel], "tool_choice": "any"}).forced_tool == "cancel"
    assert with_settings(facts, {"tool_choice": {"type": "function", "function": {"name": "cancel"}}}).forced_tool == (
        "cancel"
    )
    assert with_settings(facts, {"tool_choice": "any"}).forced_tool is None
    assert with_settings(facts, {}) is facts


def test_names_of_tools_in_every_form() -> None:
    """Functions, classes, mappings and a provider's own tools all have a name."""
    assert name_of(search) == "search"
    assert name_of(Invoice) == "Invoice"
    assert name_of({"title": "Receipt", "type": "object", "properties": {}}) == "Receipt"
    assert name_of({"type": "function", "function": {"name": "go", "parameters": {}}}) == "go"
    assert name_of({"type": "web_search"}) == "web_search"
    assert name_of({"name": "look", "input_schema": {"type": "object"}}) == "look"
    assert name_of({}) == "a tool"
    assert name_of(object()) == "object"
