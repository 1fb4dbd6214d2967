"""Real agents and graphs with references, on a model that answers what it is told to."""

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.store.base import BaseStore
from langgraph.store.sqlite import SqliteStore
from langgraph.store.sqlite.aio import AsyncSqliteStore
from langgraph.types import Command
from pydantic import SecretStr

from langchain_agentcost.context.blocks import validate
from langchain_agentcost.context.references.marks import Mark, ReadBack
from langchain_agentcost.context.references.middleware import ReferenceMiddleware
from langchain_agentcost.context.references.policy import ReferencePolicy
from langchain_agentcost.context.references.read_ref import read_ref_tool
from langchain_agentcost.context.references.references import References
from langchain_agentcost.context.references.telling import REFERENCE_OFF
from langchain_agentcost.testing import FakeMeteredChatModel


def log(day: int) -> str:
    """A log of one day."""
    return "\n".join(f"day {day} step {n}: parcel_{day}_{n} went to bay {n % 13} of hall {n % 3}" for n in range(500))


@tool
def read_log(day: int) -> str:
    """Give the log of a day."""
    return log(day)


@tool
def note_log(day: int, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Give the log of a day, as a command."""
    return Command(update={"messages": [ToolMessage(log(day), tool_call_id=tool_call_id)]})


def call(name: str, number: int, **args: Any) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"c{number}"}])


def model(first: str = "read_log") -> FakeMeteredChatModel:
    """A model that asks for a log, looks for a parcel in what was put aside, and answers with what it read."""

    def answer(messages: Sequence[BaseMessage]) -> AIMessage:
        results = [one for one in messages if isinstance(one, ToolMessage)]
        asked = next(one.text for one in reversed(messages) if isinstance(one, HumanMessage))
        day = int(asked.split()[-1])
        if not results:
            return call(first, 1, day=day)
        mark = Mark.of(results[-1])
        if mark is not None:
            return call("read_ref", len(results) + 1, ref=f"ref:{mark.ref}", query=f"parcel_{day}_321")
        return AIMessage(next(line for line in results[-1].text.splitlines() if f"parcel_{day}_321 " in line))

    return FakeMeteredChatModel(answers=answer)


def asking(day: int) -> dict[str, Any]:
    """The question of a day."""
    return {"messages": [HumanMessage(f"Where is parcel 321 of day {day}")]}


def check(messages: Sequence[BaseMessage], references: References, day: int) -> None:
    """The answer was read back, the pairs are whole, and no prompt ever held the log."""
    assert messages[-1].text == f"day {day} step 321: parcel_{day}_321 went to bay 9 of hall 0"
    assert validate(messages) == ()
    assert all(len(one.text) < len(log(day)) / 3 for one in messages)
    assert references.report().total.refetches >= 1


def agent(references: References, first: str = "read_log", tools: Sequence[BaseTool] = (read_log, note_log)) -> Any:
    """An agent of LangChain."""
    return create_agent(model(first), list(tools), middleware=[ReferenceMiddleware(references)])


@pytest.mark.parametrize("first", ["read_log", "note_log"])
async def test_an_agent_reads_back_what_it_needs(first: str) -> None:
    """Sync and async, for a tool that gives a text and for one that gives a command."""
    references = References()
    check(agent(references, first).invoke(asking(1))["messages"], references, 1)
    check((await agent(references, first).ainvoke(asking(2)))["messages"], references, 2)
    counts = references.report().tools[first]
    assert (counts.offloads, counts.refetches, counts.extra_calls) == (2, 2, 2)
    assert counts.spared_again_tokens == counts.saved_tokens


def test_every_prompt_begins_with_the_one_before() -> None:
    """The prompt cache stays: what was sent once is never changed."""
    asked = model()
    made: Any = create_agent(asked, [read_log], middleware=[ReferenceMiddleware()])
    made.invoke(asking(1))
    prompts = asked.prompts
    assert len(prompts) == 3
    for before, after in pairwise(prompts):
        assert [one.content for one in after[: len(before)]] == [one.content for one in before]


async def test_agents_in_threads_and_tasks_keep_apart() -> None:
    """Each thread of conversation finds its own text, and the counts are exact."""
    references = References(policy=ReferencePolicy(min_offloads=1_000))
    shared = agent(references)

    def config(day: int) -> dict[str, Any]:
        return {"configurable": {"thread_id": f"t{day}"}}

    with ThreadPoolExecutor(4) as pool:
        days = list(pool.map(lambda day: shared.invoke(asking(day), config(day))["messages"], range(8)))
    later = await asyncio.gather(*[shared.ainvoke(asking(day), config(day)) for day in range(8, 16)])
    for day, messages in enumerate([*days, *(one["messages"] for one in later)]):
        check(messages, references, day)
    assert references.report().tools["read_log"].offloads == 16


async def test_stores_on_disk(tmp_path: Path) -> None:
    """SQLite, sync and async."""
    with SqliteStore.from_conn_string(str(tmp_path / "a.db")) as store:
        store.setup()
        references = References(store)
        check(agent(references).invoke(asking(1))["messages"], references, 1)
    async with AsyncSqliteStore.from_conn_string(str(tmp_path / "b.db")) as later:
        await later.setup()
        references = References(later)
        check((await agent(references).ainvoke(asking(2)))["messages"], references, 2)


def test_a_thread_that_goes_on_later_reads_what_was_put_aside_before(tmp_path: Path) -> None:
    """With a checkpointer and a store that outlive the process's objects."""
    saver = InMemorySaver()
    with SqliteStore.from_conn_string(str(tmp_path / "a.db")) as store:
        store.setup()
        for references in (References(store), References(store)):
            made: Any = create_agent(
                model(), [read_log], middleware=[ReferenceMiddleware(references)], checkpointer=saver
            )
            messages = made.invoke(asking(1), {"configurable": {"thread_id": "t"}})["messages"]
            assert "parcel_1_321" in messages[-1].text


def graph(references: References, store: BaseStore | None = None) -> Any:
    """A plain graph with a ToolNode."""
    tools = [read_log, note_log, read_ref_tool(references)]
    node = ToolNode(tools, wrap_tool_call=references.wrap_tool_call, awrap_tool_call=references.awrap_tool_call)
    asked = model()

    def think(state: MessagesState) -> dict[str, Any]:
        references.count_prompt(state["messages"])
        return {"messages": [asked.invoke(state["messages"])]}

    def goes_on(state: MessagesState) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else END

    builder = StateGraph(MessagesState)
    builder.add_node("think", think)
    builder.add_node("tools", node)
    builder.add_edge(START, "think")
    builder.add_conditional_edges("think", goes_on, ["tools", END])
    builder.add_edge("tools", "think")
    return builder.compile(store=store)


async def test_a_plain_tool_node_reads_back_too() -> None:
    """Sync and async."""
    references = References()
    check(graph(references).invoke(asking(1))["messages"], references, 1)
    check((await graph(references).ainvoke(asking(2)))["messages"], references, 2)
    assert references.report().total.extra_calls == 2


def test_the_same_call_again_costs_a_note() -> None:
    """The history of the run is where the first one is found."""
    answers: list[AIMessage | str] = [call("read_log", 1, day=1), call("read_log", 2, day=1), "Twice the same."]
    made: Any = create_agent(FakeMeteredChatModel(answers=answers), [read_log], middleware=[ReferenceMiddleware()])
    messages = made.invoke(asking(1))["messages"]
    assert messages[4].text.startswith('Word for word the result of read_log({"day": 1}) above.')


def test_what_is_read_back_is_not_put_aside_again() -> None:
    """However low the threshold is, the agent gets what it asked for, and it is noted what that was."""
    references = References(policy=ReferencePolicy(above_tokens=300))
    messages = agent(references).invoke(asking(1))["messages"]
    read = next(one for one in messages if isinstance(one, ToolMessage) and one.name == "read_ref")
    assert Mark.of(read) is None
    assert ReadBack.of(read) is not None
    assert len(read.text) > 1_200


class Listener(BaseCallbackHandler):
    """Hears custom events."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
        """Note one."""
        self.heard.append((name, data))


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_tool_that_does_not_pay_is_told_by_an_event(mode: str) -> None:
    """Once, with its counts; from then on the agent gets its results whole."""
    references = References(policy=ReferencePolicy(min_offloads=1))
    pages = [call("read_log", 1, day=1)]

    def answer(messages: Sequence[BaseMessage]) -> AIMessage:
        marks = [mark for one in messages if (mark := Mark.of(one)) is not None]
        number = len(messages)
        if not marks:
            return pages[0]
        if number < 40:
            return call("read_ref", number, ref=marks[0].ref, lines=f"{number * 10}-")
        return call("read_log", number, day=2) if number < 42 else AIMessage("Done.")

    listener = Listener()
    made: Any = create_agent(
        FakeMeteredChatModel(answers=answer), [read_log], middleware=[ReferenceMiddleware(references)]
    )
    config: Any = {"callbacks": [listener], "recursion_limit": 200}
    given = made.invoke(asking(1), config) if mode == "sync" else await made.ainvoke(asking(1), config)
    told = [data for name, data in listener.heard if name == REFERENCE_OFF]
    assert len(told) == 1
    assert told[0]["tool"] == "read_log"
    assert told[0]["net_tokens"] < 0
    assert any(one.text == log(2) for one in given["messages"])


def test_the_tool_is_short_and_takes_what_it_is_given() -> None:
    """Its schema is in every prompt, and models write arguments in their own way."""
    references = References()
    made = read_ref_tool(references)
    assert set(made.args) == {"ref", "query", "lines", "jsonpath"}
    ref = Mark.of(references.offload(ToolMessage(log(1), tool_call_id="1", name="read_log")))
    assert ref is not None
    said = made.invoke({"name": "read_ref", "args": {"ref": ref.ref, "lines": "3"}, "id": "9", "type": "tool_call"})
    assert said.text.startswith("day 1 step 2:")


def test_providers_are_not_sent_what_is_noted_on_a_message() -> None:
    """OpenAI's and Anthropic's classes send the text and the id alone."""
    short = References().offload(ToolMessage(log(1), tool_call_id="c1", name="read_log"))
    assert Mark.of(short) is not None
    history = [HumanMessage("Where is it?"), call("read_log", 1, day=1), short]
    openai = ChatOpenAI(model="gpt-4.1", api_key=SecretStr("none"))
    anthropic = ChatAnthropic(model_name="claude-sonnet-4-5", api_key=SecretStr("none"), timeout=None, stop=None)
    for chat in (openai, anthropic):
        sent = json.dumps(chat._get_request_payload(history), default=str)
        assert f"ref:{Mark.of(short).ref}" in sent  # type: ignore[union-attr]
        assert "saved_tokens" not in sent
