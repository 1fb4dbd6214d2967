from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Send

from langchain_agentcost.context.blocks import validate
from langchain_agentcost.context.memory import (
    KINDS,
    MAX_NOTES,
    MemoryState,
    merge_memory,
    noted,
    recall,
    render_memory,
    with_memory,
)
from langchain_agentcost.context.memory_toolset import memory_tools
from langchain_agentcost.prompt_tail import TAIL_ID
from langchain_agentcost.testing import FakeMeteredChatModel
from langchain_agentcost.tokens import count_text

KEYS = st.sampled_from(["size", "bay 7", "A-1742", "größe", "call"])
CHANGES = st.dictionaries(
    st.sampled_from(KINDS), st.dictionaries(KEYS, st.none() | st.text(max_size=30), max_size=4), max_size=3
)
ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.sampled_from([*KINDS, "text", "at"]), inner),
)
CALL = AIMessage("", tool_calls=[{"name": "track", "args": {}, "id": "1"}])


def remembered(*changes: dict[str, Any]) -> dict[str, Any]:
    """A memory after some updates, one after the other."""
    memory: Any = {}
    for change in changes:
        memory = merge_memory(memory, noted(memory, **change))
    return dict(memory)


@settings(deadline=None)
@given(st.lists(CHANGES, max_size=3), CHANGES, CHANGES)
def test_parallel_updates_may_come_in_any_order(
    before: list[dict[str, Any]], left: dict[str, Any], right: dict[str, Any]
) -> None:
    """Updates that are made from the same memory commute, and the same update twice is the update once."""
    memory = remembered(*before)
    one, two = noted(memory, **left), noted(memory, **right)
    there = merge_memory(merge_memory(memory, one), two)
    back = merge_memory(merge_memory(memory, two), one)
    assert json.dumps(there) == json.dumps(back)
    assert merge_memory(there, two) == there


@settings(deadline=None)
@given(ANYTHING, ANYTHING)
def test_nothing_is_raised_and_the_result_is_plain(left: Any, right: Any) -> None:
    """Whatever is written into the channel, the memory is JSON of its form."""
    memory = merge_memory(left, right)
    assert json.loads(json.dumps(memory)) == memory
    assert all(isinstance(note["text"], str) for kind in KINDS for note in memory.get(kind, {}).values())
    render_memory(right)


@settings(deadline=None)
@given(st.lists(CHANGES, max_size=5), st.sampled_from([20, 50, 60, 80, 200]))
def test_the_cap_holds_and_nothing_is_invented(changes: list[dict[str, Any]], cap: int) -> None:
    """A rendered memory has no more tokens than it may have, and each line of it is a note that is in the state."""
    memory = remembered(*changes)
    text = render_memory(memory, max_tokens=cap)
    assert count_text(text) <= cap
    lines = {f"- {key}: {note['text']}" for kind in KINDS for key, note in memory.get(kind, {}).items()}
    assert {line for line in text.split("\n") if line.startswith("- ")} <= lines
    assert not lines or render_memory(memory, max_tokens=10_000)


def test_open_tasks_go_last() -> None:
    """Where there is little room, old facts go first, then artifacts; it is told, and all stays in the state."""
    facts = [{"facts": {f"fact {number}": "The bay was counted and it is full."}} for number in range(20)]
    memory = remembered({"open_tasks": {"call": "Call Ada."}}, {"artifacts": {"bay.py": "fixed"}}, *facts)
    text = render_memory(memory, max_tokens=120)
    shown = [line for line in text.split("\n") if line.startswith("- fact")]
    assert 0 < len(shown) < 20
    assert shown[-1].startswith("- fact 19:")
    assert "- call: Call Ada." in text
    assert "- bay.py: fixed" in text
    assert f"({20 - len(shown)} older notes are left out.)" in text
    assert "- call: Call Ada." in render_memory(memory, max_tokens=55)
    assert len(memory["facts"]) == 20


def test_the_state_does_not_grow_for_ever() -> None:
    """Of each kind the latest notes are kept."""
    memory = remembered(*({"facts": {f"fact {number}": "x"}} for number in range(MAX_NOTES + 5)))
    assert len(memory["facts"]) == MAX_NOTES
    assert "fact 0" not in memory["facts"]
    assert f"fact {MAX_NOTES + 4}" in memory["facts"]


def test_a_kind_that_does_not_exist_is_refused() -> None:
    """A misspelt kind would be a note that nobody ever reads."""
    with pytest.raises(TypeError, match="open_task: no kind"):
        noted({}, open_task={"call": "x"})


HISTORY: list[BaseMessage] = [
    SystemMessage("You are a clerk."),
    HumanMessage("Where is it?"),
    CALL,
    ToolMessage("Bay 7.", tool_call_id="1"),
]
MEMORY = remembered({"facts": {"size": "42"}})


@pytest.mark.parametrize("end", [0, 2, 3, 4])
def test_the_notes_part_no_call_from_its_results(end: int) -> None:
    """Wherever the history ends, what is sent is sound, and holds the history in its order."""
    sent = with_memory(HISTORY[:end], MEMORY)
    assert not validate(sent)
    assert [message for message in sent if message.id != TAIL_ID] == HISTORY[:end]
    assert len(sent) == end + 1


