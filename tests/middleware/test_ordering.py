"""The order of an agent's middleware: right by itself where it was given, and refused where it is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
    LLMToolEmulator,
    LLMToolSelectorMiddleware,
    ModelFallbackMiddleware,
    ModelRefusalMiddleware,
    ModelRequest,
    ModelResponse,
    ModelRetryMiddleware,
    ToolRetryMiddleware,
    dynamic_prompt,
)  # fmt: skip

from langchain_agentcost import CostMeter
from langchain_agentcost.caching.model_middleware import ModelCacheMiddleware
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tool_middleware import ToolCacheMiddleware
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.context.context_middleware import ContextMiddleware
from langchain_agentcost.context.layout_middleware import cache_safe_layout
from langchain_agentcost.context.memory_middleware import WorkingMemoryMiddleware
from langchain_agentcost.context.output.agent import OutputControlsMiddleware
from langchain_agentcost.context.output.controls import OutputControls
from langchain_agentcost.context.projector import ContextProjector
from langchain_agentcost.context.references.middleware import ReferenceMiddleware
from langchain_agentcost.errors import AgentCostError
from langchain_agentcost.middleware import ORDER, RULES, WrongOrder, agentcost_middleware, check_order
from langchain_agentcost.middleware.ordering import behind, in_order
from langchain_agentcost.routing.middleware import RouterMiddleware
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.testing import FakeMeteredChatModel

POLICIES = {"track": ToolCachePolicy("read", ttl_s=60)}


class Mine(AgentMiddleware[Any, Any, Any]):
    """A user's own that wraps model calls."""

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Make the call."""
        return handler(request)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Make the call."""
        return await handler(request)


def two() -> list[Any]:
    """Two tiers."""
    return [FakeMeteredChatModel(), FakeMeteredChatModel()]


def every_kind() -> list[Any]:
    """One of each kind that an order matters for."""
    model = FakeMeteredChatModel()
    return [
        ContextMiddleware(),
        ContextEditingMiddleware(),
        ReferenceMiddleware(),
        ToolCacheMiddleware(POLICIES),
        WorkingMemoryMiddleware(),
        ModelCacheMiddleware(SemanticCache(embeddings=False, scope="global")),
        RouterMiddleware(two()),
        ModelFallbackMiddleware(model),
        ModelRefusalMiddleware(),
        *cache_safe_layout(),
        OutputControlsMiddleware(OutputControls("Be brief.")),
        LLMToolSelectorMiddleware(model=model),
        LLMToolEmulator(model=model),
        ModelRetryMiddleware(),
        Mine(),
    ]


def kinds(middleware: Sequence[Any]) -> list[str]:
    """The classes' names."""
    return [type(one).__name__ for one in middleware]


def mistakes(middleware: Sequence[Any]) -> set[tuple[str, str]]:
    """The pairs of which the later one has to come first."""
    names = kinds(middleware)
    bad = {(rule.after, rule.before) for rule in RULES}
    return {pair for pair in combinations(names, 2) if pair in bad}


class TestTable:
    """One table says who comes before whom, and one who stands where."""

    def test_the_two_do_not_contradict_each_other(self) -> None:
        """Every rule holds of the order."""
        places = {name: place for place, name in enumerate(ORDER)}
        other = places[""]
        assert [rule for rule in RULES if places.get(rule.before, other) >= places.get(rule.after, other)] == []

    def test_each_class_of_it_exists(self) -> None:
        """A class that was renamed would no longer be put in order."""
        made = agentcost_middleware(CostMeter(), others=every_kind())
        named = {name for rule in RULES for name in (rule.before, rule.after)} | set(ORDER) - {""}
        known = {kind.__name__ for one in made for kind in type(one).__mro__}
        assert named - known == {"ModelRouterMiddleware"}  # LangChain's own; it is a beta that asks a model
        from langchain.agents.middleware import model_router  # noqa: PLC0415  # a beta: its import may warn

        assert hasattr(model_router, "ModelRouterMiddleware")

    @settings(max_examples=30, deadline=None)
    @given(st.permutations(range(len(every_kind()))))
    def test_whatever_is_given_is_put_in_order(self, places: list[int]) -> None:
        """All that there is, in any order, comes out in one that passes the check."""
        kinds_of_all = every_kind()
        made = in_order([kinds_of_all[place] for place in places])
        assert len(made) == len(kinds_of_all)
        assert check_order(made) == made
        assert mistakes(made) == set()


