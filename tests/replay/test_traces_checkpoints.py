"""LangGraph checkpoints as runs: real graphs on real savers, read back from the saver and from its file."""

from __future__ import annotations

import asyncio
import importlib
import pickle
import sqlite3
import sys
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.tools import tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.replay import Episode, Faults, Tariffs, read_traces, replay
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.traces import checkpoints
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from langchain_agentcost.tokens import TokenCounter

Saver = BaseCheckpointSaver[Any]


@tool
def get_order(number: int) -> str:
    """Look up an order."""
    return f"order {number}: two lamps"


def asks(key: str, **args: Any) -> AIMessage:
    """An answer that asks for the tool."""
    return AIMessage("", tool_calls=[{"name": "get_order", "args": args, "id": key}])


def talk(saver: Saver, thread: str = "t1", **metadata: Any) -> Any:
    """A thread of two requests with three model calls; gives the agent and its config."""
    answers: list[AIMessage | str] = [asks("c1", number=3), "Two lamps.", "Goodbye."]
    counts = chain([200, 240, 290], repeat(300))
    model = FakeMeteredChatModel(answers=answers, counts=lambda *_: FakeCounts(next(counts), 8, cache_read_tokens=1))
    agent: Any = create_agent(model, [get_order], system_prompt="You work for a shop.", name="desk", checkpointer=saver)
    config: Any = {"configurable": {"thread_id": thread}, "metadata": metadata}
    given = [("user", "Hello?"), ("ai", "Hello, I am a greeting."), ("user", "Where is order 3?")]
    agent.invoke({"messages": given}, config)
    agent.invoke({"messages": [("user", "Thanks.")]}, config)
    return agent, config


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Saver]:
    """Each kind of saver."""
    if request.param == "memory":
        yield InMemorySaver()
    else:
        with SqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as made:
            yield made


def read(saver: Saver, **options: Any) -> list[Episode]:
    """What is read of a saver, without a fault."""
    faults = Faults()
    found = list(checkpoints.episodes(saver, faults=faults, **options))
    assert faults.named == []
    return found


def said(episode: Episode) -> list[list[str]]:
    """The texts of each call's prompt."""
    return [[str(message.content) for message in call.messages] for call in episode.calls]


def test_thread_becomes_an_episode(saver: Saver) -> None:
    """Every answer that a node wrote is a call, with what stood before it; one that came with the input is none."""
    talk(saver, tenant="acme")
    [episode] = read(saver)
    asked = ["Hello?", "Hello, I am a greeting.", "Where is order 3?"]
    assert said(episode) == [
        asked,
        [*asked, "", "order 3: two lamps"],
        [*asked, "", "order 3: two lamps", "Two lamps.", "Thanks."],
    ]
    assert (episode.id, episode.source, episode.benchmark, episode.success) == ("t1", "acme", "desk", None)
    assert (episode.model, episode.provider) == ("gpt-5-mini-2025-08-07", "openai")
    assert [result.content for result in episode.calls[0].results] == ["order 3: two lamps"]


def test_recorded_usage_comes_out_again(saver: Saver) -> None:
    """The prompts add up to what the provider counted, the system prompt that no checkpoint has included."""
    talk(saver)
    [episode] = read(saver)
    sizes = Sizes(episode, TokenCounter())
    assert [sum(sizes.of(message).tokens for message in call.messages) for call in episode.calls] == [200, 240, 290]
    assert [call.recorded.knows_cache for call in episode.calls] == [True] * 3
    assert len({id(call.history) for call in episode.calls}) == 1


def test_what_else_is_sent_can_be_told(saver: Saver) -> None:
    """A system prompt and tools that are told stand in every prompt."""
    talk(saver)
    schema = {"name": "get_order", "description": "Look up an order."}
    [episode] = read(saver, sent=checkpoints.Sent("You work for a shop.", [schema]))
    assert {prompt[0] for prompt in said(episode)} == {"You work for a shop."}
    assert episode.tools == (schema,)


