"""Other middleware, other agents and other callers keep to the same limits, and to their own business."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ToolRetryMiddleware,
)  # fmt: skip
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_agentcost import CostMeter, meter_costs
from langchain_agentcost.errors import BudgetExceeded, UnenforcedBudgetWarning
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.middleware import agentcost_middleware
from tests.middleware.desk import (
    PRICE,
    QUESTION,
    WAYS,
    agent_of,
    config_of,
    last,
    looks_twice,
    model_of,
    reserved,
    spent,
    track,
    unanswered,
)


def session(**limits: Any) -> CostMeter:
    """A meter that holds a session to a budget."""
    return CostMeter(budgets=[Budget(per="session", **limits)])


class TestRetries:
    """Attempts are calls like any other."""

    @pytest.mark.parametrize("way", WAYS)
    def test_each_attempt_has_a_permit(self, way: str) -> None:
        """Two calls fail before anything is paid, and the third is the only one that counts."""
        meter = session(usd=1)
        model = model_of(["Hi"], failures={1: ConnectionError("no"), 2: ConnectionError("no")})
        retry = ModelRetryMiddleware(max_retries=2, initial_delay=0.0)
        state = WAYS[way](agent_of(meter, model, before=[retry]), config_of(meter))
        assert last(state).text == "Hi"
        assert len(model.prompts) == 3
        assert (spent(meter), reserved(meter)) == (PRICE, 0)

    def test_a_limit_is_not_retried(self) -> None:
        """A stop is no failure: neither retry nor fallback makes another call of it."""
        meter, model, other = session(steps=1), model_of(), model_of()
        before = [ModelRetryMiddleware(initial_delay=0.0), ModelFallbackMiddleware(other)]
        with pytest.raises(BudgetExceeded):
            agent_of(meter, model, before=before, on_limit="raise").invoke(QUESTION, config_of(meter))
        assert (len(model.prompts), len(other.prompts)) == (1, 0)

    def test_a_fallback_is_held_to_the_same_budget(self) -> None:
        """The model that steps in counts, and is stopped where the first one would have been."""
        meter = session(steps=3)
        broken = model_of(failures={number: ConnectionError("no") for number in range(1, 9)})
        other = model_of()
        state = agent_of(meter, broken, before=[ModelFallbackMiddleware(other)]).invoke(QUESTION, config_of(meter))
        assert last(state).text.startswith("Budget reached: 3 of 3 steps")
        assert len(broken.prompts) + len(other.prompts) == 3
        assert len(other.prompts) >= 1

    @pytest.mark.parametrize("place", ["before", "after"])
    def test_a_tool_that_was_stopped_is_not_retried(self, place: str) -> None:
        """The tool's retries are over at its first stop, wherever they are in the list."""
        runs: list[str] = []

        @tool("track")
        def counted(order: str) -> str:
            """Say where an order is."""
            runs.append(order)
            return "Lyon"

        retry: Any = {place: [ToolRetryMiddleware(initial_delay=0.0, on_failure="continue")]}
        meter = session(tool_calls=1)
        state = agent_of(meter, options={"tools": [counted]}, **retry).invoke(QUESTION, config_of(meter))
        assert last(state).text.startswith("Budget reached: 1 of 1 tool call")
        assert len(runs) == 1
        assert unanswered(state) == set()


class TestPlace:
    """What comes after it is not shaped by it, and it says so."""

    def test_it_warns_where_others_make_calls_after_it(self) -> None:
        """Once, at the first call, and the limit holds all the same."""
        meter, model = session(steps=2), model_of(failures={1: ConnectionError("no")})
        agent = agent_of(meter, model, after=[ModelRetryMiddleware(initial_delay=0.0)])
        with pytest.warns(UnenforcedBudgetWarning, match="Put it last") as given:
            agent.invoke(QUESTION, config_of(meter))
        assert len(given) == 1
        assert len(model.prompts) == 2

    async def test_it_warns_in_async_agents(self) -> None:
        """The same, awaited."""
        meter = session(steps=0)
        with pytest.warns(UnenforcedBudgetWarning, match="Put it last"):
            await agent_of(meter, after=[ModelRetryMiddleware()]).ainvoke(QUESTION, config_of(meter))

    def test_it_is_content_with_what_makes_no_calls(self) -> None:
        """Middleware that only looks at what was answered may come after it, and all may come before it."""
        meter = session(steps=1)
        quiet = HumanInTheLoopMiddleware({"track": False})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            agent_of(meter, before=[ModelRetryMiddleware()], after=[quiet]).invoke(QUESTION, config_of(meter))


class TestPeople:
    """A person who is asked by another middleware is not asked by this one."""

    def test_an_approval_of_a_tool_is_the_user_s_own(self) -> None:
        """Two pauses for the tool's own approval, then the budget's end; each answer reaches who asked."""
        meter, model = session(steps=2), model_of()
        people = HumanInTheLoopMiddleware({"track": True})
        options = {"checkpointer": InMemorySaver()}
        agent, config = agent_of(meter, model, before=[people], options=options), config_of(meter, thread_id="t1")
        state = agent.invoke(QUESTION, config)
        for _ in range(2):
            assert state["__interrupt__"][0].value["action_requests"][0]["name"] == "track"
            state = agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config)
        assert last(state).text.startswith("Budget reached: 2 of 2 steps")
        assert len(model.prompts) == 2
        assert unanswered(state) == set()


