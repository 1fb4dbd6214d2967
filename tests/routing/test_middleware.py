"""The router in `create_agent`: the agent works as it does without one, each call with the tier that is chosen."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse, ModelRetryMiddleware
from langchain.agents.middleware.types import ExtendedModelResponse
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from langchain_agentcost import Budget, CostMeter
from langchain_agentcost.caching import CachedRunnable, SemanticCache
from langchain_agentcost.errors import MissingExtra, RoutingError
from langchain_agentcost.middleware import agentcost_middleware
from langchain_agentcost.prompt_tail import TAIL_ID
from langchain_agentcost.routing import middleware as module
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.middleware import RouterMiddleware
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policy import Choice, Offers
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.risk_gate import ToolRiskGate
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.shadow import Shadow
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.routing.desk import SMALL, STRONG, Checked, Heard, calls, search

FORMLESS = "claude-3-haiku-20240307"
"""A model of which LangChain does not know that it gives forms by itself."""

QUESTION: Any = {"messages": "Is it in stock?"}

WAYS: Mapping[str, Callable[[Any, RunnableConfig], Any]] = {
    "sync": lambda agent, config: agent.invoke(QUESTION, config),
    "async": lambda agent, config: asyncio.run(agent.ainvoke(QUESTION, config)),
}

ways = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)


class Invoice(BaseModel):
    """An invoice."""

    total: int


def says(name: str) -> Callable[[list[BaseMessage]], AIMessage]:
    """Search once, then say who answers."""

    def answer(messages: list[BaseMessage]) -> AIMessage:
        done = any(isinstance(message, ToolMessage) for message in messages)
        return AIMessage(f"I am {name}.") if done else calls("search", query="it")

    return answer


def tiers(**changes: Any) -> list[Tier]:
    """A small tier and a strong one that search once, and then say who they are."""
    small = FakeMeteredChatModel(**{"model": SMALL, "answers": says("small"), **changes})
    return [Tier("small", small), Tier("frontier", FakeMeteredChatModel(model=STRONG, answers=says("frontier")))]


def agent_of(router: RouterMiddleware, *, before: Sequence[Any] = (), after: Sequence[Any] = (), **options: Any) -> Any:
    """An agent with the strongest tier's model and the router."""
    model = router.router.tiers[-1].model
    made = create_agent(model, **{"tools": [search], **options}, middleware=[*before, router, *after])
    return made.with_config({"recursion_limit": 20})