def test_answer_by_hand_is_no_call(saver: Saver) -> None:
    """A message that `update_state` put there is part of later prompts, and no call."""
    agent, config = talk(saver)
    agent.update_state(config, {"messages": [("ai", "By hand.")]})
    agent.invoke({"messages": [("user", "Really?")]}, config)
    [episode] = read(saver)
    assert len(episode.calls) == 4
    assert said(episode)[3][-2:] == ["By hand.", "Really?"]


def test_removed_messages_were_sent_all_the_same(saver: Saver) -> None:
    """Of a thread that was trimmed, each call has the prompt of its time."""

    def trim(state: MessagesState) -> Any:
        return {"messages": [RemoveMessage(str(message.id)) for message in state["messages"][:-1]]}

    model = FakeMeteredChatModel(answers=["One.", "Two.", "Three."])
    graph = StateGraph(MessagesState)
    graph.add_node("trim", trim)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "trim")
    graph.add_edge("trim", "model")
    agent: Any = graph.compile(checkpointer=saver)
    for text in ("a", "b", "c"):
        agent.invoke({"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": "t1"}})
    [episode] = read(saver)
    assert said(episode) == [["a"], ["b"], ["c"]]
    assert [call.answer.content for call in episode.calls] == ["One.", "Two.", "Three."]


def test_subgraph_is_counted_once(saver: Saver) -> None:
    """A subgraph's calls have its own prompts, and its messages in the parent's state are no further calls."""
    answers: list[AIMessage | str] = [asks("c1", number=3), "Two lamps."]
    model = FakeMeteredChatModel(answers=answers)
    inner: Any = create_agent(model, [get_order], name="desk")
    graph = StateGraph(MessagesState)
    graph.add_node("desk", inner)
    graph.add_edge(START, "desk")
    agent: Any = graph.compile(checkpointer=saver)
    agent.invoke({"messages": [("user", "Order 3?")]}, {"configurable": {"thread_id": "t1"}})
    [episode] = read(saver)
    assert said(episode) == [["Order 3?"], ["Order 3?", "", "order 3: two lamps"]]


def test_forked_thread_has_the_calls_that_were_made(saver: Saver) -> None:
    """After going back in time, the calls of both branches are there, each with the prompt of its branch."""
    agent, config = talk(saver)
    back = next(state for state in agent.get_state_history(config) if state.next == ("model",))
    agent.invoke({"messages": [("user", "No, wait.")]}, back.config)
    [episode] = read(saver)
    assert len(episode.calls) == 4
    assert said(episode)[3][-2:] == ["Thanks.", "No, wait."]


def test_nodes_side_by_side_were_sent_the_same(saver: Saver) -> None:
    """Two answers of one step were given to the prompt that stood before both."""
    model = FakeMeteredChatModel(answers=["Left.", "Right."])
    graph = StateGraph(MessagesState)
    for name in ("left", "right"):
        graph.add_node(name, lambda state: {"messages": [model.invoke(state["messages"])]})
        graph.add_edge(START, name)
    agent: Any = graph.compile(checkpointer=saver)
    agent.invoke({"messages": [("user", "Which way?")]}, {"configurable": {"thread_id": "t1"}})
    [episode] = read(saver)
    assert said(episode) == [["Which way?"], ["Which way?"]]


def test_threads_can_be_chosen(saver: Saver) -> None:
    """All threads are read, or those that are named, in their order."""
    for thread in ("t1", "t2", "t3"):
        talk(saver, thread)
    assert sorted(episode.id for episode in read(saver)) == ["t1", "t2", "t3"]
    assert [episode.id for episode in read(saver, threads=["t3", "t1"])] == ["t3", "t1"]


def test_other_channel(saver: Saver) -> None:
    """A thread without answers in the channel is named, with what to do; the right channel has them."""
    talk(saver)
    faults = Faults()
    assert list(checkpoints.episodes(saver, messages_key="chat", faults=faults)) == []
    assert [str(fault) for fault in faults.named] == [
        "thread t1: no answer of a model in its 'chat': name another messages_key"
    ]


