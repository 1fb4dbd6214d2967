"""Everything on at once, in one agent: each part does what it does alone, and the books say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_agentcost import CostMeter
from langchain_agentcost.caching.model_middleware import ModelCacheMiddleware
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.context.layout_middleware import cache_safe_layout
from langchain_agentcost.context.memory_middleware import WorkingMemoryMiddleware
from langchain_agentcost.context.output.agent import OutputControlsMiddleware
from langchain_agentcost.context.output.controls import OutputControls
from langchain_agentcost.context.references.middleware import ReferenceMiddleware
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.middleware import agentcost_middleware
from langchain_agentcost.routing.policy import Choice, Offers, Policy
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from tests.middleware.desk import QUESTION, WAYS, ObedientModel, config_of, last, reserved, spent, unanswered

SMALL, STRONG = "gpt-5-nano", "gpt-5"
COUNTS = FakeCounts(1_000, 100)

PRICES = {SMALL: Decimal("0.00009"), STRONG: Decimal("0.00225")}
"""What a call costs: 1,000 x 0.05 + 100 x 0.40, and 1,000 x 1.25 + 100 x 10.00 $ per million tokens."""


def looks_twice(messages: list[BaseMessage]) -> AIMessage:
    """Ask for the same order twice, then answer."""
    done = sum(isinstance(message, ToolMessage) for message in messages)
    if done >= 2:
        return AIMessage("It is in Lyon.")
    return AIMessage("", tool_calls=[{"name": "track", "args": {"order": "7"}, "id": f"look-{done}"}])


class UserFirst:
    """Has the small tier answer a person, and the strong one go on from results."""

    name = "user first"

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose by who spoke last."""
        return Choice(tier=offers[0 if request.phase == "user" else -1].name, policy=self.name)


class Judged:
    """Has the small tier draft, and a model judge."""

    name = "judged"

    def __init__(self, judge: FakeMeteredChatModel) -> None:
        self.judge = judge

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose the weakest."""
        return Choice(tier=offers[0].name, policy=self.name, verifier=self, escalate_to=offers[-1].name)

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Ask the judge."""
        return Verdict(self.judge.invoke("Good?", config).text == "yes")

    async def acheck(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Ask the judge."""
        return Verdict((await self.judge.ainvoke("Good?", config)).text == "yes")


class Desk:
    """An agent with everything on, and what was asked of whom."""

    def __init__(self, meter: CostMeter, *, policy: Policy | str | None = None, others: Sequence[Any] = ()) -> None:
        self.runs: list[str] = []
        self.small, self.strong = self._model(SMALL), self._model(STRONG)
        router = RouterRunnable([self.small, self.strong], policy=policy or UserFirst(), meter=meter)
        middleware = agentcost_middleware(
            meter,
            router=router,
            tool_cache={"track": ToolCachePolicy("read", ttl_s=60, scope="global")},
            context=True,
            others=[
                *cache_safe_layout(),
                OutputControlsMiddleware(OutputControls("Answer briefly.", max_tokens=2_000)),
                ReferenceMiddleware(),
                WorkingMemoryMiddleware(),
                *others,
            ],
        )
        self.agent = create_agent(
            self.strong, [self._track()], middleware=middleware, checkpointer=InMemorySaver(), name="desk"
        ).with_config({"recursion_limit": 40})

    @property
    def asked(self) -> int:
        """How many calls both models got."""
        return len(self.small.prompts) + len(self.strong.prompts)

    def _model(self, name: str) -> ObedientModel:
        return ObedientModel(model=name, counts=COUNTS, answers=looks_twice)

    def _track(self) -> Any:
        @tool
        def track(order: str) -> str:
            """Say where an order is."""
            self.runs.append(order)
            return f"Order {order} is in Lyon."

        return track


def meter_of(**limits: Any) -> CostMeter:
    """A meter with a session's budget."""
    return CostMeter(budgets=[Budget(per="session", **limits)])


def on(meter: CostMeter, thread: str = "t1") -> Any:
    """The config of a run on a thread."""
    return config_of(meter, thread_id=thread)


def entries(meter: CostMeter, kind: str) -> list[Entry]:
    """What is in the books of a kind."""
    return [entry for entry in meter.ledger.entries() if entry.kind == kind]


def tags(entry: Entry) -> Mapping[str, str]:
    """The tags of an entry."""
    return dict(entry.attribution.tags)


ways = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)


