"""The model cache in `create_agent`: what an agent does with a hit is what it does with the model's answer."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware, dynamic_prompt
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, BaseMessage
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_agentcost import Budget, CostMeter
from langchain_agentcost.caching import model_middleware
from langchain_agentcost.caching.answer import MARK
from langchain_agentcost.caching.llm_cache import AgentCostLLMCache
from langchain_agentcost.caching.model_middleware import ModelCacheMiddleware
from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.middleware import agentcost_middleware
from tests.caching.desk import agent_of, booked, caller, desk_model, exact_cache, looks_once, saved_nano, texts, track

QUESTION: Any = {"messages": "Where is order 7?"}


class Order(BaseModel):
    """An order."""

    number: int


@dataclass
class Parcel:
    """A parcel."""

    weight: float


class Refund(TypedDict):
    """A refund."""

    usd: float


async def runs_of(agent: Any, model: Any, how: str, *, times: int = 4) -> list[int]:
    """How many real calls each run of an agent makes."""
    made = []
    for _ in range(times):
        before = len(model.prompts)
        done = agent.invoke(QUESTION) if how == "sync" else await agent.ainvoke(QUESTION)
        assert texts(done)[-1] == "Your order is in Lyon."
        made.append(len(model.prompts) - before)
    return made


@pytest.mark.parametrize("how", ["sync", "async"])
class TestAnAgentThatIsRunAgain:
    """Two steps, four times."""

    async def test_with_the_middleware_no_call_is_made_again(self, how: str) -> None:
        """2, 0, 0, 0."""
        model = desk_model(looks_once)
        assert await runs_of(agent_of(model, ModelCacheMiddleware(exact_cache())), model, how) == [2, 0, 0, 0]

    async def test_with_the_cache_of_a_model_no_call_is_made_again(self, how: str) -> None:
        """2, 0, 0, 0, as LangChain's own cache would if its keys were those of what was said."""
        model = desk_model(looks_once, cache=AgentCostLLMCache(scope="global"))
        assert await runs_of(agent_of(model), model, how) == [2, 0, 0, 0]

    async def test_with_langchains_own_cache_the_second_step_is_made_again(self, how: str) -> None:
        """2, 1, 0, 0: a hit changes the usage in the message, and the prompt of the next step is another one."""
        model = desk_model(looks_once, cache=InMemoryCache())
        assert await runs_of(agent_of(model), model, how) == [2, 1, 0, 0]


def shaped(wanted: Any, answer: AIMessage, **changes: Any) -> tuple[Any, Any]:
    """An agent with structured output, and its model."""
    model = desk_model([answer], **changes)
    return create_agent(model, response_format=wanted, middleware=[ModelCacheMiddleware(exact_cache())]).with_config(
        FEW
    ), model


def call_of(name: str, **args: Any) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": "1"}])


FEW: Any = {"recursion_limit": 12}
"""So that an agent that goes round in circles fails its test."""

NATIVE: dict[str, Any] = {"profile": {"structured_output": True}}