class TestCheck:
    """A list that somebody has written is checked pair by pair."""

    def test_every_pair_of_the_table_is_refused_the_wrong_way_round(self) -> None:
        """And passes the right way round."""
        for one, other in permutations(every_kind(), 2):
            if mistakes([one, other]):
                with pytest.raises(WrongOrder, match=f"{kinds([other])[0]} has to stand before {kinds([one])[0]}"):
                    check_order([one, other])
            else:
                assert check_order([one, other]) == [one, other]

    def test_the_error_says_why_and_what_to_do(self) -> None:
        """As a value that is wrong, and as one of this package's errors."""
        with pytest.raises(ValueError, match=r"never asked\. Move it, or give it to agentcost_middleware") as raised:
            check_order([ModelFallbackMiddleware(FakeMeteredChatModel()), RouterMiddleware(two())])
        assert isinstance(raised.value, AgentCostError)

    @pytest.mark.parametrize("late", [ModelRetryMiddleware, Mine])
    def test_nothing_that_wraps_model_calls_comes_behind_the_limits(self, late: Any) -> None:
        """LangChain's or a user's own."""
        with pytest.raises(WrongOrder, match=f"{late.__name__} has to stand before AgentCostModelCalls"):
            check_order([*agentcost_middleware(CostMeter()), late()])

    def test_what_does_not_matter_may_stand_anywhere(self) -> None:
        """What wraps tools, or looks at what was answered."""
        for quiet in (HumanInTheLoopMiddleware({"track": True}), ToolRetryMiddleware()):
            check_order([quiet, *agentcost_middleware(CostMeter(), tool_cache=POLICIES)])
            check_order([*agentcost_middleware(CostMeter(), tool_cache=POLICIES), quiet])

    def test_a_subclass_is_one_of_its_kind(self) -> None:
        """What a user made of ours has the same place."""

        class Own(ContextMiddleware):
            """A user's own projector."""

        with pytest.raises(WrongOrder, match="Own has to stand before WorkingMemoryMiddleware"):
            check_order([WorkingMemoryMiddleware(), Own()])

    def test_a_user_s_own_class_of_the_same_name_is_another(self) -> None:
        """Nothing is known of it."""
        own = type("ContextMiddleware", (Mine,), {"__module__": "shop.agents"})()
        assert check_order([WorkingMemoryMiddleware(), own])


