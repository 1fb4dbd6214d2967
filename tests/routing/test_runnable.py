from __future__ import annotations

from collections.abc import Sequence
from threading import current_thread
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig
from langgraph.graph import MessagesState, StateGraph
from pydantic import BaseModel

from langchain_agentcost.errors import RoutingError, RoutingWarning
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.prompt_tail import TAIL_ID
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policy import Choice, Offers
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.tier import Record, Tier
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.routing.desk import SMALL, STRONG, Heard, calls, router, search, tier, two_tiers

SMALL_STEP: RunnableConfig = {"metadata": {"router_step": "extract"}}
HARD_STEP: RunnableConfig = {"metadata": {"router_step": "plan"}}


class Invoice(BaseModel):
    """An invoice."""

    total: int


def hearing(config: RunnableConfig, heard: Heard) -> RunnableConfig:
    """The config with a handler."""
    return {**config, "callbacks": [heard]}


class TestOneCall:
    """Each call has the events of the model that is asked, and no others."""

    def test_invoke(self) -> None:
        """A small step goes to the small tier, a hard one to the strong one."""
        heard = Heard()
        assert router().invoke("Total?", hearing(SMALL_STEP, heard)).text == "I am small."
        assert router().invoke("Total?", hearing(HARD_STEP, heard)).text == "I am frontier."
        assert heard.models == [SMALL, STRONG]
        assert heard.ends == 2

    async def test_ainvoke(self) -> None:
        """The same in async code."""
        heard = Heard()
        assert (await router().ainvoke("Total?", hearing(SMALL_STEP, heard))).text == "I am small."
        assert heard.models == [SMALL]

    def test_stream(self) -> None:
        """Tokens come as the tier gives them, and their sum is its answer."""
        heard = Heard()
        chunks = list(router().stream("Total?", hearing(SMALL_STEP, heard)))
        assert len(chunks) > 2
        whole = sum(chunks[1:], chunks[0])
        assert whole.text == "I am small."
        assert whole.response_metadata["router"]["tier"] == "small"
        assert heard.models == [SMALL]
        assert heard.tokens >= len(chunks) - 1

    async def test_astream(self) -> None:
        """The same in async code."""
        heard = Heard()
        chunks = [chunk async for chunk in router().astream("Total?", hearing(SMALL_STEP, heard))]
        assert len(chunks) > 2
        assert sum(chunks[1:], chunks[0]).text == "I am small."
        assert heard.models == [SMALL]

    def test_batch(self) -> None:
        """Each call of a batch is routed by itself, with its own config."""
        heard = Heard()
        answers = router().batch(["a", "b"], [hearing(SMALL_STEP, heard), hearing(HARD_STEP, heard)])
        assert [answer.text for answer in answers] == ["I am small.", "I am frontier."]
        assert sorted(heard.models) == [STRONG, SMALL]

    async def test_abatch(self) -> None:
        """The same in async code."""
        answers = await router().abatch(["a", "b"], [SMALL_STEP, HARD_STEP])
        assert [answer.text for answer in answers] == ["I am small.", "I am frontier."]

    async def test_events(self) -> None:
        """`astream_events` shows one model call with its tokens."""
        events = [event async for event in router().astream_events("Total?", SMALL_STEP, version="v2")]
        kinds = [event["event"] for event in events]
        assert kinds.count("on_chat_model_start") == 1
        assert kinds.count("on_chat_model_end") == 1
        assert kinds.count("on_chat_model_stream") > 2

    def test_the_answer_says_how_it_came_about(self) -> None:
        """Decision, reasons, alternatives and expected costs are in the answer's metadata, and in the run's."""
        heard = Heard()
        said = router().invoke("Total?", hearing(SMALL_STEP, heard)).response_metadata["router"]
        assert said["tier"] == said["answered_by"] == "small"
        assert said["policy"] == "sticky>step"
        assert said["reasons"]
        assert set(said["expected_usd"]) == {"small", "frontier"}
        [told] = heard.starts
        assert (told["agentcost_tier"], told["agentcost_role"]) == ("small", "answer")
        assert told["agentcost_route"]["id"] == said["id"]
        assert told["agentcost_route"]["baseline_nano"] > 0
        assert "router:small" in heard.tags[0]

    def test_every_form_of_input(self) -> None:
        """Texts, prompts and messages are what a chat model takes."""
        prompt = ChatPromptTemplate.from_messages([("human", "{text}")])
        for given in ("Hi", prompt.invoke({"text": "Hi"}), [("human", "Hi")], [HumanMessage("Hi")]):
            assert router().invoke(given, SMALL_STEP).text == "I am small."

    @pytest.mark.parametrize("given", [{"messages": [("user", "Hi")]}, 5, None])
    def test_what_is_no_input(self, given: Any) -> None:
        """What a chat model refuses the router refuses, before anything is paid."""
        with pytest.raises(ValueError, match="Invalid input type"):
            router().invoke(given, SMALL_STEP)

    async def test_a_policy_that_embeds_does_not_stop_the_loop(self) -> None:
        """In async code a slow decision is made in a thread; the loop goes on meanwhile."""
        seen: list[str] = []

        class Slow(FixedPolicy):
            embeds = True

            def choose(self, request: RouteRequest, offers: Offers) -> Choice:
                seen.append(current_thread().name)
                return super().choose(request, offers)

        one = router(policy=Slow("small"))
        await one.ainvoke("Hi")
        async for _ in one.astream("Hi"):
            pass
        assert current_thread().name not in seen
        assert len(seen) == 2

    def test_a_run_id_is_that_of_the_call(self) -> None:
        """Whoever states the run's id finds the call under it."""
        heard = Heard()
        config: RunnableConfig = {**hearing(SMALL_STEP, heard), "run_id": "7" * 8 + "-7777-7777-7777-" + "7" * 12}  # type: ignore[typeddict-item]
        router().invoke("Hi", config)
        assert str(heard.ids[0]) == config["run_id"]