@ways
class TestTogether:
    """Whichever way the agent is asked."""

    def test_each_part_does_what_it_is_for(self, ask: Callable[[Any, Any], Any]) -> None:
        """The small tier and the strong one are asked, the second look is served, and the agent answers."""
        meter = meter_of(usd=1)
        desk = Desk(meter)
        state = ask(desk.agent, on(meter))
        assert last(state).text == "It is in Lyon."
        assert (len(desk.small.prompts), len(desk.strong.prompts), desk.runs) == (1, 2, ["7"])
        assert unanswered(state) == set()

    def test_the_books_have_each_call_once(self, ask: Callable[[Any, Any], Any]) -> None:
        """One entry a model call, with its tier and price; one a decision; one for what the tool cache served."""
        meter = meter_of(usd=1)
        desk = Desk(meter)
        ask(desk.agent, on(meter))
        called = entries(meter, "llm")
        assert len(called) == desk.asked == 3
        assert [tags(entry)["agentcost_tier"] for entry in called] == ["small", "frontier", "frontier"]
        assert [entry.cost.total for entry in called if entry.cost] == [PRICES[SMALL], PRICES[STRONG], PRICES[STRONG]]
        assert [entry.name for entry in entries(meter, "decision")] == ["user first"] * 3
        assert len(entries(meter, "tool")) == len(entries(meter, "cache_hit")) == 1
        assert spent(meter) == PRICES[SMALL] + 2 * PRICES[STRONG]
        assert reserved(meter) == 0

    def test_the_prompt_is_shaped_for_the_model_that_is_asked(self, ask: Callable[[Any, Any], Any]) -> None:
        """The instruction stands in both tiers' prompts, and the history has neither it nor what others add."""
        meter = meter_of(usd=1)
        desk = Desk(meter)
        state = ask(desk.agent, on(meter))
        assert all("Answer briefly." in model.prompts[0][0].text for model in (desk.small, desk.strong))
        assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai", "tool", "ai"]

    def test_state_has_what_was_decided_and_planned(self, ask: Callable[[Any, Any], Any]) -> None:
        """Both, beside one another; each answer says its own decision."""
        meter = meter_of(usd=1)
        desk = Desk(meter)
        state = ask(desk.agent, on(meter))
        values = desk.agent.get_state(on(meter)).values
        assert values["agentcost_route"] == last(state).response_metadata["router"]
        assert "agentcost_context" in values
        said = [one.response_metadata["router"]["tier"] for one in state["messages"] if isinstance(one, AIMessage)]
        assert said == ["small", "frontier", "frontier"]

    def test_a_limit_holds_and_the_agent_says_what_it_has(self, ask: Callable[[Any, Any], Any]) -> None:
        """After two calls there is no third: the agent ends with what the tool said, and nothing stays reserved."""
        meter = meter_of(steps=2)
        desk = Desk(meter)
        state = ask(desk.agent, on(meter))
        assert desk.asked == len(entries(meter, "llm")) == 2
        assert last(state).text.startswith("Budget reached: 2 of 2 steps")
        assert "Order 7 is in Lyon." in last(state).text
        assert (unanswered(state), reserved(meter)) == (set(), 0)

    def test_a_judge_that_a_limit_stops_ends_the_agent_as_well(self, ask: Callable[[Any, Any], Any]) -> None:
        """The draft is paid, its check is not made, and the agent ends with an answer and no exception."""
        meter, judge = meter_of(steps=1), FakeMeteredChatModel(model=SMALL, answers=["yes"])
        desk = Desk(meter, policy=Judged(judge))
        state = ask(desk.agent, on(meter))
        assert last(state).text.startswith("Budget reached: 1 of 1 step")
        assert (desk.asked, judge.prompts) == (1, [])

    def test_drafts_and_judges_are_in_the_books(self, ask: Callable[[Any, Any], Any]) -> None:
        """Each under its role and purpose, in one decision a call."""
        meter, judge = meter_of(usd=1), FakeMeteredChatModel(model=SMALL, answers=["yes", "no", "yes"])
        desk = Desk(meter, policy=Judged(judge))
        state = ask(desk.agent, on(meter))
        roles = [tags(entry)["agentcost_role"] for entry in entries(meter, "llm")]
        assert roles == ["draft", "judge", "draft", "judge", "escalation", "draft", "judge"]
        assert len(entries(meter, "decision")) == 3
        assert last(state).response_metadata["router"]["answered_by"] == "small"

    def test_from_a_threshold_on_the_router_goes_down(self, ask: Callable[[Any, Any], Any]) -> None:
        """A call of the strong tier takes more than a tenth of the budget: what follows is the small tier's."""
        meter = meter_of(usd="0.02", thresholds={0.1: "downgrade"})
        desk = Desk(meter, policy="step")
        state = ask(desk.agent, on(meter))
        assert last(state).text == "It is in Lyon."
        assert [tags(entry)["agentcost_tier"] for entry in entries(meter, "llm")] == ["frontier", "small", "small"]
        assert (len(desk.strong.prompts), len(desk.small.prompts)) == (1, 2)

    def test_where_the_strong_tier_has_no_room_the_small_one_answers(self, ask: Callable[[Any, Any], Any]) -> None:
        """With "downgrade" at the limit, and the ledger says who was asked and why."""
        meter = meter_of(usd="0.0024", on_limit="downgrade")
        desk = Desk(meter, policy="step")
        state = ask(desk.agent, on(meter))
        assert last(state).text == "It is in Lyon."
        assert {tags(entry)["agentcost_tier"] for entry in entries(meter, "llm")[1:]} == {"small"}
        assert spent(meter) <= Decimal("0.0024")