class TestSharing:
    """One budget holds for all that is below the outermost call, and for all sessions of a name."""

    @pytest.mark.parametrize("inner_ends", [True, False])
    @pytest.mark.parametrize("way", WAYS)
    def test_an_agent_in_a_tool_shares_the_budget(self, way: str, inner_ends: bool) -> None:
        """Seven steps are seven, whoever takes them, and the outer agent ends with an answer."""
        meter, inner_model, outer_model = session(steps=7), model_of(looks_twice), model_of()
        inner = agent_of(meter, inner_model) if inner_ends else create_agent(inner_model, [track])

        @tool("track")
        def has_tracked(order: str) -> str:
            """Have an agent say where an order is."""
            return str(inner.invoke(QUESTION)["messages"][-1].text)

        state = WAYS[way](agent_of(meter, outer_model, options={"tools": [has_tracked]}), config_of(meter))
        assert len(inner_model.prompts) + len(outer_model.prompts) == 7
        assert last(state).text.startswith("Budget reached: 7 of 7 steps")
        assert unanswered(state) == set()
        assert reserved(meter) == 0

    @pytest.mark.filterwarnings("ignore:Direct attribute assignment")  # LangChain's own, whose guard knows no threads
    def test_agents_side_by_side_never_overspend(self) -> None:
        """Eight agents in threads share a session: what they spend is within its budget."""
        meter, model = session(usd="0.05"), model_of()
        agent = agent_of(meter, model)
        with ThreadPoolExecutor(8) as pool:
            states = list(pool.map(lambda _: agent.invoke(QUESTION, config_of(meter)), range(8)))
        assert spent(meter) <= Decimal("0.05")
        assert reserved(meter) == 0
        assert all(last(state).text.startswith("Budget reached") for state in states)

    async def test_tasks_side_by_side_have_each_their_own_permit(self) -> None:
        """Sixteen agents in one event loop: every call is counted once, and none takes another one's permit."""
        meter, model = session(usd=20, steps=100), model_of(looks_twice, latency_s=0.001)
        agent = agent_of(meter, model)
        states = await asyncio.gather(*(agent.ainvoke(QUESTION, config_of(meter)) for _ in range(16)))
        assert {last(state).text for state in states} == {"It is in Lyon."}
        money, steps = meter.remaining("session=s1")
        assert (money.spent, steps.spent) == (48 * PRICE, 48)
        assert reserved(meter) == 0


class TestMeter:
    """The meter has to be among the callbacks."""

    @pytest.mark.parametrize("way", WAYS)
    def test_a_meter_that_is_not_passed_still_counts_model_calls(self, way: str) -> None:
        """It warns, meters the agent's calls, holds the session to its budget, and leaves nothing reserved."""
        meter, model = session(steps=2), model_of()
        with pytest.warns(UnenforcedBudgetWarning, match="not among the callbacks"):
            state = WAYS[way](agent_of(meter, model), {"metadata": {"session": "s1"}})
        assert len(model.prompts) == 2
        assert last(state).text.startswith("Budget reached: 2 of 2 steps")
        assert (spent(meter), reserved(meter)) == (2, 0)
        assert len(list(meter.ledger.entries())) == 2

    def test_a_meter_of_a_block_is_there(self) -> None:
        """What meter_costs meters needs no callbacks."""
        meter = session(steps=1)
        with meter_costs(meter), warnings.catch_warnings():
            warnings.simplefilter("error")
            state = agent_of(meter).invoke(QUESTION, {"metadata": {"session": "s1"}})
        assert last(state).text.startswith("Budget reached: 1 of 1 step")

    @pytest.mark.parametrize("first", [0, 1])
    def test_another_meter_holds_its_own_limits(self, first: int) -> None:
        """A permit is for the meter that gave it: what a second meter allows is asked of that one."""
        mine, other, model = session(steps=10), session(steps=2), model_of()
        both = [mine, other] if first == 0 else [other, mine]
        config = {"callbacks": both, "metadata": {"session": "s1"}}
        state = agent_of(mine, model).invoke(QUESTION, config)
        assert last(state).text.startswith("Budget reached: 2 of 2 steps")
        assert (len(model.prompts), spent(other)) == (2, 2)

    def test_a_meter_without_limits_changes_nothing(self) -> None:
        """No cap, no line, no end."""
        meter, model = CostMeter(), model_of(looks_twice)
        state = agent_of(meter, model, show_remaining=True).invoke(QUESTION, config_of(meter))
        assert last(state).text == "It is in Lyon."
        assert [type(prompt[-1]).__name__ for prompt in model.prompts] == ["HumanMessage", "ToolMessage", "ToolMessage"]

    @pytest.mark.parametrize("mode", ["observe", "off"])
    def test_a_meter_that_only_watches_stops_nothing(self, mode: Any) -> None:
        """The kill switch reaches the middleware."""
        meter = CostMeter(budgets=[Budget(per="session", steps=1)], mode=mode)
        assert last(agent_of(meter, model_of(looks_twice)).invoke(QUESTION, config_of(meter))).text == "It is in Lyon."


def test_without_langchain_the_import_says_what_to_install() -> None:
    """The error names the extra, and comes when the middleware is asked for, not before."""
    code = (
        "import sys; sys.modules['langchain'] = None; import langchain_agentcost.meter, langchain_agentcost.middleware"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith(
        "MissingExtra: agentcost_middleware needs langchain. Install it with: pip install 'langchain-agentcost[agents]'"
    )


def test_an_agent_takes_it_once() -> None:
    """Twice into one agent it cannot be put: every call would be reserved for twice."""
    with pytest.raises(AssertionError, match="duplicate"):
        agent_of(CostMeter(), after=agentcost_middleware(CostMeter()))
