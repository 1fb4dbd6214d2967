from __future__ import annotations

import json
import warnings
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.managed import RemainingSteps
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.warnings import LangGraphDeprecatedSinceV10

from langchain_agentcost.checkpoint.before_node import BeforeNode
from langchain_agentcost.context.blocks import pin, validate
from langchain_agentcost.context.plan import Action, Edit, Plan, project
from langchain_agentcost.context.summarization import PLAN_KEY, SummarizationNode, SummarizedState, Trigger
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.context.summary import parse
from langchain_agentcost.context.summary_writers import FreshWriter, RidingWriter
from langchain_agentcost.errors import AgentCostWarning
from langchain_agentcost.pricing import PriceBook, PriceCard, PriceSource, Rate
from langchain_agentcost.testing import FakeMeteredChatModel
from langchain_agentcost.tokens import count_messages

SMALL = Trigger(tokens=1_200, margin_tokens=400, keep_blocks=2)
SECTIONS = "Intent\n- Count the bays.\nDecisions\n- They are counted one by one."


@tool
def count(bay: int) -> str:
    """Count a bay."""
    return f"Bay {bay} holds crate C-{1000 + bay}. " * 8


def turn(number: int) -> list[BaseMessage]:
    """A call and its result."""
    call = {"name": "count", "args": {"bay": number}, "id": f"call-{number}"}
    return [AIMessage("", tool_calls=[call]), ToolMessage(count.invoke({"bay": number}), tool_call_id=f"call-{number}")]


def history(turns: int) -> list[BaseMessage]:
    """A question and some turns."""
    return [HumanMessage("Count all bays."), *(message for number in range(turns) for message in turn(number))]


def by_code(**options: Any) -> SummarizationNode:
    """A node whose summaries need no model."""
    return SummarizationNode(Summarizer(max_tokens=200), **{"trigger": SMALL, **options})


class State(MessagesState, SummarizedState):
    """A graph's state with a plan."""


ROUNDS = 40


def next_call(prompt: list[BaseMessage]) -> AIMessage:
    """The clerk of the graph below counts one bay after the other."""
    done = int(prompt[-1].text.split(" ")[1]) if isinstance(prompt[-1], ToolMessage) else -1
    found = turn(done + 1)[0] if done + 1 < ROUNDS else AIMessage("All are counted.")
    assert isinstance(found, AIMessage)
    return found


def clerk(node: SummarizationNode, model: FakeMeteredChatModel, plans: list[Any]) -> Any:
    """A graph of a model and its tool, with the node before the model."""
    bound = model.bind_tools([count])

    def ask(state: Any) -> dict[str, Any]:
        plans.append(state.get(PLAN_KEY))
        return {"messages": [bound.invoke(node.view(state["messages"], state))]}

    builder: Any = StateGraph(State)
    builder.add_node("summarize", node.node())
    builder.add_node("ask", ask)
    builder.add_node("tools", ToolNode([count]))
    builder.add_edge(START, "summarize")
    builder.add_edge("summarize", "ask")
    builder.add_conditional_edges("ask", tools_condition)
    builder.add_edge("tools", "summarize")
    return builder.compile(checkpointer=InMemorySaver())


@pytest.fixture(scope="module")
def counted() -> tuple[SummarizationNode, Any, list[list[BaseMessage]], list[Any], int]:
    """A run of 40 turns: the node, the graph, the prompts, the plan of each, and how often a summary was asked for."""
    model, writer = FakeMeteredChatModel(answers=next_call), FakeMeteredChatModel(answers=[SECTIONS])
    node = SummarizationNode(Summarizer(FreshWriter(writer), max_tokens=300), trigger=SMALL, tools=[count])
    plans: list[Any] = []
    graph = clerk(node, model, plans)
    graph.invoke({"messages": [HumanMessage("Count all bays.")]}, CONFIG)
    return node, graph, model.prompts, plans, len(writer.prompts)


CONFIG: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 200}


def test_each_prompt_begins_with_the_one_before(counted: Any) -> None:
    """But where a plan of another epoch holds; and these are few."""
    _, _, prompts, plans, asked = counted
    epochs = [plan["epoch"] if plan else 0 for plan in plans]
    assert len(prompts) == ROUNDS + 1
    for at in range(1, len(prompts)):
        if epochs[at] == epochs[at - 1]:
            assert prompts[at][: len(prompts[at - 1])] == prompts[at - 1]
    assert 2 <= epochs[-1] <= 12
    assert asked == epochs[-1]