class TestWhatIsBound:
    """What is bound to the router is bound to whichever tier is asked."""

    def test_tools(self) -> None:
        """The tier's model is told of the tools."""
        small = tier("small", SMALL, calls("search", query="lamp"))
        answer = router(small, tier("frontier", STRONG)).bind_tools([search]).invoke("Find", SMALL_STEP)
        assert answer.tool_calls[0]["name"] == "search"

    def test_structured_output(self) -> None:
        """The answer is what was parsed, whichever tier gave it."""
        small = tier("small", SMALL, calls("Invoice", total=3))
        given = router(small, tier("frontier", STRONG)).with_structured_output(Invoice).invoke("Total?", SMALL_STEP)
        assert given == Invoice(total=3)

    def test_a_schema_is_one_event_too(self) -> None:
        """A parsed answer is one model call, and its length is learnt all the same."""
        heard = Heard()
        one = router(tier("small", SMALL, calls("Invoice", total=3)), tier("frontier", STRONG))
        one.with_structured_output(Invoice).invoke("Total?", hearing(SMALL_STEP, heard))
        assert heard.models == [SMALL]
        signature = one.explain("Total?", SMALL_STEP)
        assert signature.expected_usd["small"] is not None

    def test_arguments_and_configs(self) -> None:
        """`bind` and `with_config` hold for every tier, in any order with tools."""
        heard = Heard()
        bound = router().with_config(SMALL_STEP).bind_tools([search]).bind(stop=["."])
        bound.with_config(callbacks=[heard]).invoke("Hi")
        assert heard.models == [SMALL]

    def test_what_a_call_sends_beside_it(self) -> None:
        """Keyword arguments of a call reach the tier."""
        heard = Heard()
        router().invoke("Hi", hearing(SMALL_STEP, heard), model="gpt-4.1-nano")
        assert heard.models == ["gpt-4.1-nano"]

    def test_what_was_bound_to_a_tier_stays_bound(self) -> None:
        """A tier's own arguments, tags and metadata reach its calls, and what the router binds wins over them."""
        heard = Heard()
        own = FakeMeteredChatModel(model=SMALL).bind(model="gpt-4.1-nano", stop=["!"])
        small = ("small", own.with_config(tags=["mine"]))
        one = RouterRunnable([small, ("frontier", FakeMeteredChatModel(model=STRONG))])
        one.bind_tools([search]).invoke("Hi", hearing(SMALL_STEP, heard))
        one.bind_tools([search], model="gpt-4o-mini").invoke("Hi", hearing(SMALL_STEP, heard))
        assert heard.models == ["gpt-4.1-nano", "gpt-4o-mini"]
        assert all("mine" in tags for tags in heard.tags)

    def test_a_tier_that_cannot_be_bound_tools_to(self) -> None:
        """A model that retries has no `bind_tools`: the error says what to wrap."""
        retrying = FakeMeteredChatModel(model=SMALL).with_retry()
        one = RouterRunnable([("small", retrying), ("frontier", FakeMeteredChatModel(model=STRONG))])
        with pytest.raises(RoutingError, match="wrap the router instead"):
            one.bind_tools([search]).invoke("Hi", SMALL_STEP)

    def test_tools_that_come_once(self) -> None:
        """A generator of tools is read once, and what is told of them is what is bound."""
        small = tier("small", SMALL, calls("search", query="lamp"))
        bound = router(small, tier("frontier", STRONG)).bind_tools(each for each in [search])  # type: ignore[arg-type]
        assert bound.invoke("Find", SMALL_STEP).tool_calls
        assert bound._operations.facts.tools == ("search",)

    def test_a_tier_with_fallbacks_has_the_first_ones_price(self) -> None:
        """What a tier costs is what the model costs that is asked first."""
        safe = FakeMeteredChatModel(model=SMALL).with_fallbacks([FakeMeteredChatModel(model=STRONG)])
        one = RouterRunnable([("small", safe), ("frontier", FakeMeteredChatModel(model=STRONG))])
        assert one.explain("Hi", SMALL_STEP).expected_usd["small"]

    def test_a_form_with_its_message_says_how_it_came_about(self) -> None:
        """With `include_raw` the message beside the form has the decision, called or streamed."""
        small = tier("small", SMALL, calls("Invoice", total=3))
        formed = router(small, tier("frontier", STRONG)).with_structured_output(Invoice, include_raw=True)
        assert formed.invoke("Total?", SMALL_STEP)["raw"].response_metadata["router"]["tier"] == "small"
        [first, *_] = formed.stream("Total?", SMALL_STEP)
        assert first["raw"].response_metadata["router"]["tier"] == "small"

    def test_fallbacks_forward_what_is_bound(self) -> None:
        """A router with fallbacks can still be bound tools to, and falls back when a tier fails."""
        broken = FakeMeteredChatModel(model=SMALL, failures={1: ConnectionError("down")})
        first = RouterRunnable([("small", broken), ("frontier", FakeMeteredChatModel(model=STRONG))])
        safe: Any = first.with_fallbacks([FakeMeteredChatModel(answers=["Saved."])])
        assert safe.bind_tools([search]).invoke("Hi", SMALL_STEP).text == "Saved."

    def test_in_a_sequence(self) -> None:
        """Prompt, router, parser: streaming comes through."""
        chain = ChatPromptTemplate.from_messages([("human", "{text}")]) | router() | StrOutputParser()
        assert chain.invoke({"text": "Hi"}, SMALL_STEP) == "I am small."
        assert len(list(chain.stream({"text": "Hi"}, SMALL_STEP))) > 2

    def test_retries(self) -> None:
        """A tier that failed once is asked again by `with_retry`."""
        flaky = FakeMeteredChatModel(model=SMALL, answers=["Now."], failures={1: ConnectionError("down")})
        one = RouterRunnable([("small", flaky), ("frontier", FakeMeteredChatModel(model=STRONG))])
        retried = one.with_retry(wait_exponential_jitter=False)
        assert retried.invoke("Hi", SMALL_STEP).text == "Now."