class TestStreams:
    """Who watches sees tokens as they come."""

    def test_tokens(self) -> None:
        """The answer comes in pieces, once."""
        meter = meter_of(usd=1)
        shown = Desk(meter).agent.stream(QUESTION, on(meter), stream_mode="messages")
        texts = [one.text for one, _ in shown if isinstance(one, AIMessage) and one.text]
        assert "".join(texts) == "It is in Lyon."
        assert len(texts) > 2

    async def test_tokens_in_async_code(self) -> None:
        """The same, awaited."""
        meter = meter_of(usd=1)
        shown = Desk(meter).agent.astream(QUESTION, on(meter), stream_mode="messages")
        texts = [one.text async for one, _ in shown if isinstance(one, AIMessage) and one.text]
        assert "".join(texts) == "It is in Lyon."
        assert len(texts) > 2


class TestModelCache:
    """A model cache stands before the router: what it serves is decided on by nobody."""

    @ways
    def test_a_hit_asks_no_tier(self, ask: Callable[[Any, Any], Any]) -> None:
        """The second run of the same question, on another thread, makes no call, no decision and no reservation."""
        meter = meter_of(usd=1)
        cache = SemanticCache(embeddings=False, scope="global")
        desk = Desk(meter, others=[ModelCacheMiddleware(cache)])
        ask(desk.agent, on(meter))
        before = desk.asked
        state = ask(desk.agent, on(meter, "t2"))
        assert last(state).text == "It is in Lyon."
        assert (before, desk.asked) == (3, 3)
        assert len(entries(meter, "llm")) == len(entries(meter, "decision")) == 3
        assert len([entry for entry in entries(meter, "cache_hit") if entry.usage]) == 3
        assert reserved(meter) == 0


def test_agents_side_by_side_keep_their_own_books() -> None:
    """Ten threads of one agent at the same time: each call has its own decision, and the sum is right."""
    meter = meter_of(usd=5)
    desk = Desk(meter)

    async def all_of_them() -> Any:
        return await asyncio.gather(*(desk.agent.ainvoke(QUESTION, on(meter, f"t{number}")) for number in range(10)))

    states = asyncio.run(all_of_them())
    assert {last(state).text for state in states} == {"It is in Lyon."}
    called = entries(meter, "llm")
    assert len(called) == len(entries(meter, "decision")) == 30
    assert sorted(tags(entry)["agentcost_tier"] for entry in called) == ["frontier"] * 20 + ["small"] * 10
    assert spent(meter) == 10 * PRICES[SMALL] + 20 * PRICES[STRONG]


def test_a_thread_goes_on_where_it_was() -> None:
    """A second question on the same thread is routed anew, with the whole history."""
    meter = meter_of(usd=1)
    desk = Desk(meter)
    desk.agent.invoke(QUESTION, on(meter))
    state = desk.agent.invoke({"messages": [HumanMessage("And now?")]}, on(meter))
    assert last(state).response_metadata["router"]["tier"] == "small"
    assert last(state).text == "It is in Lyon."


@ways
def test_a_person_who_is_asked_is_asked_once(ask: Callable[[Any, Any], Any]) -> None:
    """A budget that asks pauses the agent behind the router; the answer lets the very call be made, routed anew."""
    meter = meter_of(steps=1, on_limit="interrupt")
    desk = Desk(meter)
    ask(desk.agent, on(meter))
    assert desk.asked == 1
    assert len(desk.agent.get_state(on(meter)).interrupts) == 1
    desk.agent.invoke(Command(resume={"raise_by": 5}), on(meter))
    state = desk.agent.get_state(on(meter))
    assert state.values["messages"][-1].text == "It is in Lyon."
    assert len(entries(meter, "llm")) == desk.asked == 3
