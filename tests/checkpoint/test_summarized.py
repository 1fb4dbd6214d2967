from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost import CostMeter
from langchain_agentcost.checkpoint import CostCheckpointer
from langchain_agentcost.context.memory import noted
from langchain_agentcost.context.summarization import SummarizationNode, Trigger
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.context.summary_writers import FreshWriter
from langchain_agentcost.testing import FakeMeteredChatModel
from langchain_agentcost.tokens import count_messages
from tests.checkpoint.cents import on

TURNS = 24
LONG = "The pallet at bay {} is full and waits for the lift. " * 12


def answering(prompt: list[BaseMessage]) -> AIMessage:
    """A long answer, another one each time."""
    return AIMessage(LONG.replace("{}", str(len(prompt))))


def app(saver: CostCheckpointer, model: FakeMeteredChatModel) -> Any:
    """An agent that remembers the turn and answers at length."""

    def agent(state: MessagesState) -> dict[str, Any]:
        turn = sum(message.type == "human" for message in state["messages"])
        found = {"working_memory": noted({}, facts={"turn": str(turn)})}
        return {"messages": [model.invoke(state["messages"])], **found}

    return saver.compile(StateGraph(MessagesState).add_node("agent", agent).add_edge(START, "agent"))


def test_an_agent_is_summarised_and_remembers() -> None:
    """Prompts stay short while the state keeps every message; summaries are metered, and notes are at the tail."""
    writer = FakeMeteredChatModel(answers=["Decisions\n- Bay 7 is full."])
    summarize = SummarizationNode(
        Summarizer(FreshWriter(writer)), trigger=Trigger(tokens=1_500, margin_tokens=500, keep_blocks=2)
    )
    meter = CostMeter()
    saver = CostCheckpointer(
        InMemorySaver(), meter=meter, summarize_before=["agent"], memory=["agent"], context=[summarize]
    )
    model = FakeMeteredChatModel(answers=answering)
    graph = app(saver, model)
    for turn in range(TURNS):
        graph.invoke({"messages": [("user", f"Turn {turn}: which bay?")]}, on(saver))
    kept = graph.get_state(on(saver)).values["messages"]
    assert len(kept) == 2 * TURNS
    assert count_messages(kept) > 4_000
    assert max(count_messages(prompt) for prompt in model.prompts) < 2_200
    assert len(writer.prompts) >= 1
    assert all("<working_memory>" in prompt[-1].text for prompt in model.prompts[1:])
    spent = {total.key[0]: total.llm_calls for total in meter.ledger.totals(by=["purpose"])}
    assert spent == {None: TURNS, "summarization": len(writer.prompts)}
    assert sum(step.llm_calls or 0 for step in saver.cost_history(on(saver))) == TURNS + len(writer.prompts)


def test_a_replayed_checkpoint_gives_the_same_prompt() -> None:
    """The plan is a part of the thread: what runs again from a checkpoint asks with the very same prompt."""
    summarize = SummarizationNode(Summarizer(), trigger=Trigger(tokens=1_000, margin_tokens=300, keep_blocks=2))
    saver = CostCheckpointer(InMemorySaver(), meter=CostMeter(), summarize_before=["agent"], context=[summarize])
    model = FakeMeteredChatModel(answers=answering)
    graph = app(saver, model)
    for turn in range(TURNS):
        graph.invoke({"messages": [("user", f"Turn {turn}: which bay?")]}, on(saver))
    before = next(state for state in graph.get_state_history(on(saver)) if state.next == ("agent",))
    graph.invoke(None, {**before.config, "callbacks": saver.meter.callbacks})
    assert repr(model.prompts[-1]) == repr(model.prompts[-2])
    assert len(model.prompts[-1]) < 2 * TURNS - 1
