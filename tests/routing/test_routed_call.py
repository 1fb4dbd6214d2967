from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.graph import MessagesState, StateGraph
from pydantic import BaseModel

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.errors.limits import BudgetExceeded
from langchain_agentcost.limits import Budget
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.routing.risk_gate import ToolRiskGate
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.routing.desk import SMALL, STRONG, Checked, Heard, calls, cancel, router, search, tier


class Invoice(BaseModel):
    """An invoice."""

    total: int


def heard_of(heard: Heard, **more: Any) -> RunnableConfig:
    """A config with a handler."""
    config: RunnableConfig = {"callbacks": [heard]}
    return merge_configs(config, more)  # type: ignore[arg-type]  # a test's keywords


class TestDrafts:
    """A cheap answer is checked, and answered again at most once."""

    def test_one_that_passes(self) -> None:
        """The draft is the answer, and the strong tier is not asked."""
        heard = Heard()
        answer = router(policy=Checked("yes")).invoke("Hi", heard_of(heard))
        assert answer.text == "I am small."
        assert heard.roles == ["draft"]
        assert answer.response_metadata["router"]["escalated"] is False

    def test_one_that_does_not(self) -> None:
        """The strong tier answers, under the same decision, and both calls are seen."""
        heard = Heard()
        answer = router(policy=Checked("no")).invoke("Hi", heard_of(heard))
        assert answer.text == "I am frontier."
        assert heard.roles == ["draft", "escalation"]
        assert heard.models == [SMALL, STRONG]
        assert len({start["agentcost_route"]["id"] for start in heard.starts}) == 1
        said = answer.response_metadata["router"]
        assert said["answered_by"] == "frontier"
        assert said["verdict"] == ["as told"]

    async def test_the_same_in_async_code(self) -> None:
        """Drafts and escalations are the same in async code."""
        heard = Heard()
        one = router(policy=Checked("no", "yes"))
        answers = [(await one.ainvoke("Hi", heard_of(heard))).text for _ in range(2)]
        assert answers == ["I am frontier.", "I am small."]
        assert heard.roles == ["draft", "escalation", "draft"]

    def test_a_draft_is_not_streamed_before_it_has_passed(self) -> None:
        """Nothing of an answer that is thrown away is ever shown."""
        passed = list(router(policy=Checked("yes")).stream("Hi"))
        assert sum(passed[1:], passed[0]).text == "I am small."
        assert len(passed) > 2
        other = list(router(policy=Checked("no")).stream("Hi"))
        assert sum(other[1:], other[0]).text == "I am frontier."
        assert len(other) > 2

    async def test_the_same_in_async_streams(self) -> None:
        """Async streams hold a draft back too."""
        for says, text in (("yes", "I am small."), ("no", "I am frontier.")):
            chunks = [chunk async for chunk in router(policy=Checked(says)).astream("Hi")]
            assert sum(chunks[1:], chunks[0]).text == text
            assert chunks[0].response_metadata["router"]["escalated"] is (says == "no")

    def test_a_graph_does_not_stream_drafts(self) -> None:
        """LangGraph's message stream shows only what is the answer."""
        agent: Any = create_agent(router(policy=Checked("no")), tools=[search])  # type: ignore[call-overload]
        shown = [chunk.text for chunk, _ in agent.stream({"messages": "Hi"}, stream_mode="messages")]
        assert "".join(shown) == "I am frontier."

    def test_a_graph_shows_a_draft_that_passed_whole(self) -> None:
        """A draft that passed is shown once, when it is the answer."""
        agent: Any = create_agent(router(policy=Checked("yes")), tools=[search])  # type: ignore[call-overload]
        shown = [chunk.text for chunk, _ in agent.stream({"messages": "Hi"}, stream_mode="messages")]
        assert shown == ["I am small."]

    def test_a_draft_that_fails(self) -> None:
        """A cheap model that is down does not break the call: the strong one answers, and no error text is told."""
        down = FakeMeteredChatModel(model=SMALL, failures={1: ConnectionError("secret prompt")})
        one = RouterRunnable([("small", down), tier("frontier", STRONG)], policy=Checked())
        answer = one.invoke("Hi")
        assert answer.text == "I am frontier."
        assert answer.response_metadata["router"]["verdict"] == ["ConnectionError in the draft or its check"]

    def test_a_form_that_does_not_parse(self) -> None:
        """A draft that is not of the form that was asked for is answered again."""
        small = tier("small", SMALL, calls("Invoice", total="much"))
        strong = tier("frontier", STRONG, calls("Invoice", total=3))
        one = router(small, strong, policy=Checked("yes"))
        assert one.with_structured_output(Invoice).invoke("Total?") == Invoice(total=3)

    def test_forms_with_their_message_are_checked_whole_in_streams(self) -> None:
        """What `include_raw` streams piece by piece is put together before it is checked, as when it is called."""
        small = tier("small", SMALL, calls("Invoice", total=3))
        for stream in (False, True):
            check, heard = Checked("yes"), Heard()
            one = router(small, tier("frontier", STRONG), policy=check)
            formed = one.with_structured_output(Invoice, include_raw=True)
            list(formed.stream("?", heard_of(heard))) if stream else formed.invoke("?", heard_of(heard))
            assert check.seen[0]["parsed"] == Invoice(total=3)
            assert check.seen[0]["raw"].tool_calls
            assert heard.roles == ["draft"]

    def test_a_stream_of_a_form_that_does_not_parse_is_answered_again(self) -> None:
        """A draft of which nothing comes is no answer, however lenient the check."""
        small = tier("small", SMALL, "no form at all")
        strong = tier("frontier", STRONG, calls("Invoice", total=3))
        one = router(small, strong, policy=Checked("yes", "yes"))
        assert list(one.with_structured_output(Invoice).stream("?"))[-1] == Invoice(total=3)

    def test_a_limit_stops_a_draft(self) -> None:
        """A budget that has no room is no bad draft: nothing is tried again."""
        meter = CostMeter(budgets=[Budget(steps=0)])
        one, heard = router(policy=Checked("yes")), Heard()
        graph = StateGraph(MessagesState)
        graph.add_node("ask", lambda state: {"messages": [one.invoke(state["messages"])]})
        graph.add_edge("__start__", "ask")
        with pytest.raises(BudgetExceeded):
            graph.compile().invoke({"messages": "Hi"}, {"callbacks": [*meter.callbacks, heard]})  # type: ignore[call-overload]
        assert heard.roles in ([], ["draft"])
        assert not one.tiers[1].model.prompts

    def test_both_are_paid(self) -> None:
        """A draft that is thrown away is booked as spend, with its role, and the answer beside it."""
        meter = CostMeter()
        router(policy=Checked("no")).invoke("Hi", {"callbacks": meter.callbacks})
        spent = {entry.attribution.model: entry.cost for entry in meter.ledger.entries() if entry.kind == "llm"}
        assert set(spent) == {SMALL, STRONG}
        assert all(cost is not None and cost.total_nano > 0 for cost in spent.values())

    def test_run_ids_are_not_shared(self) -> None:
        """Only the first call has the caller's run id: two runs of one id would be one run."""
        heard = Heard()
        run_id = "7" * 8 + "-7777-7777-7777-" + "7" * 12
        router(policy=Checked("no")).invoke("Hi", heard_of(heard, run_id=run_id))
        assert str(heard.ids[0]) == run_id
        assert heard.ids[1] != heard.ids[0]