class TestMade:
    """What `agentcost_middleware` is given cannot stand in a wrong order."""

    def test_with_limits_alone_it_is_what_it_was(self) -> None:
        """Two, or one where limits raise."""
        assert kinds(agentcost_middleware(CostMeter())) == ["AgentCostModelCalls", "AgentCostToolCalls"]
        assert kinds(agentcost_middleware(CostMeter(), on_limit="raise")) == ["AgentCostModelCalls"]

    def test_everything_has_its_place(self) -> None:
        """However it was given, and the user's own comes first."""

        @dynamic_prompt
        def prompt(request: ModelRequest[Any]) -> str:
            """The prompt."""
            return "Be kind."

        others = [*reversed(cache_safe_layout()), OutputControlsMiddleware(OutputControls()), WorkingMemoryMiddleware()]
        others += [ReferenceMiddleware(), prompt, ModelRetryMiddleware()]
        made = agentcost_middleware(CostMeter(), router=two(), tool_cache=POLICIES, context=True, others=others)
        assert kinds(made) == [
            "AgentCostEnd", "prompt", "ModelRetryMiddleware", "ContextMiddleware", "ReferenceMiddleware",
            "ToolCacheMiddleware", "WorkingMemoryMiddleware", "RouterMiddleware", "CacheSafeLayout",
            "AnthropicPromptCachingMiddleware", "MarkBeforeTail", "OutputControlsMiddleware", "AgentCostModelCalls",
            "AgentCostToolCalls",
        ]  # fmt: skip

    def test_each_part_is_taken_in_any_form(self) -> None:
        """As what it is made of, as the thing itself, or as the middleware."""
        meter, projector, cache = CostMeter(), ContextProjector(), ToolCache(POLICIES)
        by_thing = agentcost_middleware(meter, router=RouterRunnable(two()), tool_cache=cache, context=projector)
        own = [ContextMiddleware(projector), ToolCacheMiddleware(cache), RouterMiddleware(two())]
        by_middleware = agentcost_middleware(meter, router=own[2], tool_cache=own[1], context=own[0])  # type: ignore[arg-type]
        assert kinds(by_thing) == kinds(by_middleware)
        [_, context, tools, router, *_] = by_thing
        assert isinstance(context, ContextMiddleware)
        assert isinstance(tools, ToolCacheMiddleware)
        assert isinstance(router, RouterMiddleware)
        assert (context.projector, tools.cache, router.router.meter) == (projector, cache, meter)
        assert by_middleware[1:3] == own[:2]

    def test_a_router_keeps_its_own_meter(self) -> None:
        """Its prices and budgets may be other ones."""
        own, meter = CostMeter(), CostMeter()
        router = RouterMiddleware(two(), meter=own)
        assert agentcost_middleware(meter, router=router)[1] is router

    def test_context_may_be_switched_off(self) -> None:
        """By a flag of the user's own."""
        assert agentcost_middleware(CostMeter(), context=False)[0].name == "AgentCostModelCalls"

    def test_a_router_and_cheaper_models_do_not_go_together(self) -> None:
        """Both would choose."""
        with pytest.raises(ValueError, match="as its tiers"):
            agentcost_middleware(CostMeter(), router=two(), downgrade_to=FakeMeteredChatModel())


WAYS: dict[str, Callable[[Any], Any]] = {
    "sync": lambda agent: agent.invoke({"messages": "Hi"}),
    "async": lambda agent: asyncio.run(agent.ainvoke({"messages": "Hi"})),
}


@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
class TestFirstCall:
    """What stands behind is seen at an agent's first call, before anything is paid."""

    @pytest.mark.parametrize("late", [ModelRetryMiddleware, WorkingMemoryMiddleware, Mine])
    def test_a_wrong_order_is_refused(self, ask: Any, late: Any) -> None:
        """No model is asked, and the next call is refused likewise."""
        models = two()
        stack = [*agentcost_middleware(CostMeter(), router=models), late()]
        agent = create_agent(models[1], middleware=stack)
        for _ in range(2):
            with pytest.raises(WrongOrder, match=late.__name__):
                ask(agent)
        assert [model.prompts for model in models] == [[], []]

    def test_all_that_stands_behind_is_seen(self, ask: Any) -> None:
        """In its order, however long the list is."""
        seen: list[list[str]] = []

        class Looks(Mine):
            """Looks behind itself."""

            def wrap_model_call(self, request: ModelRequest[Any], handler: Callable[..., Any]) -> ModelResponse[Any]:
                """Look."""
                seen.append(kinds(behind(handler)))
                made: ModelResponse[Any] = handler(request)
                return made

            async def awrap_model_call(
                self, request: ModelRequest[Any], handler: Callable[..., Awaitable[Any]]
            ) -> ModelResponse[Any]:
                """Look."""
                seen.append(kinds(behind(handler)))
                made: ModelResponse[Any] = await handler(request)
                return made

        model = FakeMeteredChatModel()
        later = [ContextEditingMiddleware(), ModelRetryMiddleware(), Mine()]
        for count in range(4):
            ask(create_agent(model, middleware=[Looks(), *later[:count]]))
        assert seen == [kinds(later[:count]) for count in range(4)]