class TestStructuredOutput:
    """`response_format` on a hit."""

    @pytest.mark.parametrize(
        ("wanted", "answer", "found", "changes"),
        [
            (ToolStrategy(Order), call_of("Order", number=7), Order(number=7), {}),
            (ToolStrategy(Order | Parcel), call_of("Parcel", weight=2.5), Parcel(2.5), {}),
            (ToolStrategy(Refund), call_of("Refund", usd=3.5), {"usd": 3.5}, {}),
            (ToolStrategy(Order, tool_message_content="Noted."), call_of("Order", number=7), Order(number=7), {}),
            (Order, call_of("Order", number=7), Order(number=7), {"model": "small"}),
            (Order, AIMessage('{"number": 7}'), Order(number=7), NATIVE),
            (ProviderStrategy(Order), AIMessage('{"number": 7}'), Order(number=7), {}),
            (ProviderStrategy(Parcel), AIMessage('{"weight": 2.5}'), Parcel(2.5), {}),
        ],
        ids=["tool", "union", "typed dict", "message", "bare", "bare, native", "native", "native dataclass"],
    )
    @pytest.mark.parametrize("how", ["sync", "async"])
    async def test_it_is_made_of_the_cached_answer_as_of_the_models(
        self, wanted: Any, answer: AIMessage, found: Any, changes: dict[str, Any], how: str
    ) -> None:
        """The same object, and the same messages, from one call."""
        agent, model = shaped(wanted, answer, **changes)
        first, second = [agent.invoke(QUESTION) if how == "sync" else await agent.ainvoke(QUESTION) for _ in range(2)]
        assert len(model.prompts) == 1
        assert first["structured_response"] == second["structured_response"] == found
        assert texts(first) == texts(second)
        assert [type(said) for said in first["messages"]] == [type(said) for said in second["messages"]]

    def test_another_schema_or_another_strategy_is_another_question(self) -> None:
        """The answer of one is no answer to the other."""
        model, cache = desk_model(lambda _: call_of("Order", number=7)), exact_cache()
        create_agent(desk_model(), middleware=[ModelCacheMiddleware(cache)]).invoke(QUESTION)
        for wanted in (ToolStrategy(Order), ToolStrategy(Order | Parcel), ToolStrategy(Order)):
            agent = create_agent(model, response_format=wanted, middleware=[ModelCacheMiddleware(cache)])
            assert agent.invoke(QUESTION, FEW)["structured_response"] == Order(number=7)
        assert len(model.prompts) == 2

    def test_output_that_does_not_fit_its_schema_is_not_kept(self) -> None:
        """The model is told and tries again; what it said first is said to nobody else."""
        wrong, right = call_of("Order", number="seven"), call_of("Order", number=7)
        model = desk_model([wrong, right, right, right])
        agent = create_agent(
            model, response_format=ToolStrategy(Order), middleware=[ModelCacheMiddleware(exact_cache())]
        )
        assert agent.invoke(QUESTION, FEW)["structured_response"] == Order(number=7)
        assert len(model.prompts) == 2
        agent.invoke(QUESTION, FEW)
        assert len(model.prompts) == 3

    def test_a_schema_without_a_name_is_never_equal(self) -> None:
        """LangChain makes up a name for its tool, another one in every agent."""
        model = desk_model(lambda _: AIMessage('{"a": 1}'))
        for _ in range(2):
            schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
            nameless: ProviderStrategy[Any] = ProviderStrategy(schema)
            agent = create_agent(model, response_format=nameless, middleware=[ModelCacheMiddleware(exact_cache())])
            assert agent.invoke(QUESTION, FEW)["structured_response"] == {"a": 1}
        assert len(model.prompts) == 2