class Bound(Heard):
    """Hears which tools are bound, too."""

    def __init__(self) -> None:
        super().__init__()
        self.bound: list[list[str]] = []

    def on_chat_model_start(self, serialized: dict[str, Any], messages: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Hear a call."""
        super().on_chat_model_start(serialized, messages, run_id=run_id, **kwargs)
        self.bound.append([tool["function"]["name"] for tool in kwargs["invocation_params"]["tools"]])


class ByTurn:
    """A policy that has the small tier answer until a tool's result is there."""

    name = "by turn"

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose by what the last message is."""
        return Choice(tier=offers[0 if request.phase == "user" else -1].name, policy=self.name)


class Watches(AgentMiddleware[Any, Any, Any]):
    """Keeps what comes by."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[ModelRequest[Any]] = []

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Keep it."""
        self.requests.append(request)
        return handler(request)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Keep it."""
        self.requests.append(request)
        return await handler(request)


class AddsTail(Watches):
    """Adds what working memory adds: a last message that is no part of the history."""

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Add it."""
        tail = HumanMessage("Notes: none.", id=TAIL_ID)
        return handler(request.override(messages=[*request.messages, tail]))


class TestCalls:
    """Each model call is one call of the tier that is chosen, and says so."""

    @ways
    def test_each_call_goes_to_the_tier_that_is_chosen(self, ask: Any) -> None:
        """The first to the small one, that after the tool's result to the strong one; one event each, with its tier."""
        heard = Heard()
        done = ask(agent_of(RouterMiddleware(tiers(), policy=ByTurn())), {"callbacks": [heard]})
        assert done["messages"][-1].text == "I am frontier."
        assert heard.models == [SMALL, STRONG]
        assert [start["agentcost_tier"] for start in heard.starts] == ["small", "frontier"]
        assert [start["langgraph_node"] for start in heard.starts] == ["model", "model"]
        assert heard.roles == ["answer", "answer"]
        assert heard.ends == 2
        assert ["router:small" in tags for tags in heard.tags] == [True, False]

    @ways
    def test_so_it_is_with_middleware_on_both_sides(self, ask: Any) -> None:
        """What comes behind sees the tier's very model, and what stands before sees the agent's."""
        heard, before, given = Heard(), ModelRetryMiddleware(), tiers()
        watches = Watches()
        agent = agent_of(RouterMiddleware(given, policy="small"), before=[before], after=[watches])
        ask(agent, {"callbacks": [heard]})
        assert heard.ends == 2
        assert [start["agentcost_tier"] for start in heard.starts] == ["small", "small"]
        assert all(request.model is given[0].model for request in watches.requests)

    @ways
    def test_an_agent_of_another_tool_is_not_told_to_be_routed(self, ask: Any) -> None:
        """The metadata is that of the routed call alone: not of tools, and not of what is called after it."""
        inner = FakeMeteredChatModel(model="gpt-5-nano")

        def look(query: str) -> str:
            """Look it up."""
            return inner.invoke(query).text

        def looks(messages: list[BaseMessage]) -> AIMessage:
            done = any(isinstance(message, ToolMessage) for message in messages)
            return AIMessage("Yes.") if done else calls("look", query="it")

        heard = Heard()
        ask(agent_of(RouterMiddleware(tiers(answers=looks), policy="small"), tools=[look]), {"callbacks": [heard]})
        assert [(start["ls_model_name"], start.get("agentcost_tier")) for start in heard.starts] == [
            (SMALL, "small"),
            ("gpt-5-nano", None),
            (SMALL, "small"),
        ]

    def test_the_meter_books_the_tier(self) -> None:
        """One entry a call and one a decision, with the tier as its tag, and the model that was asked."""
        meter = CostMeter()
        agent_of(RouterMiddleware(tiers(), policy=ByTurn())).invoke(QUESTION, {"callbacks": meter.callbacks})
        entries = list(meter.ledger.entries())
        booked = [dict(entry.attribution.tags)["agentcost_tier"] for entry in entries if entry.kind == "llm"]
        assert booked == ["small", "frontier"]
        assert [entry.name for entry in entries if entry.kind == "decision"] == ["by turn", "by turn"]

    def test_settings_that_are_bound_to_a_tier_are_sent(self) -> None:
        """A tier may be a model with arguments bound to it."""
        watches = Watches()
        bound = [Tier("small", tiers()[0].model.bind(temperature=0)), tiers()[1]]
        agent_of(RouterMiddleware(bound, policy="small"), after=[watches]).invoke(QUESTION)
        assert watches.requests[0].model is bound[0].model.bound
        assert watches.requests[0].model_settings == {"temperature": 0}

    def test_what_another_provider_wrote_is_handed_over(self) -> None:
        """Anthropic's thinking is left out of what an OpenAI model is sent, and stays in the agent's messages."""
        thought: list[str | dict[Any, Any]] = [
            {"type": "thinking", "thinking": "…", "signature": "s"},
            {"type": "text", "text": "Hm."},
        ]
        answer = AIMessage(thought, response_metadata={"model_provider": "anthropic"})
        given = tiers()
        agent = agent_of(RouterMiddleware(given, policy="small"), system_prompt="Be brief.")
        done = agent.invoke({"messages": [HumanMessage("Hi"), answer, HumanMessage("Is it in stock?")]})
        [system, _, said, *_] = given[0].model.prompts[0]
        assert (system.text, said.content) == ("Be brief.", "Hm.")
        assert done["messages"][1].content == thought

    def test_a_failure_is_the_agent_s(self) -> None:
        """Without a check there is nobody else to ask: the provider's error comes out as it is."""
        broken = RouterMiddleware(tiers(failures={1: ConnectionError("no")}), policy="small")
        with pytest.raises(ConnectionError):
            agent_of(broken).invoke(QUESTION)


class TestStreams:
    """Who watches an agent sees the answer as it comes, and no draft that may not be it."""

    def test_tokens_come_one_by_one(self) -> None:
        """The last answer comes in pieces, and once."""
        agent = agent_of(RouterMiddleware(tiers(), policy="small"))
        chunks = [one for one, _ in agent.stream(QUESTION, stream_mode="messages") if isinstance(one, AIMessage)]
        texts = [chunk.text for chunk in chunks if chunk.text]
        assert "".join(texts) == "I am small."
        assert len(texts) > 2

    async def test_tokens_come_one_by_one_in_async_code(self) -> None:
        """The same, awaited."""
        agent = agent_of(RouterMiddleware(tiers(), policy="small"))
        texts = [one.text async for one, _ in agent.astream(QUESTION, stream_mode="messages") if one.type != "tool"]
        assert "".join(texts) == "I am small."
        assert len([text for text in texts if text]) > 2

    @pytest.mark.parametrize(("verdict", "said"), [("yes", "I am small."), ("no", "I am frontier.")])
    def test_a_draft_is_shown_when_it_has_passed(self, verdict: str, said: str) -> None:
        """A draft that does not pass is never seen."""
        agent = agent_of(RouterMiddleware(tiers(), policy=Checked("yes", verdict)))
        shown = [one.text for one, _ in agent.stream(QUESTION, stream_mode="messages") if one.type != "tool"]
        assert "".join(shown) == said


class TestDrafts:
    """A draft is checked before the agent sees it, and answered again at most once."""

    @ways
    def test_a_draft_that_does_not_pass_is_answered_again(self, ask: Any) -> None:
        """The agent's history has the stronger tier's answer alone, and both calls are told of."""
        heard, policy = Heard(), Checked("yes", "no")
        done = ask(agent_of(RouterMiddleware(tiers(), policy=policy)), {"callbacks": [heard]})
        assert [message.text for message in done["messages"] if message.text] == [
            "Is it in stock?",
            "Nothing about it.",
            "I am frontier.",
        ]
        assert heard.roles == ["draft", "draft", "escalation"]
        assert len({start["agentcost_route"]["id"] for start in heard.starts[1:]}) == 1
        told = done["messages"][-1].response_metadata["router"]
        assert (told["tier"], told["answered_by"], told["escalated"]) == ("small", "frontier", True)

    @ways
    def test_the_check_sees_the_message(self, ask: Any) -> None:
        """Tool calls and all."""
        policy = Checked("yes", "yes")
        done = ask(agent_of(RouterMiddleware(tiers(), policy=policy)), {})
        assert [type(seen) for seen in policy.seen] == [AIMessage, AIMessage]
        assert policy.seen[0].tool_calls[0]["name"] == "search"
        assert done["messages"][-1].text == "I am small."

    @ways
    def test_a_draft_that_fails_is_answered_again(self, ask: Any) -> None:
        """Whatever a weak tier's provider raises, the strong tier answers."""
        heard = Heard()
        broken = tiers(failures={1: ConnectionError("no")})
        done = ask(agent_of(RouterMiddleware(broken, policy=Checked("yes"))), {"callbacks": [heard]})
        assert heard.roles == ["draft", "escalation", "draft"]
        assert done["messages"][-1].text == "I am small."

    def test_a_failure_that_others_put_into_words_is_no_draft(self) -> None:
        """A retry that gives up says so in an answer; no model said it, so the strong tier is asked."""
        broken = tiers(failures={number: ConnectionError("no") for number in (1, 2)})
        retry = ModelRetryMiddleware(max_retries=1, initial_delay=0.0)
        agent = agent_of(RouterMiddleware(broken, policy=Checked("yes")), after=[retry])
        done = agent.invoke(QUESTION)
        assert done["messages"][1].response_metadata["router"]["answered_by"] == "frontier"

    @ways
    def test_a_weak_tier_runs_no_tool_that_writes(self, ask: Any) -> None:
        """The call that it proposes is decided on by the strong tier, and only that one runs."""
        gate = ToolRiskGate({"search"})
        done = ask(agent_of(RouterMiddleware(tiers(), policy="small", risk_gate=gate)), {})
        told = [one.response_metadata["router"] for one in done["messages"] if isinstance(one, AIMessage)]
        assert [one["answered_by"] for one in told] == ["frontier", "small"]

    def test_state_that_others_keep_is_that_of_the_answer(self) -> None:
        """What middleware behind the router writes for a draft that did not pass is not kept."""
        policy = Checked("yes", "no")
        agent = agent_of(RouterMiddleware(tiers(), policy=policy), after=[_Counts()])
        assert agent.invoke(QUESTION)["asked"] == 3


class TestForms:
    """Structured output has the form that the tier's model can give."""

    @staticmethod
    def forms(**profiles: Any) -> tuple[RouterMiddleware, Watches]:
        """A small tier that knows only tools, and a strong one that knows forms."""
        small = FakeMeteredChatModel(model=FORMLESS, answers=[calls("Invoice", total=7)])
        strong = FakeMeteredChatModel(model=STRONG, answers=['{"total": 8}'], profile={"structured_output": True})
        return RouterMiddleware([small, strong], **profiles), Watches()

    @ways
    @pytest.mark.parametrize(("tier", "total"), [("small", 7), ("frontier", 8)])
    def test_each_tier_is_asked_as_it_can(self, ask: Any, tier: str, total: int) -> None:
        """By a tool where the model has no other way, else by the provider's own."""
        router, _ = self.forms(policy=tier)
        assert ask(agent_of(router, response_format=Invoice), {})["structured_response"] == Invoice(total=total)

    @pytest.mark.parametrize("form", [Invoice, ToolStrategy(Invoice), ProviderStrategy(Invoice)])
    def test_policies_see_its_name(self, form: Any) -> None:
        """However it was asked for."""
        seen: list[RouteRequest] = []

        class Sees:
            """A policy that looks."""

            name = "sees"

            def choose(self, request: RouteRequest, offers: Offers) -> Choice:
                """Look."""
                seen.append(request)
                return Choice(tier="frontier", policy=self.name)

        strong = FakeMeteredChatModel(answers=['{"total": 8}' if not isinstance(form, ToolStrategy) else _INVOICE],
                                      profile={"structured_output": True})  # fmt: skip
        agent_of(RouterMiddleware([strong.model_copy(), strong], policy=Sees()), response_format=form).invoke(QUESTION)
        assert [(request.schema, request.tools) for request in seen] == [("Invoice", ("search",))]

    def test_a_draft_without_the_form_is_answered_again(self) -> None:
        """A form that does not parse is no answer, whatever the check would say of it."""
        small = FakeMeteredChatModel(model=FORMLESS, answers=[calls("Invoice", total="none")])
        strong = FakeMeteredChatModel(model=STRONG, answers=['{"total": 8}'], profile={"structured_output": True})
        policy = Checked("yes")
        done = agent_of(RouterMiddleware([small, strong], policy=policy), response_format=Invoice).invoke(QUESTION)
        assert done["structured_response"] == Invoice(total=8)
        assert policy.seen == []

    def test_a_draft_that_goes_on_with_tools_may_pass(self) -> None:
        """The form is due at the end only."""
        small = FakeMeteredChatModel(model=FORMLESS, answers=[calls("search", query="it"), calls("Invoice", total=7)])
        strong = FakeMeteredChatModel(model=STRONG)
        policy = Checked("yes", "yes")
        done = agent_of(RouterMiddleware([small, strong], policy=policy), response_format=Invoice).invoke(QUESTION)
        assert done["structured_response"] == Invoice(total=7)
        assert strong.prompts == []


class TestState:
    """The decision is kept in the agent's state, and is nobody's input or output."""

    @ways
    def test_the_last_decision_is_there(self, ask: Any) -> None:
        """It is the last answer's own, plain data, and not among what the agent gives back."""
        agent = agent_of(RouterMiddleware(tiers(), policy=ByTurn()), checkpointer=InMemorySaver())
        config: RunnableConfig = {"configurable": {"thread_id": "t"}}
        done = ask(agent, config)
        kept = agent.get_state(config).values["agentcost_route"]
        assert kept == done["messages"][-1].response_metadata["router"]
        assert kept["tier"] == "frontier"
        assert json.loads(json.dumps(kept)) == kept
        assert "agentcost_route" not in done


class TestFacts:
    """A router in an agent knows what one in the model's place knows."""

    @staticmethod
    def seen(agent_options: Mapping[str, Any], config: RunnableConfig, **given: Any) -> list[RouteRequest]:
        """What a policy is shown."""
        seen: list[RouteRequest] = []

        class Sees:
            """A policy that looks."""

            name = "sees"

            def choose(self, request: RouteRequest, offers: Offers) -> Choice:
                """Look."""
                seen.append(request)
                return Choice(tier="small", policy=self.name)

        agent_of(RouterMiddleware(tiers(), policy=Sees()), **given, **agent_options).invoke(QUESTION, config)
        return seen

    def test_it_knows_agent_thread_and_prompt(self) -> None:
        """The agent's name stands for the node, and the system prompt is part of the prompt."""
        config: RunnableConfig = {"configurable": {"thread_id": "t7"}}
        [first, second] = self.seen({"name": "planner", "system_prompt": "Be brief."}, config)
        assert (first.node, first.thread, first.tools) == ("planner", "t7", ("search",))
        assert isinstance(first.messages[0], SystemMessage)
        assert (first.phase, second.phase) == ("user", "result")
        assert second.prompt_tokens > first.prompt_tokens > 0

    def test_what_stands_at_the_end_of_each_prompt_is_no_step(self) -> None:
        """Notes of working memory do not make a tool's result a person's question."""
        [_, second] = self.seen({}, {}, before=[AddsTail()])
        assert second.phase == "result"

    def test_a_pin_holds(self) -> None:
        """Of the call, or of the router itself."""
        router = RouterRunnable(tiers(), policy="frontier")
        pinned: RunnableConfig = {"configurable": {"router_tier": "small"}}
        by_call = agent_of(RouterMiddleware(router)).invoke(QUESTION, pinned)
        by_router = agent_of(RouterMiddleware(router.with_config(pinned))).invoke(QUESTION)
        assert by_call["messages"][-1].text == by_router["messages"][-1].text == "I am small."

    def test_a_call_that_no_tier_can_take_says_why(self) -> None:
        """As an error, and nothing is asked."""
        narrow = [Tier(one.name, one.model, max_input_tokens=1) for one in tiers()]
        with pytest.raises(RoutingError, match="No tier can take this call"):
            agent_of(RouterMiddleware(narrow)).invoke(QUESTION)

    def test_it_learns_who_is_warm(self) -> None:
        """The tier that a thread's last call went to is known at the next one."""
        lasts: list[list[bool]] = []

        class Sees:
            """A policy that looks at offers."""

            name = "sees"

            def choose(self, request: RouteRequest, offers: Offers) -> Choice:
                """Look."""
                lasts.append([offer.last for offer in offers])
                return Choice(tier="small", policy=self.name)

        config: RunnableConfig = {"configurable": {"thread_id": "t8"}}
        agent_of(RouterMiddleware(tiers(), policy=Sees())).invoke(QUESTION, config)
        assert lasts == [[False, False], [True, False]]


class TestShadows:
    """Another tier that answers aside is asked what the agent's model was asked, and nobody sees it."""

    @ways
    @pytest.mark.parametrize("form", [None, Invoice])
    def test_the_other_tier_is_asked_the_same(self, ask: Any, form: Any) -> None:
        """With the same tools, past all other middleware, and booked as evaluation."""
        heard, watches, given = Bound(), Watches(), tiers()
        graded: list[Mapping[str, Any]] = []

        def grade(request: RouteRequest, answers: Mapping[str, Any]) -> dict[str, float]:
            graded.append(answers)
            return dict.fromkeys(answers, 1.0)

        if form is not None:
            given = [Tier(one.name, FakeMeteredChatModel(model=FORMLESS, answers=[_INVOICE])) for one in given]
        with Shadow(1.0, grade=grade) as shadow:
            router = RouterMiddleware(given, policy="small", shadow=shadow)
            agent = agent_of(router, after=[watches], response_format=form)

            async def waits() -> None:
                await agent.ainvoke(QUESTION, {"callbacks": [heard]})
                await shadow.aflush()

            if ask is WAYS["async"]:
                asyncio.run(waits())
            else:
                ask(agent, {"callbacks": [heard]})
        rounds = 2 if form is None else 1
        assert sorted(heard.roles) == ["answer"] * rounds + ["shadow"] * rounds
        assert heard.bound == [["search"] if form is None else ["search", "Invoice"]] * 2 * rounds
        assert len(watches.requests) == rounds
        shadows = [start for start in heard.starts if start["agentcost_role"] == "shadow"]
        assert {start["agentcost_purpose"] for start in shadows} == {"evaluation"}
        assert all(isinstance(one, AIMessage) for answers in graded for one in answers.values())
        assert len(graded) == rounds
        assert [type(one) for one in shadow.examples] == [Example] * rounds
        mine, other = (model.model.prompts for model in given)
        assert [prompt[-1].text for prompt in mine] == [prompt[-1].text for prompt in other]


class TestBudgets:
    """A budget that wants cheaper models gets them from the router."""

    def test_at_its_limit_the_router_goes_down(self) -> None:
        """Where the strong tier has no room left and the action is "downgrade", the policy is asked with all thrift."""
        heard = Heard()
        meter = CostMeter(budgets=[Budget(usd="0.02", on_limit="downgrade")])
        strong = FakeMeteredChatModel(model="gpt-5", answers=says("frontier"))
        given = [Tier("small", FakeMeteredChatModel(model="gpt-5-nano", answers=says("small"))), Tier("big", strong)]
        limits = agentcost_middleware(meter, on_limit="raise", least_output_tokens=4_000)
        router = RouterMiddleware(given, policy="step", meter=meter)
        done = agent_of(router, after=limits).invoke(QUESTION, {"callbacks": [*meter.callbacks, heard]})
        assert done["messages"][-1].text == "I am small."
        assert [start["agentcost_tier"] for start in heard.starts] == ["small", "small"]
        assert strong.prompts == []

    def test_a_limit_that_says_anything_else_is_not_got_round(self) -> None:
        """Once is enough: the limit is raised."""
        meter = CostMeter(budgets=[Budget(steps=0)])
        router = RouterMiddleware(tiers(), policy="step", meter=meter)
        limits = agentcost_middleware(meter, on_limit="raise")
        with pytest.raises(Exception, match="steps"):
            agent_of(router, after=limits).invoke(QUESTION, {"callbacks": meter.callbacks})

    @ways
    def test_an_agent_that_a_limit_ended_is_not_asked_again(self, ask: Any) -> None:
        """What a limit says in a model's place is no draft: it is not checked, and the agent ends with it."""
        policy = Checked("no")
        meter = CostMeter(budgets=[Budget(steps=0)])
        agent = agent_of(RouterMiddleware(tiers(), policy=policy), after=agentcost_middleware(meter))
        done = ask(agent, {"callbacks": meter.callbacks})
        assert done["messages"][-1].text.startswith("Budget reached")
        assert policy.seen == []
        assert "router" not in done["messages"][-1].response_metadata


class TestMade:
    """What cannot work is refused when it is made."""

    def test_a_router_takes_no_options_beside_it(self) -> None:
        """They are its own."""
        with pytest.raises(RoutingError, match="Give policy to the RouterRunnable"):
            RouterMiddleware(RouterRunnable(tiers()), policy="small")

    def test_nothing_may_be_bound_to_it(self) -> None:
        """The agent binds."""
        with pytest.raises(RoutingError, match="Something is bound"):
            RouterMiddleware(RouterRunnable(tiers()).bind_tools([search]))

    def test_tiers_are_chat_models(self) -> None:
        """What retries by itself is none."""
        retries = Tier("small", tiers()[0].model.with_retry())
        with pytest.raises(RoutingError, match="'small' is a chat model, not a RunnableRetry"):
            RouterMiddleware([retries, tiers()[1]])

    def test_what_stands_before_a_chat_model_is_not_left_away(self) -> None:
        """Fallbacks and a cache are no chat model either: to ask what is behind them alone would lose them."""
        model = tiers()[0].model
        cached = CachedRunnable(model, SemanticCache(embeddings=False, scope="global"))
        for before in (model.with_fallbacks([model]), cached):
            with pytest.raises(RoutingError, match=f"is a chat model, not a {type(before).__name__}"):
                RouterMiddleware([Tier("small", before), tiers()[1]])

    def test_a_meter_can_be_given_later(self) -> None:
        """All else stays, and the first one has none."""
        meter, first = CostMeter(), RouterMiddleware(tiers(), policy=FixedPolicy("small"))
        second = first.with_meter(meter)
        assert (first.router.meter, second.router.meter) == (None, meter)
        assert second.router.policy is first.router.policy
        assert second.router.tiers == first.router.tiers

    def test_without_langchain_it_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The import says what to install."""
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(MissingExtra, match=r"langchain-agentcost\[agents\]"):
            importlib.reload(module)


class _Counts(AgentMiddleware[Any, Any, Any]):
    """Keeps in the state how often it was asked, by the last command alone."""

    class Schema(module.RoutedAgentState):
        """A state with a number."""

        asked: int

    state_schema = Schema

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def wrap_model_call(self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Any]) -> Any:
        """Count."""
        self.asked += 1
        update: Command[Any] = Command(update={"asked": self.asked})
        return ExtendedModelResponse(handler(request), command=update)


_INVOICE = calls("Invoice", total=8)