def test_prompts_are_sound_and_stay_short(counted: Any) -> None:
    """No prompt has an orphan, and none grows with the history, of which the state keeps all."""
    _, graph, prompts, _, _ = counted
    assert all(not validate(prompt) for prompt in prompts)
    assert max(count_messages(prompt) for prompt in prompts) < 2_200
    assert len(graph.get_state(CONFIG).values["messages"]) == 2 * ROUNDS + 2


def test_the_last_summary_has_what_the_first_one_had(counted: Any) -> None:
    """What was copied at the first boundary is there after the last."""
    _, _, prompts, _, _ = counted
    last = next(found for message in prompts[-1] if (found := parse(message.text)))
    assert last.decisions == ("They are counted one by one.",)
    assert {f"C-{1000 + number}" for number in range(20)} <= set(last.literals)


def test_a_replay_of_the_checkpoints_gives_the_same_prompts(counted: Any) -> None:
    """The plan is plain JSON in the checkpoint, and all that a prompt depends on."""
    node, graph, prompts, plans, _ = counted
    kept = [snapshot for snapshot in graph.get_state_history(CONFIG) if snapshot.next == ("ask",)][::-1]
    assert [node.view(one.values["messages"], one.values) for one in kept] == prompts
    assert json.loads(json.dumps(plans[-1])) == plans[-1]


async def test_the_prebuilt_agent_takes_it_as_its_hook() -> None:
    """As `pre_model_hook` it gives the model's messages beside the plan, sync and async."""
    for hook in (by_code().hook(), by_code().hook()):
        given_ = {"messages": history(12)}
        update = hook.invoke(given_)
        later = await hook.ainvoke(given_)
        assert update == later
        assert len(update["llm_input_messages"]) == 1 + 1 + 4
        assert update[PLAN_KEY]["edits"][0][2] == "summarise"
        short = hook.invoke({"messages": history(1)})
        assert short == {"llm_input_messages": history(1)}


def test_it_works_in_the_prebuilt_agent() -> None:
    """The agent's model is sent the projected messages, and its state keeps all."""

    class AgentState(State):
        remaining_steps: RemainingSteps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangGraphDeprecatedSinceV10)
        model = FakeMeteredChatModel(answers=next_call)
        agent: Any = create_react_agent(model, [count], state_schema=AgentState, pre_model_hook=by_code().hook())
    state = agent.invoke({"messages": [HumanMessage("Count all bays.")]}, {"recursion_limit": 200})
    assert len(state["messages"]) == 2 * ROUNDS + 2
    assert max(map(len, model.prompts)) < 40
    assert any(parse(message.text) for message in model.prompts[-1])


def test_the_providers_tokens_are_not_ours() -> None:
    """A provider that counts twice as many tokens as we do does not make one summary follow another at once."""
    node = by_code()
    said = history(12)
    state = node.invoke({"messages": said})
    for number in range(12, 15):
        sent = count_messages(node.view(said, state))
        usage = {"input_tokens": 2 * sent, "output_tokens": 1, "total_tokens": 2 * sent + 1}
        call, result = turn(number)
        said = [*said, call.model_copy(update={"usage_metadata": usage}), result]
        assert node.invoke({"messages": said, **state}) == {}


def test_the_checkpointer_takes_it() -> None:
    """It has what is put before a node by `CostCheckpointer`."""
    before: BeforeNode = by_code()
    made = before.node()
    assert made is not None
    update = made.invoke({"messages": history(12)})
    assert len(before.view(history(12), update)) == 6


def test_anchors_hold_over_plans() -> None:
    """The second summary has what the first one said, and stands in its place."""
    node = by_code()
    first = node.invoke({"messages": history(12)})
    more = [*history(12), *(message for number in range(12, 26) for message in turn(number))]
    second = node.invoke({"messages": more, **first})
    summaries = [found for message in node.view(more, second) if (found := parse(message.text))]
    assert len(summaries) == 1
    assert summaries[0].intent == parse(Plan.from_dict(first[PLAN_KEY]).edits[0].text).intent  # type: ignore[union-attr]
    assert second[PLAN_KEY]["epoch"] == first[PLAN_KEY]["epoch"] + 1
    assert node.invoke({"messages": more, **second}) == {}