def test_a_begun_answer_stays_last() -> None:
    """A model that is to go on with an answer gets the notes before it."""
    sent = with_memory([HumanMessage("Go."), AIMessage("It is")], MEMORY)
    assert [message.type for message in sent] == ["human", "human", "ai"]


def test_within_takes_no_message_of_its_own() -> None:
    """For providers that refuse a user's message behind a result, the notes are a part of the result's text."""
    sent = with_memory(HISTORY, MEMORY, place="within")
    assert len(sent) == 4
    assert sent[-1].text.startswith("Bay 7.\n\n<working_memory>")
    assert HISTORY[-1].text == "Bay 7."
    listed = with_memory([HumanMessage([{"type": "text", "text": "Go."}])], MEMORY, place="within")
    assert [block["type"] for block in listed[0].content if isinstance(block, dict)] == ["text", "text"]


def test_the_history_is_a_prefix_of_every_prompt() -> None:
    """Each prompt without its last message begins the next one, however the notes change."""
    history: list[BaseMessage] = [HumanMessage("Count the bays.")]
    memory: Any = {}
    before: list[BaseMessage] = []
    for step in range(6):
        memory = merge_memory(memory, noted(memory, facts={"bay": f"{step} counted"}))
        sent = with_memory(history, memory)
        assert sent[: len(before)] == before
        before = sent[:-1]
        call = {"name": "count", "args": {}, "id": str(step)}
        history = [*history, AIMessage("", tool_calls=[call]), ToolMessage(f"{step}", tool_call_id=str(step))]


def test_without_notes_nothing_is_sent_along() -> None:
    """An empty memory, or a foreign value, leaves the prompt as it is."""
    assert with_memory(HISTORY, {}) == HISTORY
    assert recall({"messages": HISTORY}) == {"llm_input_messages": HISTORY}
    assert with_memory(HISTORY, None) == HISTORY


class State(MessagesState, MemoryState):
    """A graph's state with working memory."""


def test_parallel_nodes_note_into_one_memory() -> None:
    """What nodes note that run side by side is all there, whichever of them comes first."""

    def fan(state: State) -> list[Send]:
        return [Send("count", {**state, "bay": bay}) for bay in (2, 1, 3)]

    def count(given: Any) -> dict[str, Any]:
        bay = given["bay"]
        return {"working_memory": noted(given.get("working_memory"), facts={f"bay {bay}": "full", "last": str(bay)})}

    builder: Any = StateGraph(State)
    builder.add_node("count", count)
    builder.add_conditional_edges(START, fan)
    memory = builder.compile().invoke({"messages": [HumanMessage("Count.")]})["working_memory"]
    assert {key: note["text"] for key, note in memory["facts"].items()} == {
        "bay 1": "full",
        "bay 2": "full",
        "bay 3": "full",
        "last": "3",
    }


def clerk(model: FakeMeteredChatModel) -> Any:
    """A graph of a model with the memory's tools, which is told its notes at each call."""
    tools = memory_tools()
    bound = model.bind_tools(tools)

    def ask(state: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [bound.invoke(with_memory(state["messages"], state.get("working_memory")))]}

    builder: Any = StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", tools_condition)
    builder.add_edge("tools", "ask")
    return builder


def remembers(kind: str, name: str, text: str, *, id_: str) -> dict[str, Any]:
    """A call of `remember`."""
    return {"name": "remember", "args": {"kind": kind, "name": name, "text": text}, "id": id_}


def test_a_model_keeps_its_notes_and_a_thread_resumes_with_them(tmp_path: Path) -> None:
    """Calls in parallel are all noted, a done task goes, and a new process reads the notes from the checkpoint."""
    calls = [remembers("fact", "size", "42", id_="1"), remembers("task", "call", "Call Ada.", id_="2")]
    done = {"name": "forget_task", "args": {"name": "call"}, "id": "3"}
    answers = [AIMessage("", tool_calls=calls), AIMessage("", tool_calls=[done]), AIMessage("Done.")]
    config: Any = {"configurable": {"thread_id": "1"}}
    model = FakeMeteredChatModel(answers=answers)
    with sqlite3.connect(tmp_path / "threads.db", check_same_thread=False) as first:
        graph = clerk(model).compile(checkpointer=SqliteSaver(first))
        graph.invoke({"messages": [HumanMessage("Which size?")]}, config)
    first.close()
    tails = [prompt[-1].text for prompt in model.prompts]
    assert "working_memory" not in tails[0]
    assert "- size: 42" in tails[1]
    assert "- call: Call Ada." in tails[1]
    assert "Open tasks" not in tails[2]
    later = FakeMeteredChatModel()
    with sqlite3.connect(tmp_path / "threads.db", check_same_thread=False) as second:
        resumed = clerk(later).compile(checkpointer=SqliteSaver(second))
        state = resumed.invoke({"messages": [HumanMessage("And now?")]}, config)
    second.close()
    assert "- size: 42" in later.prompts[0][-1].text
    assert not any(message.id == TAIL_ID for message in state["messages"])
    assert not validate(later.prompts[0])