class TestAmongOtherMiddleware:
    """What comes before, and what comes behind."""

    @pytest.mark.parametrize("how", ["sync", "async"])
    @pytest.mark.parametrize("wanted", [None, ToolStrategy(Order)], ids=["text", "structured"])
    async def test_a_hit_needs_no_budget(self, how: str, wanted: Any) -> None:
        """A meter with room for one call serves the second run."""
        model = desk_model([call_of("Order", number=7) if wanted else AIMessage("In Lyon.")])
        meter = CostMeter(budgets=[Budget(steps=1, per="user")])
        stack = [ModelCacheMiddleware(exact_cache()), *agentcost_middleware(meter)]
        agent = create_agent(model, response_format=wanted, middleware=stack)
        config: Any = caller() | FEW | {"callbacks": meter.callbacks}
        done = [
            agent.invoke(QUESTION, config) if how == "sync" else await agent.ainvoke(QUESTION, config) for _ in "12"
        ]
        assert texts(done[0]) == texts(done[1])
        assert (len(booked(meter, "llm")), len(booked(meter, "cache_hit"))) == (1, 1)

    @pytest.mark.parametrize("how", ["sync", "async"])
    async def test_that_a_budget_is_reached_is_no_answer_to_keep(self, how: str) -> None:
        """The next caller, with a budget of its own, is answered by the model."""
        cache, model = exact_cache(), desk_model(["In Lyon."])
        said = []
        for most in (0, 5):
            meter = CostMeter(budgets=[Budget(steps=most)])
            agent = agent_of(model, ModelCacheMiddleware(cache), *agentcost_middleware(meter))
            config: Any = {"callbacks": meter.callbacks}
            said.append(
                texts(agent.invoke(QUESTION, config) if how == "sync" else await agent.ainvoke(QUESTION, config))
            )
        assert said[0][-1].startswith("Budget reached")
        assert said[1][-1] == "In Lyon."

    def test_that_all_retries_failed_is_no_answer_to_keep(self) -> None:
        """LangChain's retries end in a message that no model wrote."""
        model = desk_model(["In Lyon."], failures={1: ConnectionError("down")})
        retry = ModelRetryMiddleware(max_retries=0, on_failure="continue")
        agent = agent_of(model, ModelCacheMiddleware(exact_cache()), retry)
        said = [texts(agent.invoke(QUESTION))[-1] for _ in range(3)]
        assert "down" in said[0]
        assert (said[1:], len(model.prompts)) == (["In Lyon."] * 2, 2)

    def test_a_prompt_that_is_made_before_it_is_part_of_the_question(self) -> None:
        """Middleware that changes what is asked stands before the cache."""
        prompts = iter(["For Ann.", "For Bob.", "For Ann."])

        @dynamic_prompt
        def personal(request: Any) -> str:
            return next(prompts)

        model = desk_model(["In Lyon."])
        agent = agent_of(model, personal, ModelCacheMiddleware(exact_cache()))
        for _ in range(3):
            agent.invoke(QUESTION)
        assert len(model.prompts) == 2

    def test_an_agent_signs_its_own_answers(self) -> None:
        """Agents of other names do not share."""
        model, cache = desk_model(["In Lyon."]), exact_cache()
        signed = []
        for name in ("ann", "bob", "ann"):
            agent = create_agent(model, name=name, middleware=[ModelCacheMiddleware(cache)])
            signed.append(agent.invoke(QUESTION)["messages"][-1].name)
        assert (signed, len(model.prompts)) == (["ann", "bob", "ann"], 2)


class TestHits:
    """What the agent's caller sees of them."""

    async def test_a_hit_is_booked_at_the_agents_model_node(self) -> None:
        """No model call, one entry a step, with the caller's names and what it would have cost now."""
        meter, model = CostMeter(), desk_model(looks_once)
        agent = agent_of(model, ModelCacheMiddleware(exact_cache(scope="user")))
        config: Any = caller() | {"callbacks": meter.callbacks, "configurable": {"thread_id": "s1"}}
        agent.invoke(QUESTION, config)
        agent.invoke(QUESTION, config)
        await agent.ainvoke(QUESTION, config)
        hits = booked(meter, "cache_hit")
        assert (len(booked(meter, "llm")), len(hits)) == (2, 4)
        assert {(hit.attribution.node, hit.attribution.user, hit.attribution.session) for hit in hits} == {
            ("model", "ann", "s1")
        }
        assert [hit.attribution.step for hit in hits] == [1, 2, 1, 2]
        assert all(saved_nano(hit) > 0 for hit in hits)

    @pytest.mark.parametrize("mode", ["messages", "updates"])
    def test_streams_show_it_once(self, mode: Any) -> None:
        """The answer's text is there once, on a miss and on a hit, and says where it comes from."""
        agent = agent_of(desk_model(looks_once), ModelCacheMiddleware(exact_cache()))
        for hit in (False, True):
            parts = list(agent.stream(QUESTION, stream_mode=mode))
            said: list[BaseMessage] = (
                [part[0] for part in parts]
                if mode == "messages"
                else [message for part in parts for update in part.values() for message in update["messages"]]
            )
            answer = [one for one in said if not one.type.startswith("tool")]
            assert "".join(one.text for one in answer) == "Your order is in Lyon."
            if mode == "messages":
                assert (sum(bool(one.text) for one in answer) == 1) == hit  # word by word where the model says it
            assert any(MARK in one.response_metadata for one in answer) == hit

    def test_other_tools_are_another_question(self) -> None:
        """An agent without the tool does not get the answer of one with it."""
        model, cache = desk_model(["In Lyon."]), exact_cache()
        for tools in ([track], [], [track]):
            agent_of(model, ModelCacheMiddleware(cache), tools=tools).invoke(QUESTION)
        assert len(model.prompts) == 2


def test_without_langchain_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="agents"):
        importlib.reload(model_middleware)
    monkeypatch.undo()
    importlib.reload(model_middleware)