def test_what_is_pinned_or_waits_stays() -> None:
    """The system message, the first question, a pinned message and an open call are sent as they are."""
    pinned = pin(HumanMessage("Never open bay 3."))
    said = [SystemMessage("Be exact."), *history(9), pinned, *history(9)[1:]]
    call = AIMessage("", tool_calls=[{"name": "count", "args": {"bay": 99}, "id": "open"}])
    said = [*said[:30], call, *said[30:]]
    node = by_code()
    sent = node.view(said, node.invoke({"messages": said}))
    assert sent[:2] == said[:2]
    assert pinned in sent
    assert sent[sent.index(call) :] == said[30:]
    assert len(sent) < len(said)


def test_a_long_system_message_alone_triggers_nothing() -> None:
    """What cannot be cut is no reason to cut: there has to be a margin of history above it."""
    node = by_code(system="Be exact. " * 2_000)
    assert node.invoke({"messages": history(2)}) == {}
    assert node.invoke({"messages": history(16)})


def test_the_providers_own_count_triggers() -> None:
    """A prompt that the provider counted as long is long, whatever we count, until a plan changes it."""
    node = by_code(trigger=Trigger(tokens=50_000, margin_tokens=400, keep_blocks=2))
    said = history(12)
    usage = {"input_tokens": 60_000, "output_tokens": 10, "total_tokens": 60_010}
    told = [*said[:-2], said[-2].model_copy(update={"usage_metadata": usage}), said[-1]]
    assert node.invoke({"messages": said}) == {}
    update = node.invoke({"messages": told})
    assert update
    later = [*told, *(message for number in range(30, 36) for message in turn(number))]
    assert node.invoke({"messages": later, **update}) == {}


def test_a_prompt_has_to_grow_before_the_next_summary() -> None:
    """A prompt that was long right after a summary is due again only a margin later, or where the window is full."""
    trigger = Trigger(tokens=1_000, margin_tokens=400, window_tokens=9_000)
    assert [trigger.due(size, floor=1_500) for size in (1_899, 1_900)] == [False, True]
    assert [trigger.due(size, floor=0) for size in (999, 1_000)] == [False, True]
    assert trigger.due(8_100, floor=8_000)


def card(read: str | None) -> PriceCard:
    """Prices of a model of Anthropic's, or of one without a prompt cache."""
    rates = {"input": Rate(Decimal(3)), "output": Rate(Decimal(15))}
    if read is None:
        return PriceCard("open-model", rates=rates, price=PriceSource("test", "1"))
    return PriceCard("claude-sonnet-4-5", provider="anthropic", rates=rates, price=PriceSource("test", "1"))


@pytest.mark.parametrize(("steps", "read", "planned"), [(1, "0.3", False), (200, "0.3", True), (2, None, True)])
def test_a_summary_is_made_only_where_it_pays(steps: int, read: str | None, planned: bool) -> None:
    """With a prompt cache a summary needs many steps to pay for what is written again; without one, hardly any."""
    node = by_code(card=card(read), steps=steps)
    assert bool(node.invoke({"messages": history(14)})) is planned


def test_a_full_window_is_summarised_whatever_it_costs() -> None:
    """Where the next prompt would not fit, a summary is made even if it never pays."""
    trigger = Trigger(tokens=1_200, margin_tokens=400, keep_blocks=2, window_tokens=1_500)
    assert by_code(card=card("0.3"), steps=0, trigger=trigger).invoke({"messages": history(14)})


def test_a_dear_summary_has_to_pay_too() -> None:
    """What the summary itself costs is a part of the price."""
    dear = PriceBook({"models": [{"model": "dear-1", "input": 4_000, "output": 4_000}]})
    writer = FreshWriter(FakeMeteredChatModel(answers=[SECTIONS], model="dear-1"), prices=dear)
    node = SummarizationNode(Summarizer(writer, max_tokens=200), trigger=SMALL, card=card("0.3"), steps=200)
    assert node.invoke({"messages": history(14)}) == {}


def test_a_kept_history_is_not_asked_for_again_and_again() -> None:
    """Where only little is new, no model is asked, even if the window is full."""
    trigger = Trigger(tokens=500, margin_tokens=100, keep_blocks=2, window_tokens=600)
    writer = FakeMeteredChatModel(answers=[SECTIONS])
    node = SummarizationNode(Summarizer(FreshWriter(writer), max_tokens=300), trigger=trigger)
    state: dict[str, Any] = {}
    said = history(8)
    for number in range(8, 40):
        said = [*said, *turn(number)]
        state = {**state, **node.invoke({"messages": said, **state})}
    assert len(writer.prompts) < 12


