from __future__ import annotations

import asyncio
import operator
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Event, Lock
from typing import Annotated, Any, Literal, TypedDict
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt
from pydantic import BaseModel

from langchain_agentcost import CostMeter
from langchain_agentcost.caching import ToolCachePolicy, cached_subgraph, cached_tool
from langchain_agentcost.caching.fill import FillRecorder
from langchain_agentcost.caching.shelf import Shelf
from langchain_agentcost.caching.stores import open_cache_store
from langchain_agentcost.caching.subgraph import CachedSubgraph
from langchain_agentcost.errors import CacheError, CacheWarning, Unkeyable
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from tests.caching.asked_graphs import Asked, Listener, Talk, calling, of, one_node, parent_of
from tests.caching.desk import alike_cache


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word}: a word"


@tool
def send_mail(text: str) -> str:
    """Send a mail."""
    return "sent"


@tool
def broken(text: str) -> str:
    """Fail."""
    raise ValueError(text)


def agent(uses: Any, **made: Any) -> tuple[Any, FakeMeteredChatModel]:
    """An agent that calls one tool and then answers."""

    def answer(prompt: list[Any]) -> Any:
        return "done" if prompt[-1].type == "tool" else calling(uses.name, **dict.fromkeys(uses.args, "x"))

    model = FakeMeteredChatModel(answers=answer)
    return create_agent(model, [uses], name="agent", **made), model


class Runs:
    """Counts the runs of a node, from any thread."""

    __agentcost_fingerprint__ = "has no say in what a graph answers"

    def __init__(self) -> None:
        self._lock = Lock()
        self.number = 0

    def one_more(self) -> int:
        """Count one, and give the number."""
        with self._lock:
            self.number += 1
            return self.number


RUNS = Runs()


@pytest.fixture
def runs() -> Runs:
    """The counter of this test."""
    RUNS.number = 0
    return RUNS


def shout(state: Asked) -> Asked:
    """Answer in capitals."""
    RUNS.one_more()
    return {"answer": state["question"].upper()}


def test_the_same_question_runs_the_graph_once(runs: Runs) -> None:
    """Of two equal questions the second is answered with what the first one's run gave."""
    graph = parent_of(cached_subgraph(one_node(shout), key=["question"]))
    first, again = (graph.invoke({"question": "where?"}, of(thread=thread)) for thread in "12")
    assert first == again == {"question": "where?", "answer": "WHERE?"}
    assert runs.number == 1


def test_an_agent_that_is_asked_again_calls_no_model() -> None:
    """Messages without ids never cause a miss: real calls are 2, 0, 0, 0."""
    inner, model = agent(look_up)
    graph = parent_of(cached_subgraph(inner, key=["messages"], read_tools=["look_up"]), MessagesState)
    made = []
    for thread in "1234":
        before = len(model.prompts)
        said = graph.invoke({"messages": [HumanMessage("What is a word?")]}, of(thread=thread))["messages"]
        assert [message.text for message in said] == ["What is a word?", "", "x: a word", "done"]
        made.append(len(model.prompts) - before)
    assert made == [2, 0, 0, 0]


async def test_async_and_sync_callers_share_results(runs: Runs) -> None:
    """What an async run has kept is served to a sync one, and the other way round."""
    graph = parent_of(cached_subgraph(one_node(shout), key=["question"]))
    await graph.ainvoke({"question": "a"}, of())
    graph.invoke({"question": "a"}, of())
    graph.invoke({"question": "b"}, of())
    await graph.ainvoke({"question": "b"}, of())
    assert runs.number == 2


@pytest.mark.parametrize("scope", ["user", "tenant"])
def test_tenants_never_share(runs: Runs, scope: Literal["user", "tenant"]) -> None:
    """Three tenants with the same question run the graph three times."""
    graph = parent_of(cached_subgraph(one_node(shout), key=["question"], scope=scope))
    for tenant in ("a", "b", "c", "a"):
        graph.invoke({"question": "same"}, of(tenant))
    assert runs.number == 3


NAMES = st.text(st.characters(codec=None, categories=None) | st.sampled_from("\0,|:/ "), max_size=4)


