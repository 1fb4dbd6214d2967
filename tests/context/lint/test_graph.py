"""What can be seen of a graph without running it."""

from __future__ import annotations

from functools import partial
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware, TodoListMiddleware, dynamic_prompt
from langchain_core.messages import SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableBinding
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from langchain_agentcost.context.lint.graph import of_graph
from langchain_agentcost.context.lint.subject import Subject
from langchain_agentcost.context.lint.tool_parts import name_of
from langchain_agentcost.testing import FakeMeteredChatModel

SYSTEM_PROMPT = "You are the clerk of a depot. Be brief."
MODEL = FakeMeteredChatModel(model="gpt-4.1")


@tool
def track(parcel: str) -> str:
    """Track a parcel."""
    return ""


@tool
def cancel(parcel: str) -> str:
    """Cancel a parcel."""
    return ""


BOUND = MODEL.bind_tools([track])


def one(graph: object) -> Subject:
    """The only subject of a graph."""
    [found] = of_graph(graph, name="shop")
    return found


def names(subject: Subject) -> list[str]:
    """The names of its tools."""
    return [name_of(described) for described in subject.tools]


def test_an_agent_is_seen() -> None:
    """An agent's system message, tools and model are found, and its middleware is told."""

    @dynamic_prompt
    def greet(_request: Any) -> str:
        return "You greet."

    found = one(create_agent(MODEL, [track, cancel], system_prompt=SYSTEM_PROMPT, middleware=[greet]))
    assert (found.name, found.system, names(found)) == ("shop > model", SYSTEM_PROMPT, ["track", "cancel"])
    assert (found.model, found.provider) == ("gpt-4.1", "openai")
    assert any("middleware greet changes while the agent runs is not seen" in note for note in found.unseen)


def ask(state: MessagesState) -> dict[str, Any]:
    """Ask with what stands in globals."""
    return {"messages": [BOUND.invoke([SystemMessage(SYSTEM_PROMPT), *state["messages"]])]}


class Asker:
    """Asks with what it holds."""

    def __init__(self, system_prompt: str) -> None:
        self.system_prompt = system_prompt
        self.model = MODEL.bind_tools([cancel])

    def ask(self, state: MessagesState) -> dict[str, Any]:
        """Ask with it."""
        return {"messages": [self.model.invoke([SystemMessage(self.system_prompt), *state["messages"]])]}


def test_nodes_of_an_own_graph_are_seen() -> None:
    """Functions, methods, partials and agents in a graph are subjects of their own; tool nodes are none."""
    builder = StateGraph(MessagesState)
    builder.add_node("function", ask)
    builder.add_node("method", Asker("You cancel parcels for people.").ask)
    builder.add_node("partial", partial(_asked, prompt="You look parcels up for people.", model=MODEL))
    builder.add_node("agent", create_agent(MODEL, [track], system_prompt="You track parcels."))
    builder.add_node("tools", ToolNode([track]))
    builder.add_edge(START, "function")
    found = {subject.name: subject for subject in of_graph(builder.compile(), name="shop")}
    assert {name: (subject.system, names(subject)) for name, subject in found.items()} == {
        "shop > function": (SYSTEM_PROMPT, ["track"]),
        "shop > method": ("You cancel parcels for people.", ["cancel"]),
        "shop > partial": ("You look parcels up for people.", []),
        "shop > agent > model": ("You track parcels.", ["track"]),
    }


def _asked(state: MessagesState, *, prompt: str, model: FakeMeteredChatModel) -> dict[str, Any]:
    return {"messages": [model.invoke([SystemMessage(prompt), *state["messages"]])]}


def test_a_chain_is_seen_and_its_variables_are_told() -> None:
    """A template's system message is found; what is filled in while it runs is told."""
    prompt = ChatPromptTemplate.from_messages([("system", "You help {person}."), ("human", "{question}")])
    found = one(prompt | BOUND)
    assert found.system == "You help {person}."
    assert names(found) == ["track"]
    assert found.unseen[0].startswith("The system template's person are filled in")


def test_what_is_not_found_is_told() -> None:
    """A graph without a model, and a thing that is none, say so; a model without a system message too."""
    assert "No model, system message or tool was found" in one(object()).unseen[0]
    assert "No system message was found" in one(create_agent(MODEL, [track])).unseen[0]


def test_a_tool_of_the_provider_is_seen() -> None:
    """A tool that runs at the provider is among the tools, as it is sent."""
    search = {"type": "web_search"}
    assert search in one(create_agent(MODEL, [track, search], system_prompt=SYSTEM_PROMPT)).tools


def test_a_graph_in_a_binding_is_seen() -> None:
    """Configuration, once or twice around a graph, hides nothing of it."""
    agent: Any = create_agent(MODEL, [track], system_prompt=SYSTEM_PROMPT)
    for wrapped in (RunnableBinding(bound=agent, kwargs={}), RunnableBinding(bound=agent.with_config(tags=["a"]))):
        found = one(wrapped)
        assert (found.name, found.system, names(found)) == ("shop > model", SYSTEM_PROMPT, ["track"])


CLERK = create_agent(MODEL, [cancel], system_prompt="You cancel parcels.")


def delegate(state: MessagesState) -> Any:
    """Ask an agent of its own."""
    return CLERK.invoke(state)  # type: ignore[arg-type]


def test_a_graph_that_a_node_calls_is_seen() -> None:
    """A node whose function calls a compiled graph has that graph's calls, once, however often it is called."""
    builder = StateGraph(MessagesState)
    builder.add_node("first", delegate)
    builder.add_node("second", delegate)
    builder.add_edge(START, "first")
    found = one(builder.compile())
    assert (found.name, found.system) == ("shop > first > CLERK > model", "You cancel parcels.")
    assert names(found) == ["cancel"]


def test_what_is_no_graph_yet_is_told() -> None:
    """A graph that is not compiled and a function that makes one are not run: it says what to do."""
    builder = StateGraph(MessagesState)
    builder.add_node("function", ask)
    builder.add_edge(START, "function")
    assert "compile()" in one(builder).unseen[0]

    def make() -> Any:
        return CLERK

    assert "lint what it returns" in one(make).unseen[0]
    assert one(make).system == ""


def test_what_a_middleware_asks_by_itself_is_not_in_front_of_every_call() -> None:
    """A summariser's prompt and model are its own; what another middleware says in each call is looked at."""
    summariser = SummarizationMiddleware(FakeMeteredChatModel(model="gpt-4.1-mini"), trigger=("tokens", 100))
    others: list[Any] = [TodoListMiddleware(), summariser]
    found = one(create_agent(MODEL, [track], system_prompt=SYSTEM_PROMPT, middleware=others))
    assert (found.name, found.model) == ("shop > model", "gpt-4.1")
    assert "write_todos" in found.system
    assert summariser.summary_prompt[:40] not in found.system
    assert any("SummarizationMiddleware asks a model of its own is not" in note for note in found.unseen)