async def test_without_an_answer_the_history_stays() -> None:
    """A model that fails costs a warning; the plan, and so the prompt, stays as it was."""
    writer = FakeMeteredChatModel(failures={number: ConnectionError() for number in range(1, 9)})
    summarizer = Summarizer(FreshWriter(writer), max_tokens=200, on_failure="keep")
    node = SummarizationNode(summarizer, trigger=SMALL)
    with pytest.warns(AgentCostWarning):
        assert node.invoke({"messages": history(14)}) == {}
    with pytest.warns(AgentCostWarning):
        assert await node.ainvoke({"messages": history(14)}) == {}


def test_the_rider_sees_the_prompt_as_it_was_sent() -> None:
    """The prefix of a later summary is the beginning of the latest prompt, with the earlier summary in its place."""
    model = FakeMeteredChatModel(answers=[SECTIONS])
    node = SummarizationNode(Summarizer(RidingWriter(model), max_tokens=200), trigger=SMALL, system="Be exact.")
    first = node.invoke({"messages": history(12)})
    more = [*history(12), *(message for number in range(12, 26) for message in turn(number))]
    node.invoke({"messages": more, **first})
    sent = [SystemMessage("Be exact."), *node.view(more, first)]
    ridden = model.prompts[1][:-1]
    assert ridden == sent[: len(ridden)]
    assert len(ridden) > 10


TURNS = st.lists(
    st.one_of(
        st.text(max_size=400).map(HumanMessage),
        st.text(max_size=400).map(AIMessage),
        st.tuples(st.sampled_from("abc"), st.text(max_size=900)).map(
            lambda one: ToolMessage(one[1], tool_call_id=one[0])
        ),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(
            lambda ids: AIMessage(
                "", tool_calls=[{"name": "count", "args": {"at": "C-1000"}, "id": one} for one in ids]
            )
        ),
        st.just(HumanMessage([{"type": "image", "base64": "AAAA"}])),
        st.just(SystemMessage("Be exact.")),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(TURNS, TURNS, st.sampled_from([None, {}, {"epoch": "x"}, {"edits": 1}, 7]))
def test_no_history_breaks_it(said: list[BaseMessage], more: list[BaseMessage], plan: Any) -> None:
    """Whatever a history looks like, nothing is raised, and the projection has no fault that the history has not."""
    trigger = Trigger(tokens=100, margin_tokens=50, keep_blocks=1)
    node = SummarizationNode(Summarizer(max_tokens=120), trigger=trigger)
    update = node.invoke({"messages": said, PLAN_KEY: plan})
    later = {**update, **node.invoke({"messages": [*said, *more], **update})}
    for messages, state in ((said, update), ([*said, *more], later)):
        assert len(validate(node.view(messages, state))) <= len(validate(messages))
        assert sum(one.type == "system" for one in node.view(messages, state)) == sum(
            one.type == "system" for one in messages
        )


def test_a_rewritten_history_is_sent_as_it_is() -> None:
    """A plan that was made for other messages changes nothing."""
    node = by_code()
    update = node.invoke({"messages": history(12)})
    other = [HumanMessage("Something else."), *history(12)[1:]]
    assert node.view(other, update) == other


def test_what_a_planner_masked_stays_masked() -> None:
    """Changes of a plan in the blocks that stay are taken over into the next plan."""
    said = history(14)
    masked = Plan().following(said, [Edit(2, 3, Action.MASK, "[cut]"), Edit(28, 29, Action.MASK, "[cut]")])
    more = [*said, *(message for number in range(14, 24) for message in turn(number))]
    node = by_code(trigger=Trigger(tokens=1_200, margin_tokens=400, keep_blocks=12))
    update = node.invoke({"messages": more, PLAN_KEY: masked.as_dict()})
    sent = project(more, Plan.from_dict(update[PLAN_KEY]))
    assert [edit.action for edit in Plan.from_dict(update[PLAN_KEY]).edits] == [Action.SUMMARISE, Action.MASK]
    assert sum(message.text == "[cut]" for message in sent) == 1