class TestInGraphs:
    """A router stands where a chat model is expected."""

    def test_an_agent(self) -> None:
        """`create_agent` takes a router as its model: tools run, and each call is one event."""
        small = tier("small", SMALL, calls("search", query="lamp"), "Found nothing.")
        agent: Any = create_agent(router(small, tier("frontier", STRONG)), tools=[search])  # type: ignore[call-overload]
        heard = Heard()
        done = agent.invoke(
            {"messages": "Find a lamp"}, {"callbacks": [heard], "configurable": {"router_tier": "small"}}
        )
        assert [message.type for message in done["messages"]] == ["human", "ai", "tool", "ai"]
        assert heard.models == [SMALL, SMALL]

    async def test_an_agent_streams(self) -> None:
        """Tokens of the tier come out of the graph."""
        agent: Any = create_agent(router(), tools=[search])  # type: ignore[call-overload]
        pinned: RunnableConfig = {"configurable": {"router_tier": "small"}}
        coming = agent.astream({"messages": "Hi"}, pinned, stream_mode="messages")
        chunks = [chunk async for chunk, _ in coming]
        assert len(chunks) > 2
        assert "".join(chunk.text for chunk in chunks if isinstance(chunk, AIMessageChunk)) == "I am small."

    def test_a_response_format(self) -> None:
        """An agent's structured response works through the router."""
        small = tier("small", SMALL, calls("Invoice", total=3))
        agent: Any = create_agent(router(small, tier("frontier", STRONG)), response_format=Invoice)  # type: ignore[call-overload]
        done = agent.invoke({"messages": "Total?"}, {"configurable": {"router_tier": "small"}})
        assert done["structured_response"] == Invoice(total=3)

    def test_nodes_are_steps(self) -> None:
        """The graph's node says what kind of step a call is: no further word is needed."""
        model = router()
        graph = StateGraph(MessagesState)
        graph.add_node("extract", lambda state: {"messages": [model.invoke(state["messages"])]})
        graph.add_node("plan", lambda state: {"messages": [model.invoke(state["messages"])]})
        graph.add_edge("__start__", "extract")
        graph.add_edge("extract", "plan")
        done = graph.compile().invoke({"messages": [HumanMessage("Hi")]})
        assert [message.text for message in done["messages"][1:]] == ["I am small.", "I am frontier."]

    def test_a_meter_counts_each_call_once(self) -> None:
        """The ledger has one model call for each, with the model that answered, at its price."""
        meter = CostMeter()
        one = router()
        for step in (SMALL_STEP, HARD_STEP):
            one.invoke("Hi", {**step, "callbacks": meter.callbacks})
        entries = [entry for entry in meter.ledger.entries() if entry.kind == "llm"]
        assert [entry.attribution.model for entry in entries] == [SMALL, STRONG]
        assert all(entry.cost is not None for entry in entries)

    def test_langchains_summarizer_takes_it(self) -> None:
        """`SummarizationMiddleware` looks at the model's type and profile before it calls it."""
        agent: Any = create_agent(
            FakeMeteredChatModel(),
            middleware=[SummarizationMiddleware(router(), trigger=("messages", 3), keep=("messages", 1))],  # type: ignore[arg-type]
        )
        turns = [HumanMessage("a"), AIMessage("b"), HumanMessage("c"), AIMessage("d"), HumanMessage("e")]
        assert "I am" in agent.invoke({"messages": turns})["messages"][0].text