def test_what_was_asked_is_warm_afterwards() -> None:
    """The next call of the thread knows who was asked last, and whose prompt cache holds what."""
    one = router()
    config: RunnableConfig = {"metadata": {"router_step": "extract"}, "configurable": {"thread_id": "t"}}
    one.invoke("Hi " * 3_000, config)
    offers = {offer.name: offer for offer in one.explain("Hi " * 3_000, config).offers}
    assert offers["small"].last
    assert offers["small"].expected_nano == offers["small"].warm_nano
    cold, warm = offers["frontier"].expected_nano, offers["frontier"].warm_nano
    assert cold is not None
    assert warm is not None
    assert warm < cold


def test_a_stream_that_is_left_is_closed() -> None:
    """Whoever stops reading closes the tier's stream with it; the prompt was sent all the same, so the tier is warm."""
    one = router()
    config: RunnableConfig = {"metadata": {"router_step": "extract"}, "configurable": {"thread_id": "t"}}
    chunks = one.stream("Hi", config)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    offers = one.explain("Hi", {"metadata": {"router_step": "extract"}, "configurable": {"thread_id": "t"}}).offers
    assert offers[0].last


class TestHarm:
    """What a weak tier may not decide it does not decide, whatever keeps the strong one out."""

    GATE = ToolRiskGate({"cancel"})

    def tiers(self, **strong: Any) -> list[Tier]:
        """A small tier that cancels at once, and a strong one that asks first."""
        return [tier("small", SMALL, calls("cancel")), tier("frontier", STRONG, "Are you sure?", **strong)]

    def test_the_strong_tier_decides_again(self) -> None:
        """A write that the small tier proposes is not what comes out."""
        one = router(*self.tiers(), policy="small", risk_gate=self.GATE)
        assert one.bind_tools([cancel]).invoke("Cancel it").text == "Are you sure?"

    def test_a_call_that_may_not_cost_so_much_does_not_open_the_gate(self) -> None:
        """Where the strong tier is too dear for the choice, it still decides on what may do harm."""
        one = router(*self.tiers(), policy="small", risk_gate=self.GATE).bind_tools([cancel])
        dear = one.explain("Cancel it").expected_usd["frontier"]
        assert dear is not None
        answer = one.invoke("Cancel it", {"configurable": {"router_max_cost": str(dear / 2)}})
        assert answer.text == "Are you sure?"

    def test_where_no_tool_can_do_harm_answers_stream(self) -> None:
        """A gate that has nothing to look at holds nothing back."""
        heard = Heard()
        one = router(*self.tiers(), policy="small", risk_gate=self.GATE).bind_tools([search])
        list(one.stream("Find it", heard_of(heard)))
        assert heard.roles == ["answer"]

    def test_tools_that_a_tier_came_with_are_looked_at(self) -> None:
        """What was bound to the small tier before the router was made is no way around the gate."""
        small = FakeMeteredChatModel(model=SMALL, answers=[calls("cancel")]).bind_tools([cancel])
        one = RouterRunnable([("small", small), self.tiers()[1]], policy="small", risk_gate=self.GATE)
        assert one.invoke("Cancel it").text == "Are you sure?"

    def test_where_nobody_may_decide_nothing_runs(self) -> None:
        """Where the strong tier cannot take the call, the proposal is refused, and it is said why."""
        one = router(*self.tiers(max_input_tokens=20), policy="small", risk_gate=self.GATE).bind_tools([cancel])
        with pytest.raises(RoutingError, match="small may not decide on its own, and frontier cannot take the call"):
            one.invoke("Cancel it, please. " * 20)


def test_an_answer_from_langchains_cache_warms_nobody() -> None:
    """Nothing was sent to a provider: its prompt cache is as cold as before."""
    set_llm_cache(InMemoryCache())
    try:
        config: RunnableConfig = {"metadata": {"router_step": "extract"}, "configurable": {"thread_id": "t"}}
        first, second = (RouterRunnable([tier("small", SMALL), tier("frontier", STRONG)]) for _ in range(2))
        first.invoke("Hi " * 3_000, config)
        second.invoke("Hi " * 3_000, config)
    finally:
        set_llm_cache(None)
    assert not second.tiers[0].model.prompts
    offers = {offer.name: offer for offer in second.explain("Hi " * 3_000, config).offers}
    assert not offers["small"].last
