"""Selection within a budget, as what decides, and in a Runnable, a graph and an agent."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_agentcost.context.blocks import pin, validate
from langchain_agentcost.context.context_middleware import ContextMiddleware
from langchain_agentcost.context.context_node import ContextNode
from langchain_agentcost.context.decision import Decision, Situation
from langchain_agentcost.context.plan import Action, Plan, project
from langchain_agentcost.context.projector import ContextProjector, Decider
from langchain_agentcost.context.ranking import Hybrid
from langchain_agentcost.context.selection import Selection
from langchain_agentcost.errors import ContextError
from langchain_agentcost.testing import FakeMeteredChatModel
from langchain_agentcost.tokens import count_messages


@tool
def look(at: str) -> str:
    """Look at a place."""
    return f"{at}: " + "crates stand here. " * 12


def turn(number: int, place: str) -> list[BaseMessage]:
    """A call and its result."""
    asked = AIMessage("", tool_calls=[{"name": "look", "args": {"at": place}, "id": f"c{number}"}])
    return [asked, ToolMessage(look.invoke({"at": place}), tool_call_id=f"c{number}")]


def history(turns: int) -> list[BaseMessage]:
    """A question and some turns."""
    said: list[BaseMessage] = [SystemMessage("You look."), HumanMessage("Look at all.")]
    return [*said, *(one for number in range(turns) for one in turn(number, f"gate{number}"))]


def decide(messages: list[BaseMessage], plan: Plan | None = None, **options: Any) -> Decision:
    """What a selection decides."""
    chosen = {"max_tokens": 600, "keep": 2, **options}
    return Selection(**chosen).decide(Situation(messages=messages, plan=plan or Plan(), remaining=9, step=1))


def test_a_prompt_that_fits_is_left_alone() -> None:
    """Below the budget nothing is left out."""
    assert decide(history(4)).action is Action.NONE


def test_a_prompt_that_is_too_long_is_cut_to_the_lower_mark() -> None:
    """It then has room for more calls, and what leads and what is recent stands."""
    messages = history(20)
    decision = decide(messages)
    sent = project(messages, decision.plan)
    assert decision.action is Action.DROP
    assert count_messages(sent) <= 600 * 0.6
    assert (sent[:2], sent[-4:]) == (messages[:2], messages[-4:])
    assert not validate(sent)
    assert decision.cut is not None
    assert decision.cut.evicted_tokens == count_messages(messages) - count_messages(sent)


def test_what_the_task_is_about_stays() -> None:
    """Of old blocks those stay that have words of what was said last."""
    messages = [*history(20)[:12], *turn(77, "harbour office"), *history(20)[12:], HumanMessage("The harbour office?")]
    assert any("harbour" in one.text for one in project(messages, decide(messages).plan)[:-1])
    embedded = decide(messages, ranker=Hybrid(DeterministicFakeEmbedding(size=8), words=9.0))
    assert any("harbour" in one.text for one in project(messages, embedded.plan)[:-1])


def test_what_matters_again_comes_back_at_the_next_boundary() -> None:
    """A block that was left out is chosen when the task comes back to it, and not before."""
    early = [*history(0), *turn(77, "harbour office"), *history(20)[2:]]
    first = decide(early)
    assert "harbour" not in str(project(early, first.plan))
    later = [*early, HumanMessage("What of the harbour office?"), *history(44)[-24:]]
    later.append(HumanMessage("What of the harbour office?"))
    second = decide(later, first.plan)
    assert second.plan.epoch == 2
    assert "harbour office: " in str(project(later, second.plan))


def test_what_must_stay_is_not_counted_against() -> None:
    """Pinned blocks and calls that wait for a result stay, though the budget is far below them."""
    asked = AIMessage("", tool_calls=[{"name": "look", "args": {"at": "x"}, "id": "open"}])
    messages = [*history(6), pin(HumanMessage("Never open gate9.")), *history(30)[20:], asked]
    sent = project(messages, decide(messages, max_tokens=100).plan)
    assert any("Never open" in one.text for one in sent)
    assert sent[-1] == asked


def test_a_budget_that_cannot_be_met_is_no_reason_to_cut_at_each_call() -> None:
    """Where what must stay fills the budget, boundaries are still far apart."""
    plan, boundaries = Plan(), 0
    big = [HumanMessage("Look. " * 700)]
    for turns in range(60):
        decision = decide([*big, *history(turns)[2:]], plan)
        boundaries += decision.action is not Action.NONE
        plan = decision.plan
    assert 1 <= boundaries <= 60 / 2


def test_orphans_go_at_once() -> None:
    """A result that providers would refuse is left out of the shortest prompt, and stays out."""
    orphan = ToolMessage("lost", tool_call_id="nobody")
    messages = [*history(1), orphan]
    first = decide(messages)
    assert project(messages, first.plan) == history(1)
    messages += [HumanMessage("And?")]
    assert decide(messages, first.plan).action is Action.NONE
    assert project([*messages, orphan], decide([*messages, orphan], first.plan).plan) == [*history(1), messages[-1]]


def test_between_boundaries_prompts_begin_alike() -> None:
    """As a Runnable over 60 calls: few boundaries, and no prompt beyond the budget by more than one turn."""
    projector = ContextProjector(decider=Selection(max_tokens=600, keep=2))
    config: Any = {"configurable": {"thread_id": "1"}}
    prompts = [projector.invoke(history(turns), config) for turns in range(60)]
    broken = sum(after[: len(before)] != before for before, after in pairwise(prompts))
    assert 1 <= broken <= 15
    assert max(map(count_messages, prompts)) <= 600
    assert not any(map(validate, prompts))


def test_it_decides_for_node_and_middleware() -> None:
    """They are those of the projector, whatever decides."""
    selection = Selection(max_tokens=600, keep=2)
    assert isinstance(selection, Decider)
    node = ContextNode(ContextProjector(decider=selection))
    state = {"messages": history(20)}
    assert count_messages(node.view(history(20), node.invoke(state))) <= 360

    def answer(prompt: list[BaseMessage]) -> AIMessage:
        number = sum(isinstance(one, AIMessage) for one in prompt) + len(model.prompts)
        done = len(model.prompts) > 30
        return AIMessage("Done.") if done else turn(number, f"gate{number}")[0]  # type: ignore[return-value]

    model = FakeMeteredChatModel(answers=answer)
    middleware = ContextMiddleware(ContextProjector(decider=Selection(max_tokens=600, keep=2)))
    agent: Any = create_agent(model, [look], middleware=[middleware], checkpointer=InMemorySaver())
    agent.invoke({"messages": "Look at all."}, {"configurable": {"thread_id": "1"}, "recursion_limit": 200})
    assert len(model.prompts) == 31
    assert max(map(count_messages, model.prompts)) <= 600
    assert not any(map(validate, model.prompts))


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"keep": 0}, {"low": 1.0}, {"low": 0.0}])
def test_a_budget_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    """It is refused where it is made."""
    with pytest.raises(ContextError, match="at least 1"):
        Selection(**{"max_tokens": 600, **wrong})