class TestWhatIsConfigured:
    """`configurable` of a call pins and bounds."""

    def test_a_pinned_tier(self) -> None:
        """A pin wins over the policy."""
        answer = router().invoke("Hi", {**HARD_STEP, "configurable": {"router_tier": "small"}})
        assert answer.text == "I am small."
        assert answer.response_metadata["router"]["policy"] == "pinned"

    def test_another_policy(self) -> None:
        """A policy by its name takes the place of the router's own for a call."""
        answer = router().invoke("Hi", {**SMALL_STEP, "configurable": {"router_policy": "frontier"}})
        assert answer.text == "I am frontier."

    def test_the_most_that_a_call_may_cost(self) -> None:
        """A tier that is expected to cost more falls out; where none is left, the error says why."""
        decision = router().explain("Hi " * 500, {**HARD_STEP, "configurable": {"router_max_cost": "0.001"}})
        assert decision.tier == "small"
        assert "may cost $0.001" in (decision.dropped or {})["frontier"]
        with pytest.raises(RoutingError, match=r"small: it is expected to cost .*frontier: it is expected to cost"):
            router().invoke("Hi", {"configurable": {"router_max_cost": "0"}})

    def test_a_floor_that_is_not_proven(self) -> None:
        """A call that asks for a floor goes to the strongest tier while nothing is proven, and a warning says so."""
        with pytest.warns(UserWarning, match="not proven"):
            answer = router().invoke("Hi", {**SMALL_STEP, "configurable": {"router_quality_floor": 0.95}})
        assert answer.text == "I am frontier."

    def test_a_policy_that_is_none(self) -> None:
        """What names no policy is an error that says what would."""
        with pytest.raises(RoutingError, match="a policy or its name"):
            router().invoke("Hi", {"configurable": {"router_policy": 5}})

    @pytest.mark.parametrize("chosen", ["small", "nope"])
    def test_a_policy_that_chooses_what_is_not_offered(self, chosen: str) -> None:
        """A tier that fell out, or is not there, is not asked whatever a policy says."""

        class Wrong(FixedPolicy):
            def choose(self, request: RouteRequest, offers: Offers) -> Choice:
                return Choice(tier=chosen, policy="wrong")

        one = router(tier("small", SMALL, max_input_tokens=2), tier("frontier", STRONG), policy=Wrong("small"))
        with pytest.raises(RoutingError, match="Policy wrong chose"):
            one.invoke("word " * 50)

    def test_what_can_be_configured_is_listed(self) -> None:
        """LangChain asks a runnable for what can be configured."""
        ids = {spec.id for spec in router().config_specs}
        assert ids == {"router_tier", "router_policy", "router_quality_floor", "router_max_cost"}

    @pytest.mark.parametrize("floor", [0, 2, "much"])
    def test_a_floor_that_is_none(self, floor: object) -> None:
        """What is no share is an error that says what one is."""
        with pytest.raises(RoutingError, match="a share such as"):
            router().invoke("Hi", {"configurable": {"router_quality_floor": floor}})