async def test_async_saver(tmp_path: Path) -> None:
    """An async saver is read from a thread, as the docstring says."""
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as saver:
        agent: Any = create_agent(FakeMeteredChatModel(), [], checkpointer=saver)
        await agent.ainvoke({"messages": [("user", "Hi")]}, {"configurable": {"thread_id": "t1"}})
        [episode] = await asyncio.to_thread(lambda: list(checkpoints.episodes(saver)))
    assert said(episode) == [["Hi"]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of a `SqliteSaver` with two threads."""
    path = tmp_path / "threads.db"
    with SqliteSaver.from_conn_string(str(path)) as made:
        talk(made, "t1")
        talk(made, "t2")
    return path


def test_file_is_read_by_its_path(file: Path) -> None:
    """`read_traces` takes the file of a `SqliteSaver`, by its path or URL, and does not change it."""
    before = file.read_bytes()
    for given in (file, str(file), f"sqlite:///{file}"):
        faults = Faults()
        found = list(read_traces([given], faults))
        assert ([episode.id for episode in found], faults.count) == (["t1", "t2"], 0)
        assert {episode.source for episode in found} == {"threads"}
    assert file.read_bytes() == before


def test_replayed(file: Path) -> None:
    """Threads go through every default strategy; the recorded prompts are what is billed."""
    result = replay(read_traces([file], Faults()), tariffs=Tariffs(model="claude-sonnet-4-5"))
    recorded = next(row for row in result.rows() if row.strategy == "none")
    assert (recorded.calls, recorded.input_tokens) == (6, 2 * (200 + 240 + 290))


def test_without_the_package_it_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where langgraph-checkpoint-sqlite is not installed, the error says what to install."""
    monkeypatch.setattr(checkpoints, "find_spec", lambda _: None)
    with pytest.raises(ReplayError, match="pip install langgraph-checkpoint-sqlite"):
        list(read_traces([file], Faults()))


def spoilt(file: Path, kind: str, value: bytes) -> None:
    """Write something else in the place of a thread's checkpoints."""
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE checkpoints SET type = ?, checkpoint = ? WHERE thread_id = 't1'", (kind, value))
    connection.close()


class Bomb:
    """What pickle would execute."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        """Leave a trace."""
        return exec, ("import sys; sys.bomb = True",)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("pickle", pickle.dumps(Bomb())),
        ("msgpack", b"\xc1\xc1 no msgpack"),
        ("json", b"{"),
        ("json", b'{"id": "1", "ts": null, "channel_values": {"messages": 7}}'),
        ("json", b"[]"),
        ("unheard-of", b""),
    ],
)
def test_damaged_thread_is_a_fault(file: Path, kind: str, value: bytes) -> None:
    """A thread whose checkpoints cannot be read is named; nothing of it is executed, and the others are read."""
    spoilt(file, kind, value)
    faults = Faults()
    assert [episode.id for episode in read_traces([file], faults)] == ["t2"]
    assert [fault.place for fault in faults.named] == ["thread t1"]
    assert not hasattr(sys, "bomb")


def test_no_class_is_imported_that_a_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of a class of the application's own is read as data: its module is not imported."""
    (tmp_path / "canary.py").write_text(
        "from langchain_core.messages import HumanMessage\nclass Own(HumanMessage):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "threads.db"
    with SqliteSaver.from_conn_string(str(path)) as made:
        agent: Any = create_agent(FakeMeteredChatModel(), [], checkpointer=made)
        own = importlib.import_module("canary").Own(content="Hi, own.")
        agent.invoke({"messages": [own]}, {"configurable": {"thread_id": "t1"}})
    del sys.modules["canary"]
    faults = Faults()
    [episode] = read_traces([path], faults)
    assert (said(episode), faults.count) == ([["Hi, own."]], 0)
    assert "canary" not in sys.modules


@pytest.mark.parametrize("length", [100, 5000, 9000])
def test_truncated_file(file: Path, length: int) -> None:
    """A file that is cut off is refused with a sentence that names it."""
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ReplayError, match=r"threads\.db"):
        list(read_traces([file], Faults()))


def test_sqlite_file_of_another_program(tmp_path: Path) -> None:
    """A SQLite file without checkpoints is refused with a sentence."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    connection.close()
    with pytest.raises(ReplayError, match="neither a ledger nor one of LangGraph's checkpoints"):
        list(read_traces([path], Faults()))