@given(one=st.tuples(NAMES, NAMES), other=st.tuples(NAMES, NAMES))
def test_no_two_callers_share_whatever_they_are_called(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Whatever characters tenants and users consist of, only the same user of the same tenant is served."""
    RUNS.number = 0
    graph = parent_of(cached_subgraph(SHOUTING, key=["question"]))
    graph.invoke({"question": "same"}, of(*one))
    graph.invoke({"question": "same"}, of(*other))
    assert RUNS.number == (1 if one == other else 2)


SHOUTING = one_node(shout)


def test_without_a_user_results_stay_in_the_thread(runs: Runs) -> None:
    """Where no tenant is known, another thread's result is not served."""
    graph = parent_of(cached_subgraph(one_node(shout), key=["question"]))
    for thread in ("1", "1", "2"):
        graph.invoke({"question": "same"}, of(None, None, thread=thread))
    assert runs.number == 2


def test_without_anybody_known_nothing_is_cached(runs: Runs) -> None:
    """Outside LangGraph and without metadata every call runs the graph, and a warning says why."""
    node = cached_subgraph(one_node(shout), key=["question"])
    with pytest.warns(CacheWarning, match="Nothing is cached"):
        node.invoke({"question": "same"})
    node.invoke({"question": "same"})
    assert runs.number == 2


def saying(text: str) -> Any:
    """Make a graph that always says the same."""

    def say(state: Asked) -> Asked:
        return {"answer": text}

    return one_node(say)


def test_two_closures_of_one_factory_never_share() -> None:
    """Functions that captured different values are different graphs, also on one store."""
    shelf = Shelf()
    answers = [
        parent_of(cached_subgraph(saying(text), key=["question"], store=shelf)).invoke({"question": "q"}, of())
        for text in ("v1", "v2", "v1")
    ]
    assert [said["answer"] for said in answers] == ["v1", "v2", "v1"]
    assert shelf.counts == {"misses": 2, "hits": 1}


def test_two_agents_with_the_same_nodes_never_share() -> None:
    """Agents that differ in nothing but their prompt do not answer for one another."""
    shelf = Shelf()
    for prompt in ("Be brief.", "Be kind."):
        inner = create_agent(FakeMeteredChatModel(answers=[prompt]), system_prompt=prompt)
        graph = parent_of(cached_subgraph(inner, key=["messages"], store=shelf), MessagesState)
        assert graph.invoke({"messages": [HumanMessage("Hi")]}, of())["messages"][-1].text == prompt
    assert shelf.counts == {"misses": 2}


def test_another_version_is_another_cache(runs: Runs) -> None:
    """The user's own version parts what the graph itself does not show."""
    shelf = Shelf()
    for version in ("1", "2", "1"):
        node = cached_subgraph(one_node(shout), key=["question"], version=version, store=shelf)
        parent_of(node).invoke({"question": "q"}, of())
    assert runs.number == 2


def remark(state: Talk) -> Any:
    """Add a message, always with the same id."""
    RUNS.one_more()
    return {"messages": [AIMessage(f"On {state['question']}", id="the-same-id")]}


def test_a_thread_that_asks_twice_holds_both_answers(runs: Runs) -> None:
    """A stored message that is served in its own thread is added to it, and replaces nothing."""
    node = cached_subgraph(one_node(remark, Talk), key=["question"])
    graph = parent_of(node, Talk, checkpointer=InMemorySaver())
    for said in ("one", "two"):
        out = graph.invoke({"question": "rain", "messages": [HumanMessage(said)]}, of())
    assert [message.text for message in out["messages"]] == ["one", "On rain", "two", "On rain"]
    assert runs.number == 1


def test_nothing_of_another_thread_is_served(runs: Runs) -> None:
    """What a thread held beside the question is not in what others get, and what they hold is kept."""
    graph = parent_of(cached_subgraph(one_node(remark, Talk), key=["question"]), Talk)
    graph.invoke({"question": "rain", "messages": [HumanMessage("my secret")]}, of(thread="1"))
    out = graph.invoke({"question": "rain", "messages": [HumanMessage("hello")]}, of(thread="2"))
    assert [message.text for message in out["messages"]] == ["hello", "On rain"]
    assert runs.number == 1


def test_a_value_that_was_there_before_is_served_where_it_was_not(runs: Runs) -> None:
    """A node that wrote what its state already held has written it all the same."""
    graph = parent_of(cached_subgraph(one_node(shout), key=["question"]))
    graph.invoke({"question": "a", "answer": "A", "known": "mine"}, of())
    out = graph.invoke({"question": "a", "answer": "other", "known": "yours"}, of())
    assert out == {"question": "a", "answer": "A", "known": "yours"}
    assert runs.number == 1


class Tallied(Asked):
    """A question, and how many steps it took."""

    steps: Annotated[int, operator.add]
    notes: Annotated[list[str], operator.add]


def test_a_sum_that_depends_on_what_was_before_is_not_kept(runs: Runs) -> None:
    """A channel that adds up numbers holds more than this run's, so every run is made."""

    def step(state: Tallied) -> Any:
        RUNS.one_more()
        return {"steps": 1}

    node = cached_subgraph(one_node(step, Tallied), key=["question"])
    for before in (0, 5):
        out = parent_of(node, Tallied).invoke({"question": "a", "steps": before}, of())
    assert out["steps"] == 5 + 5 + 1  # as without a cache: a subgraph gives its sum, which the parent adds again
    assert runs.number == 2
    assert node.counts["refused_unstorable"] == 2


def test_of_a_list_only_what_was_added_is_served(runs: Runs) -> None:
    """A channel that joins lists gives another state its own items and the new ones, as a run would."""

    def note(state: Tallied) -> Any:
        RUNS.one_more()
        return {"notes": ["new"]}

    inner = one_node(note, Tallied)
    node = cached_subgraph(inner, key=["question"])
    parent_of(node, Tallied).invoke({"question": "a", "notes": ["mine"]}, of())
    state = {"question": "a", "notes": ["yours"]}
    assert parent_of(node, Tallied).invoke(state, of()) == parent_of(inner, Tallied).invoke(state, of())
    assert node.counts == {"misses": 1, "hits": 1}


def joined(notes: list[str], writes: Sequence[list[str]]) -> list[str]:
    """Join lists, batch by batch."""
    return [*notes, *(note for write in writes for note in write)]


class Noted(TypedDict, total=False):
    """A question with notes that a checkpoint holds as differences."""

    question: str
    notes: Annotated[list[str], DeltaChannel(joined)]


def test_a_channel_of_differences_is_served_as_a_list_is(runs: Runs) -> None:
    """With a DeltaChannel, in a thread of its own checkpointer, a hit gives what a run would."""

    def note(state: Noted) -> Any:
        RUNS.one_more()
        return {"notes": ["new"]}

    inner = one_node(note, Noted)
    outs = []
    for node in (cached_subgraph(inner, key=["question"]), inner):
        graph = parent_of(node, Noted, checkpointer=InMemorySaver())
        for thread, notes in (("1", ["mine"]), ("2", ["yours"]), ("2", ["more"])):
            outs.append(graph.invoke({"question": "a", "notes": notes}, of(thread=thread))["notes"])
    assert outs[:3] == outs[3:]
    assert runs.number == 1 + 3


def test_tokens_of_the_graph_inside_are_streamed() -> None:
    """On a miss a model's pieces stream through the parent; on a hit the stored message comes whole."""
    inner = create_agent(FakeMeteredChatModel(answers=["one two three"]))
    graph = parent_of(cached_subgraph(inner, key=["messages"]), MessagesState)
    pieces = []
    for _ in range(2):
        state = {"messages": [HumanMessage("Count.")]}
        streamed = graph.stream(state, of(), stream_mode="messages", subgraphs=True)
        pieces.append([str(piece.text) for _, (piece, _) in streamed if piece.type != "human" and piece.text])
    assert len(pieces[0]) > 1
    assert "".join(pieces[0]) == "".join(pieces[1]) == "one two three"


def test_a_tool_that_asks_a_cached_subgraph_is_served(runs: Runs) -> None:
    """Called in a tool of an agent, the subgraph knows who asks as it does as a node."""
    node = cached_subgraph(one_node(shout), key=["question"])

    @tool
    def research(question: str) -> str:
        """Look something up."""
        return str(node.invoke({"question": question})["answer"])

    asking, _ = agent(research)
    for tenant in "aab":
        asking.invoke({"messages": [HumanMessage("Go")]}, of(tenant))
    assert runs.number == 2


def test_a_run_that_removed_messages_is_not_kept(runs: Runs) -> None:
    """What cannot be said as an addition to another thread is not served there."""

    def shorten(state: Talk) -> Any:
        RUNS.one_more()
        return {"messages": [RemoveMessage(id=str(state["messages"][0].id)), AIMessage("Shorter.")]}

    node = cached_subgraph(one_node(shorten, Talk), key=["question"])
    for thread in "12":
        parent_of(node, Talk).invoke({"question": "a", "messages": [HumanMessage("long")]}, of(thread=thread))
    assert runs.number == 2
    assert node.counts["refused_unstorable"] == 2


def test_what_cannot_be_stored_is_handed_on_and_not_kept(runs: Runs) -> None:
    """A result that holds an object reaches the caller as it is, every time from a run of its own."""

    def open_it(state: Asked) -> Any:
        RUNS.one_more()
        return {"answer": Barrier(1)}

    node = cached_subgraph(one_node(open_it), key=["question"])
    outs = [parent_of(node).invoke({"question": "a"}, of()) for _ in range(2)]
    assert all(isinstance(out["answer"], Barrier) for out in outs)
    assert node.counts == {"misses": 2, "refused_unstorable": 2}


@pytest.mark.parametrize(("uses", "read_tools"), [(send_mail, ()), (send_mail, ("look_up",)), (look_up, ())])
def test_a_run_with_a_tool_that_may_write_is_not_kept(uses: Any, read_tools: Any) -> None:
    """A tool of which nothing is known writes: its run is made every time."""
    inner, model = agent(uses)
    node = cached_subgraph(inner, key=["messages"], read_tools=read_tools)
    for _ in range(2):
        parent_of(node, MessagesState).invoke({"messages": [HumanMessage("Go.")]}, of())
    assert len(model.prompts) == 4
    assert node.counts == {"misses": 2, "refused_write_tool": 2}


def test_a_run_whose_tool_failed_is_not_kept() -> None:
    """An answer that was made of a failure is not served to others."""
    model = FakeMeteredChatModel(answers=[AIMessage("Sorry.")])

    def work(state: Talk) -> Any:
        try:
            broken.invoke({"text": "no"})
        except ValueError as error:
            return {"messages": [model.invoke(str(error))]}
        return {}

    node = cached_subgraph(one_node(work, Talk), key=["question"], read_tools=["broken"])
    for _ in range(2):
        parent_of(node, Talk).invoke({"question": "a", "messages": []}, of())
    assert node.counts == {"misses": 2, "refused_tool_failed": 2}


def test_a_run_with_an_answer_cut_short_is_not_kept() -> None:
    """An answer that hit the limit of its length is made anew."""
    cut = AIMessage("On and", response_metadata={"finish_reason": "length"})
    inner = create_agent(FakeMeteredChatModel(answers=[cut, AIMessage("On and on.")]))
    graph = parent_of(cached_subgraph(inner, key=["messages"]), MessagesState)
    texts = [graph.invoke({"messages": [HumanMessage("Go")]}, of())["messages"][-1].text for _ in range(3)]
    assert texts == ["On and", "On and on.", "On and on."]


def approve(state: Asked) -> Asked:
    """Ask a person."""
    RUNS.one_more()
    return {"answer": interrupt("May I?")}


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A checkpointer."""
    if request.param == "memory":
        yield InMemorySaver()
        return
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as sqlite:
        yield sqlite


def test_what_a_person_decided_holds_for_one_run(runs: Runs, saver: Any) -> None:
    """An interrupted subgraph goes on with the answer it waited for, and no other run gets that."""
    node = cached_subgraph(one_node(approve), key=["question"])
    graph = parent_of(node, checkpointer=saver)
    for thread, word in (("1", "yes"), ("2", "no")):
        paused = graph.invoke({"question": "a"}, of(thread=thread))
        assert [asked.value for asked in paused["__interrupt__"]] == ["May I?"]
        assert graph.invoke(Command(resume=word), of(thread=thread))["answer"] == word
    assert node.counts == {"misses": 2, "refused_interrupted": 2, "refused_resumed": 2}


async def test_what_a_person_decided_holds_for_one_async_run(runs: Runs) -> None:
    """The same from async code."""
    node = cached_subgraph(one_node(approve), key=["question"])
    graph = parent_of(node, checkpointer=InMemorySaver())
    for thread, word in (("1", "yes"), ("2", "no")):
        await graph.ainvoke({"question": "a"}, of(thread=thread))
        assert (await graph.ainvoke(Command(resume=word), of(thread=thread)))["answer"] == word
    assert node.counts == {"misses": 2, "refused_interrupted": 2, "refused_resumed": 2}


def test_a_paused_run_goes_on_though_another_was_answered_meanwhile(runs: Runs) -> None:
    """A person's answer is not passed over because an equal question has a stored result by then."""

    def ask_once(state: Asked) -> Asked:
        return {"answer": interrupt("May I?") if RUNS.one_more() == 1 or RUNS.number > 2 else "free"}

    node = cached_subgraph(one_node(ask_once), key=["question"])
    graph = parent_of(node, checkpointer=InMemorySaver())
    graph.invoke({"question": "a"}, of(thread="1"))
    assert graph.invoke({"question": "a"}, of(thread="2"))["answer"] == "free"
    assert graph.invoke(Command(resume="asked"), of(thread="1"))["answer"] == "asked"


def test_a_person_who_has_to_approve_a_tool_is_always_asked() -> None:
    """An agent with a human in the loop stops before its tool in every run."""
    inner, _ = agent(look_up, middleware=[HumanInTheLoopMiddleware(interrupt_on={"look_up": True})])
    node = cached_subgraph(inner, key=["messages"], read_tools=["look_up"])
    graph = parent_of(node, MessagesState, checkpointer=InMemorySaver())
    for thread in "12":
        assert "__interrupt__" in graph.invoke({"messages": [HumanMessage("Go")]}, of(thread=thread))
        resumed = graph.invoke(Command(resume={"decisions": [{"type": "approve"}]}), of(thread=thread))
        assert resumed["messages"][-1].text == "done"


def test_the_rest_of_a_run_is_not_taken_for_the_whole(runs: Runs) -> None:
    """A run that failed after a write and goes on from its checkpoint shows no write, and is not kept either."""

    def write(state: Asked) -> Asked:
        send_mail.invoke({"text": "hello"})
        return {"known": "sent"}

    def fail_once(state: Asked) -> Asked:
        if RUNS.one_more() == 1:
            raise ConnectionError
        return {"answer": "ok"}

    inner = StateGraph(Asked).add_node("write", write).add_node("then", fail_once)
    node = cached_subgraph(inner.add_edge(START, "write").add_edge("write", "then").compile(), key=["question"])
    graph = parent_of(node, checkpointer=InMemorySaver())
    with pytest.raises(ConnectionError):
        graph.invoke({"question": "a"}, of())
    assert graph.invoke(None, of())["answer"] == "ok"
    assert node.counts == {"misses": 1, "refused_raised": 1, "refused_resumed": 1}


def test_a_retry_of_the_node_is_not_kept_as_the_whole(runs: Runs) -> None:
    """Where LangGraph runs the node again after an error, nothing is kept of what may be half a run."""

    def fail_once(state: Asked) -> Asked:
        if RUNS.one_more() == 1:
            raise ConnectionError
        return {"answer": "ok"}

    node = cached_subgraph(one_node(fail_once), key=["question"])
    graph = StateGraph(Asked)
    graph.add_node("research", node, retry_policy=RetryPolicy(initial_interval=0.001, retry_on=ConnectionError))
    assert graph.add_edge(START, "research").compile().invoke({"question": "a"}, of())["answer"] == "ok"
    assert node.counts == {"misses": 1, "refused_raised": 1, "refused_resumed": 1}


def test_a_command_to_the_parent_reaches_it_every_time(runs: Runs) -> None:
    """A subgraph that sends its parent elsewhere does so in every run."""

    def away(state: Asked) -> Command[Any]:
        RUNS.one_more()
        return Command(graph=Command.PARENT, goto="after", update={"known": "sent away"})

    node = cached_subgraph(one_node(away), key=["question"])
    graph = StateGraph(Asked).add_node("research", node, destinations=("after",)).add_edge(START, "research")
    compiled = graph.add_node("after", lambda state: {"answer": "there"}).compile()
    outs = [compiled.invoke({"question": "a"}, of()) for _ in range(2)]
    assert outs == [{"question": "a", "known": "sent away", "answer": "there"}] * 2
    assert node.counts == {"misses": 2, "refused_parent_command": 2}


class Many(TypedDict):
    """Several answers."""

    answers: Annotated[list[str], operator.add]


def fanned_out(node: CachedSubgraph, number: int = 4) -> Any:
    """A graph that sends equal questions to a subgraph at the same time."""

    def ask(state: Asked, config: Any) -> Any:
        return {"answers": [node.invoke(state, config)["answer"]]}

    async def aask(state: Asked, config: Any) -> Any:
        return {"answers": [(await node.ainvoke(state, config))["answer"]]}

    graph = StateGraph(Many).add_node("ask", RunnableLambda(ask, aask))
    graph.add_conditional_edges(START, lambda state: [Send("ask", {"question": "same"})] * number, ["ask"])
    return graph.compile()


def slowly(state: Asked) -> Asked:
    """Answer after a while."""
    Event().wait(0.05)
    return shout(state)


async def aslowly(state: Asked) -> Asked:
    """Answer after a while."""
    await asyncio.sleep(0.05)
    return shout(state)


def test_equal_branches_run_the_graph_once(runs: Runs) -> None:
    """Four equal branches of a fan-out make one run, and four answers."""
    node = cached_subgraph(one_node(slowly), key=["question"])
    assert fanned_out(node).invoke({"answers": []}, of())["answers"] == ["SAME"] * 4
    assert runs.number == 1
    assert node.counts["misses"] == 1


async def test_equal_async_branches_run_the_graph_once(runs: Runs) -> None:
    """The same in tasks of one event loop."""
    node = cached_subgraph(one_node(aslowly), key=["question"])
    out = await fanned_out(node).ainvoke({"answers": []}, of())
    assert out["answers"] == ["SAME"] * 4
    assert runs.number == 1


def test_equal_branches_that_write_all_run(runs: Runs) -> None:
    """What one branch's write gave is not handed to the others: each of them writes itself."""

    def write(state: Asked) -> Asked:
        send_mail.invoke({"text": "hello"})
        return slowly(state)

    node = cached_subgraph(one_node(write), key=["question"])
    assert fanned_out(node).invoke({"answers": []}, of())["answers"] == ["SAME"] * 4
    assert runs.number == 4


def test_equal_questions_in_threads_run_the_graph_once(runs: Runs) -> None:
    """Eight threads that ask the same thing at once make one run."""
    graph = parent_of(cached_subgraph(one_node(slowly), key=["question"]))
    together = Barrier(8)

    def ask(thread: int) -> Any:
        together.wait()
        return graph.invoke({"question": "same"}, of(thread=str(thread)))["answer"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == ["SAME"] * 8
    assert runs.number == 1


async def test_a_cancelled_run_hands_over(runs: Runs) -> None:
    """A caller who waits for a run that is cancelled makes it itself."""
    graph = parent_of(cached_subgraph(one_node(aslowly), key=["question"]))
    leader = asyncio.create_task(graph.ainvoke({"question": "same"}, of()))
    await asyncio.sleep(0.02)
    follower = asyncio.create_task(graph.ainvoke({"question": "same"}, of()))
    await asyncio.sleep(0.01)
    leader.cancel()
    assert (await follower)["answer"] == "SAME"
    assert runs.number == 1  # the cancelled one never came to its end


def test_the_graph_inside_is_found_and_streamed(runs: Runs) -> None:
    """On a miss the inner graph's steps stream through the parent; on a hit there are none."""
    graph = parent_of(cached_subgraph(one_node(shout), key=["question"]))
    assert [name for name, _ in graph.get_subgraphs()] == ["research"]
    streamed = [
        [list(update) for _, update in graph.stream({"question": "a"}, of(), stream_mode="updates", subgraphs=True)]
        for _ in range(2)
    ]
    assert streamed == [[["work"], ["research"]], [["research"]]]


@dataclass
class Given:
    """A run's context."""

    model: str
    request: str = ""


def test_the_context_of_a_run_is_part_of_the_question(runs: Runs) -> None:
    """Another model in the run's context is another question; a field that is ignored is not."""
    node = cached_subgraph(one_node(shout), key=["question"], ignored=["request"])
    graph = StateGraph(Asked, context_schema=Given).add_node("research", node).add_edge(START, "research").compile()
    for context in (Given("small", "1"), Given("big", "2"), Given("small", "3")):
        graph.invoke({"question": "a"}, of(), context=context)
    assert runs.number == 2


def test_what_is_configured_is_part_of_the_question(runs: Runs) -> None:
    """An entry of `configurable` that does not say who asks changes the question."""
    graph = parent_of(cached_subgraph(one_node(shout), key=["question"]))
    for model in ("small", "big", "small"):
        graph.invoke({"question": "a"}, of(model=model))
    assert runs.number == 2


def test_what_has_no_value_is_not_looked_for(runs: Runs) -> None:
    """A question that holds an object is answered by a run, every time."""
    node = cached_subgraph(one_node(shout), key=["question", "known"])
    for _ in range(2):
        parent_of(node).invoke({"question": "a", "known": Barrier(1)}, of())
    assert node.counts == {"refused_unkeyable": 2}
    assert runs.number == 2


def test_a_result_ends_with_its_time(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its time to live a result is not served, however often it was asked for before."""
    now = clock(monkeypatch)
    graph = parent_of(cached_subgraph(one_node(shout), key=["question"], ttl_s=100))
    for at_s in (0, 60, 85, 120):
        now[0] = START_S + at_s
        graph.invoke({"question": "a"}, of())
    assert runs.number == 2


def test_one_caller_renews_and_the_others_are_served(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its soft time one caller runs the graph again, while others get what there is."""
    now = clock(monkeypatch)
    store = open_cache_store("memory://")
    nested: list[Any] = []

    def renew(state: Asked) -> Asked:
        number = RUNS.one_more()
        if number == 2:
            nested.append(graph.invoke({"question": "a"}, of(thread="other"))["answer"])
        return {"answer": f"run {number}"}

    node = cached_subgraph(one_node(renew), key=["question"], version="1", ttl_s=1000, soft_ttl_s=100, store=store)
    graph = parent_of(node)
    answers = []
    for at_s in (0, 200, 201):
        now[0] = START_S + at_s
        answers.append(graph.invoke({"question": "a"}, of())["answer"])
    assert answers == ["run 1", "run 2", "run 2"]
    assert nested == ["run 1"]
    assert node.counts == {"misses": 1, "renewed": 1, "hits": 2}


def test_a_renewal_that_is_refused_ends_the_old_result(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the graph turns out to write, what it gave before is not served any longer."""
    now = clock(monkeypatch)

    def write_later(state: Asked) -> Asked:
        if RUNS.one_more() > 1:
            send_mail.invoke({"text": "hello"})
        return {"answer": f"run {RUNS.number}"}

    graph = parent_of(cached_subgraph(one_node(write_later), key=["question"], soft_ttl_s=100))
    answers = []
    for at_s in (0, 200, 201):
        now[0] = START_S + at_s
        answers.append(graph.invoke({"question": "a"}, of())["answer"])
    assert answers == ["run 1", "run 2", "run 3"]


START_S = 1_000_000.0


def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets."""
    now = [START_S]
    for module in ("subgraph", "shelf"):
        monkeypatch.setattr(f"langchain_agentcost.caching.{module}.time", lambda: now[0])
    return now


def test_an_invalidation_ends_what_depends_on_it(runs: Runs) -> None:
    """A tag that the state names ends its tenant's results, and nobody else's."""
    node = cached_subgraph(one_node(shout), key=["question"], tags=lambda state: [f"order:{state['question']}"])
    graph = parent_of(node)
    for question in ("1", "2"):
        graph.invoke({"question": question}, of())
    node.invalidate("order:1", config=of("other"))
    graph.invoke({"question": "1"}, of())
    assert runs.number == 2
    node.invalidate("order:1", config=of())
    for question in ("1", "2"):
        graph.invoke({"question": question}, of())
    assert runs.number == 3


def test_an_invalidation_during_the_run_ends_its_result_too(runs: Runs) -> None:
    """A result of what was read before a write is not kept when the write comes first."""

    def read(state: Asked) -> Asked:
        if RUNS.one_more() == 1:
            node.invalidate("orders", config=of())
        return {"answer": f"as of {RUNS.number}"}

    node = cached_subgraph(one_node(read), key=["question"], version="1", tags=["orders"])
    graph = parent_of(node)
    answers = [graph.invoke({"question": "a"}, of())["answer"] for _ in range(3)]
    assert answers == ["as of 1", "as of 2", "as of 2"]
    assert node.counts["refused_overtaken"] == 1


def test_foreign_bytes_are_a_miss(runs: Runs) -> None:
    """Bytes that this cache did not write are dropped, counted, and answered by a run."""
    shelf = Shelf()
    node = cached_subgraph(one_node(shout), key=["question"], store=shelf)
    graph = parent_of(node)
    graph.invoke({"question": "a"}, of())
    put, poisons = shelf.store.put, [b"\x80\x04.", b"", b"\x93\xc0\xc0\xc0", b"not msgpack"]
    for number, poison in enumerate(poisons):
        asked = node._ask({"question": "a"}, of())
        assert asked is not None
        entry = node._entry(asked, poison, shelf.epoch() or 0, ())
        assert put(entry)
        assert graph.invoke({"question": "a"}, of())["answer"] == "A"
        assert shelf.counts["poisoned"] == number + 1


def test_a_file_outlives_the_process_that_wrote_it(runs: Runs, tmp_path: Path) -> None:
    """A graph that is built anew finds what its like has kept in a file."""
    for _ in range(2):
        node = cached_subgraph(one_node(shout), key=["question"], store=f"sqlite:///{tmp_path}/cache.db")
        assert parent_of(node).invoke({"question": "a"}, of())["answer"] == "A"
        node._shelf.close()
    assert runs.number == 1


class Form(BaseModel):
    """A state that is checked."""

    question: str
    answer: str = ""


def test_a_state_may_be_a_model(runs: Runs) -> None:
    """A pydantic state is looked up, and answered, as a mapping is."""

    def fill_in(state: Form) -> Any:
        RUNS.one_more()
        return {"answer": state.question.upper()}

    graph = parent_of(cached_subgraph(one_node(fill_in, Form), key=["question"]), Form)
    outs = [graph.invoke({"question": "a", "answer": before}, of()) for before in ("", "old")]
    assert [out["answer"] for out in outs] == ["A", "A"]
    assert runs.number == 1


def test_a_meter_counts_a_hit_once_and_no_tokens() -> None:
    """A hit is one entry of the ledger with what it saved: the prices of the calls that were not made."""
    inner, _ = agent(look_up)
    node = cached_subgraph(inner, key=["messages"], read_tools=["look_up"])
    with CostMeter() as meter:
        for thread in "12":
            config = of(thread=thread, listener=meter)
            parent_of(node, MessagesState).invoke({"messages": [HumanMessage("What?")]}, config)
        total = meter.report().total
    assert total.llm_calls == 2
    assert total.saved == total.cost


def test_a_hit_is_told_with_the_calls_it_spares() -> None:
    """What the run consumed is in the event: its model calls, with the provider's cache warm, and its tools."""
    inner, model = agent(look_up)
    model.counts, model.model = FakeCounts(5_000, 20), "gpt-4.1"
    node, listener = cached_subgraph(inner, key=["messages"], read_tools=["look_up"]), Listener()
    for thread in "12":
        config = of(thread=thread, listener=listener)
        parent_of(node, MessagesState).invoke({"messages": [HumanMessage("What?")]}, config)
    (hit,) = listener.hits
    assert listener.model_calls == 2
    assert [call.tool or (call.usage and call.usage.input_tokens) for call in hit.spared] == [5_000, "look_up", 5_000]
    assert hit.spared[0].usage is not None
    assert hit.spared[0].usage.cache_read_tokens == 4_992  # whole steps of 128 that were sent a moment ago


def test_a_cached_tool_within_is_not_spared_twice() -> None:
    """A tool that its own cache answered during the run is not among the calls that a hit spares."""
    inner, _ = agent(cached_tool(look_up, effect="pure", scope="tenant"))
    node = cached_subgraph(inner, key=["messages"], read_tools={"look_up": ToolCachePolicy("pure")})
    graph, listener = parent_of(node, MessagesState), Listener()
    for question in ("one", "two", "one", "two"):
        graph.invoke({"messages": [HumanMessage(question)]}, of(listener=listener))
    of_subgraph = [hit for hit in listener.hits if hit.cache == "subgraph"]
    assert [len([call for call in hit.spared if call.tool]) for hit in of_subgraph] == [1, 0]
    assert [hit.cache for hit in listener.hits] == ["tool", "subgraph", "subgraph"]


def test_a_nested_hit_hides_nothing_and_counts_once(runs: Runs) -> None:
    """A cached subgraph in a cached one: what the inner one's cache served is not spared again by the outer one."""
    model = FakeMeteredChatModel(answers=["said"])

    def say(state: Asked) -> Asked:
        return {"answer": model.invoke(state["question"]).text}

    inner = cached_subgraph(one_node(say), key=["question"])
    outer = cached_subgraph(parent_of(inner), key=["question", "known"])
    graph, listener = parent_of(outer), Listener()
    for known in ("a", "b", "b"):
        graph.invoke({"question": "q", "known": known}, of(listener=listener))
    assert len(model.prompts) == 1
    assert [len(hit.spared) for hit in listener.hits] == [1, 0]


@pytest.mark.parametrize(
    ("key", "message"),
    [([], "names no channel"), (["qestion"], "does not have"), ("question", None)],
)
def test_a_key_has_to_name_channels(key: Any, message: str | None) -> None:
    """An empty key or a misspelt channel is refused when the node is made; a single name is a key."""
    if message is None:
        assert cached_subgraph(one_node(shout), key=key)._terms.asking.key == ("question",)
        return
    with pytest.raises(CacheError, match=message):
        cached_subgraph(one_node(shout), key=key)


def test_a_channel_that_is_not_set_yet_is_another_question(runs: Runs) -> None:
    """LangGraph leaves it out of the state: that is no error, and not the question where it is set."""
    graph = parent_of(cached_subgraph(one_node(shout), key=["question", "known"]))
    for state in ({"question": "a"}, {"question": "a"}, {"question": "a", "known": "b"}):
        graph.invoke(state, of())
    assert runs.number == 2


def test_a_rule_of_tags_that_fails_loses_no_run() -> None:
    """The run is made and paid for: its answer is given, and not kept."""
    node = cached_subgraph(one_node(shout), key=["question"], tags=lambda state: [state["missing"]])
    with pytest.warns(CacheWarning, match="tags= failed"):
        answers = [parent_of(node).invoke({"question": "a"}, of()) for _ in range(2)]
    assert answers[0] == answers[1]
    assert node.counts["refused_unstorable"] == 2


def test_a_rule_of_tags_is_asked_once_a_run() -> None:
    """Before the run: one that fails later than that could lose what was made and paid for."""
    asked: list[Any] = []

    def names(state: Mapping[str, Any]) -> list[str]:
        asked.append(state)
        return ["a"]

    node = cached_subgraph(one_node(shout), key=["question"], tags=names, semantic=alike_cache())
    parent_of(node).invoke({"question": "a"}, of())
    assert len(asked) == 1


def test_a_rule_of_tools_that_fails_knows_of_no_tool_that_it_reads() -> None:
    """LangChain swallows what handlers raise, so a rule that fails must refuse by itself."""

    def fails(name: str, metadata: Mapping[str, Any]) -> bool:
        raise KeyError(name)

    fill = FillRecorder(is_read=fails)
    fill.on_tool_start({"name": "send"}, "", run_id=uuid4())
    assert fill.refusal == "not_understood"


def test_a_run_of_which_something_was_not_understood_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that cannot be read may be one that was cut short."""

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise KeyError("usage")

    monkeypatch.setattr("langchain_agentcost.caching.fill.Usage.from_llm_result", fails)
    model = FakeMeteredChatModel()
    node = cached_subgraph(one_node(lambda state: {"answer": model.invoke("Hi").text}), key=["question"], version="1")
    graph = parent_of(node)
    for _ in range(2):
        graph.invoke({"question": "a"}, of())
    assert len(model.prompts) == 2
    assert node.counts["refused_not_understood"] == 2


def test_a_shelf_has_its_own_secret() -> None:
    """A secret beside a shelf that has another one is refused: half of the hashes would be without it."""
    with pytest.raises(CacheError, match="own secret"):
        cached_subgraph(one_node(shout), key=["question"], store=Shelf(), secret=b"0" * 16)


def test_a_graph_that_remembers_is_refused() -> None:
    """A graph with a checkpointer of its own depends on more than what it is asked now."""
    with pytest.raises(CacheError, match="checkpointer of its own"):
        cached_subgraph(one_node(shout, checkpointer=InMemorySaver()), key=["question"])


def test_a_graph_without_a_value_needs_a_version() -> None:
    """A captured object that cannot be compared is refused until the user says which version it is."""
    client = memoryview(b"").__iter__()

    def ask(state: Asked) -> Asked:
        return {"answer": str(client)}

    with pytest.raises(Unkeyable, match="version="):
        cached_subgraph(one_node(ask), key=["question"])
    assert cached_subgraph(one_node(ask), key=["question"], version="1").graph is not None