class TestBeforeAnyCall:
    """What a router says of itself and of calls that are not made."""

    def test_explaining_asks_nobody(self) -> None:
        """A dry run has the decision, and no event."""
        one, heard = router(), Heard()
        decision = one.explain("Total?", hearing(SMALL_STEP, heard))
        assert (decision.tier, heard.starts) == ("small", [])
        assert all(not tier.model.prompts for tier in one.tiers)
        assert "small, by sticky>step" in str(decision)
        assert "$" in str(decision)

    def test_a_prompt_that_does_not_fit(self) -> None:
        """A long prompt goes where it fits, whatever the policy wants; where none does, nothing is asked."""
        one = router(tier("small", SMALL, max_input_tokens=50), tier("frontier", STRONG, max_input_tokens=500))
        assert one.explain("word " * 100, SMALL_STEP).tier == "frontier"
        with pytest.raises(RoutingError, match="small: the prompt has about"):
            one.invoke("word " * 1_000, SMALL_STEP)

    def test_the_profile_is_what_all_tiers_can(self) -> None:
        """The smaller window, and only the abilities of each."""
        models = [FakeMeteredChatModel(), FakeMeteredChatModel()]
        models[0].profile = {"max_input_tokens": 1_000, "tool_calling": True, "image_inputs": False}
        models[1].profile = {"max_input_tokens": 9_000, "tool_calling": True, "image_inputs": True}
        profile = RouterRunnable(models).profile
        assert profile["max_input_tokens"] == 1_000
        assert profile["tool_calling"]
        assert not profile["image_inputs"]

    def test_langchains_private_names(self) -> None:
        """What LangChain reads of a model is the strongest tier's."""
        one = router()
        assert one._llm_type == "fake-metered-chat"
        assert one._get_ls_params()["ls_model_name"] == STRONG

    @pytest.mark.parametrize(
        ("tiers", "why"),
        [
            ([], "two tiers or more"),
            ([FakeMeteredChatModel()], "two tiers or more"),
            ([("a", FakeMeteredChatModel()), ("a", FakeMeteredChatModel())], "a name of its own"),
            ([("", FakeMeteredChatModel()), FakeMeteredChatModel()], "needs a name"),
            ([("a", 7), FakeMeteredChatModel()], "is a chat model or its name"),
        ],
    )
    def test_tiers_that_cannot_be(self, tiers: Sequence[Any], why: str) -> None:
        """What is no set of tiers is refused when the router is made."""
        with pytest.raises(RoutingError, match=why):
            RouterRunnable(tiers)

    def test_tiers_by_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Names for `init_chat_model` make tiers too, with the model's own price and window."""
        monkeypatch.setenv("OPENAI_API_KEY", "none-needed")
        one = RouterRunnable(["openai:gpt-4.1-mini", "openai:gpt-4.1"])
        assert [each.name for each in one.tiers] == ["small", "frontier"]
        assert one.tiers[0].max_input_tokens
        assert one.explain("Hi", SMALL_STEP).expected_usd["small"]

    def test_three_tiers_have_three_levels(self) -> None:
        """The middle one is for checks."""
        one = RouterRunnable([*two_tiers()[:1], tier("mid", "gpt-4.1"), *two_tiers()[1:]])
        assert [each.level for each in one.tiers] == ["small", "mid", "frontier"]
        assert one.explain("Right?", {"metadata": {"router_step": "verify"}}).tier == "mid"


def test_a_dominated_tier_is_named() -> None:
    """A tier that costs as much as a better one, as measured, is named when the router is made."""
    weak = tier("small", SMALL, record=Record(runs=400, solved=200, nano=400_000_000_000))
    better = tier("frontier", STRONG, record=Record(runs=400, solved=300, nano=400_000_000_000))
    with pytest.warns(RoutingWarning, match="small"):
        router(weak, better)


def test_notes_at_the_end_of_a_prompt_are_no_turn() -> None:
    """What stands at a prompt's end for one call makes no user's turn of an error that is to be recovered from."""
    failed = [calls("search"), ToolMessage("no", tool_call_id="c1", status="error")]
    notes = HumanMessage("It is noon.", id=TAIL_ID)
    assert RouteRequest.of([*failed, notes]).phase == "error"
    assert RouteRequest.of([HumanMessage("Where?"), notes]).text == "Where?"


def test_a_tier_without_a_price_is_chosen_with_its_cost_unknown() -> None:
    """An unpriced model is never free: its expected cost is None, and shown as such."""
    one = RouterRunnable([Tier("own", FakeMeteredChatModel(model="nobody-knows-1")), two_tiers()[1]])
    decision = one.explain("Hi", SMALL_STEP)
    assert decision.expected_usd["own"] is None
    assert "no price is known" in str(decision)
