"""The monitor of prefix stability, live: real graphs and agents whose prompts grow, or do not."""

from __future__ import annotations

import asyncio
import operator
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Annotated, Any, TypedDict
from uuid import UUID

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, SummarizationMiddleware, dynamic_prompt
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send

from langchain_agentcost import CostMeter, MeteringWarning, PrefixStabilityMonitor, PrefixUnstableWarning
from langchain_agentcost.meter.prefix_watch import MAX_WARNINGS
from langchain_agentcost.prefix import PrefixChange
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

RULES = "\n".join(f"Rule {number}: be kind, be brief, and ask before you spend anything." for number in range(120))
HI: Any = {"messages": [HumanMessage("Where is my order 42?")]}
PRIVATE = "Ann Example of Elm Street"


@tool
def track(leg: int) -> str:
    """Say where a parcel was on a leg of its way."""
    return f"On leg {leg} it went from hall {leg} to hall {leg + 1}. " * 4


def stepping(steps: int, **how: Any) -> FakeMeteredChatModel:
    """A model that asks for a tool until it was asked so many times since the last question."""

    def answer(messages: list[BaseMessage]) -> AIMessage:
        question = max(at for at, message in enumerate(messages) if isinstance(message, HumanMessage))
        done = sum(message.type == "tool" for message in messages[question:])
        call = {"name": "track", "args": {"leg": done}, "id": f"c{len(messages)}", "type": "tool_call"}
        return AIMessage("It is in hall 7." if done + 1 >= steps else "", tool_calls=[call] if done + 1 < steps else [])

    return FakeMeteredChatModel(**{"answers": answer, "model": "gpt-4.1", **how})


def agent(model: Any, prompt: Callable[[], str], **how: Any) -> Any:
    """An agent whose system message is made for each call."""

    @dynamic_prompt
    def now(request: ModelRequest) -> str:
        return prompt()

    return create_agent(model, [track], middleware=[now, *how.pop("middleware", ())], **how)


def clock() -> Callable[[], str]:
    """A prompt with the time at its top, which goes on by a second for each call."""
    instants = (datetime(2026, 11, 30, 10, tzinfo=UTC) + timedelta(seconds=second) for second in count())
    return lambda: f"It is {next(instants):%H:%M:%S}, {PRIVATE}.\n{RULES}"


def thread(meter: CostMeter, name: str) -> RunnableConfig:
    """A config of one conversation."""
    return {"callbacks": meter.callbacks, "configurable": {"thread_id": name}, "recursion_limit": 100}


def watching(**how: Any) -> tuple[CostMeter, PrefixStabilityMonitor]:
    """A meter that watches, and its monitor."""
    meter = CostMeter(prefix_monitor=True, **how)
    assert meter.prefix_monitor is not None
    return meter, meter.prefix_monitor


@contextmanager
def warned() -> Iterator[list[str]]:
    """What is warned about in this block; a warning of another kind fails the test."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    assert {warning.category for warning in caught} <= {PrefixUnstableWarning}
    texts.extend(str(warning.message) for warning in caught)


class TestFindings:
    """What loses a prompt cache is said once, with its place, its kind, what it cost and what to do."""

    def test_a_clock_at_the_top(self) -> None:
        """Five calls of an agent change four times; the warning comes with the second change."""
        meter, monitor = watching()
        with warned() as texts:
            agent(stepping(5), clock(), name="clerk").invoke(HI, thread(meter, "a"))
        [text] = texts
        assert "The prompts of 'model' change at system message, line 1 (clock time) since call 2" in text
        assert "2 times by now" in text
        assert "Write it into the last message" in text
        assert monitor.totals().changes == 4
        assert monitor.totals().recurring_changes == 3

    def test_the_dollars_of_gpt(self) -> None:
        """What is warned of is uncached 2.00 less cached 0.50 for each token lost."""
        meter, monitor = watching()
        with warned() as texts:
            agent(stepping(3, counts=FakeCounts(10_000, 50)), clock()).invoke(HI, thread(meter, "a"))
        lost = monitor.totals().lost_tokens
        assert 2 * 9_300 < lost < 2 * 9_900  # the rest is new
        assert monitor.totals().usd == lost * Decimal("1.50") / 1_000_000
        assert f"{lost:,} tokens" in texts[0]
        assert f"${monitor.totals().usd:.4f}" in texts[0]

    def test_the_dollars_of_claude(self) -> None:
        """A prompt that is written again in each call costs 3.75 less 0.30 for each token lost."""
        meter, monitor = watching()
        counts = FakeCounts(10_000, 50, cache_write_tokens=9_990)
        model = stepping(3, counts=counts, usage="anthropic", model="claude-sonnet-4-5")
        with warned() as texts:
            agent(model, clock()).invoke(HI, thread(meter, "a"))
        assert len(texts) == 1
        assert monitor.totals().usd == monitor.totals().lost_tokens * Decimal("3.45") / 1_000_000 > Decimal("0.06")

    def test_a_uuid_in_the_third_line(self) -> None:
        """The line is named, and none of its words."""
        ids = count(1)
        meter, _ = watching()
        with warned() as texts:
            agent(stepping(3), lambda: f"You help.\n\nTrace {UUID(int=next(ids) << 64)}\n{RULES}").invoke(
                HI, thread(meter, "a")
            )
        [text] = texts
        assert "system message, line 3 (UUID)" in text
        assert "Trace" not in text

    def test_tools_in_changing_order(self) -> None:
        """Tools that are bound in another order for each call are found by their number and name."""
        names = ("add", "find", "track")
        tools: list[dict[str, Any]] = [{"name": name, "description": RULES, "input_schema": {}} for name in names]
        turn = count()

        def call(state: MessagesState) -> dict[str, Any]:
            first = next(turn) % 3
            model = FakeMeteredChatModel(model="gpt-4.1").bind_tools([*tools[first:], *tools[:first]])
            return {"messages": [model.invoke(state["messages"]), HumanMessage("Go on.")]}

        builder = StateGraph(MessagesState).add_node("work", call).add_edge(START, "work")
        builder.add_conditional_edges("work", lambda state: END if len(state["messages"]) > 6 else "work")
        meter, monitor = watching()
        with warned() as texts:
            builder.compile().invoke(HI, thread(meter, "a"))
        [text] = texts
        assert "tools[0] 'track' (reordered tools)" in text
        assert "sorted by name" in text
        assert monitor.totals().changes == 2

    def test_nothing_of_a_prompt_is_said_or_kept(self) -> None:
        """Neither the warning, the findings nor the ledger have a word of it."""
        meter, monitor = watching()
        with warned() as texts:
            agent(stepping(4), clock()).invoke(HI, thread(meter, "a"))
        assert len(texts) == 1
        for said in (texts[0], repr(monitor.findings()), repr(list(meter.ledger.entries()))):
            assert "Elm Street" not in said
            assert "10:00" not in said
            assert "Rule 7" not in said

    def test_an_agent_within_a_tool(self) -> None:
        """A helper that is asked again and again, one call each time, with a clock is found, its caller is not."""
        helper = agent(FakeMeteredChatModel(model="gpt-4.1"), clock(), name="helper")

        @tool("track")
        def ask(leg: int) -> str:
            """Ask the helper about a leg."""
            return str(helper.invoke({"messages": [HumanMessage(f"Leg {leg}?")]})["messages"][-1].text)

        meter, monitor = watching()
        boss = create_agent(stepping(5), [ask], system_prompt=RULES, name="boss")
        with warned() as texts:
            boss.invoke(HI, thread(meter, "a"))
        [text] = texts
        assert "The prompts of 'tools/model' change at system message, line 1" in text
        assert monitor.totals().changes == 3

    def test_branches_of_a_fan_out(self) -> None:
        """Branches that one node runs side by side, each with its clock, are found; without it they are not."""

        class Desk(TypedDict, total=False):
            seen: Annotated[list[str], operator.add]
            leg: int

        def graph(prompt: Callable[[], str]) -> Any:
            model = FakeMeteredChatModel(model="gpt-4.1")

            def work(state: Desk) -> Desk:
                said: list[BaseMessage] = [HumanMessage(f"Leg {state['leg']}?")]
                for _ in range(3):
                    said += [model.invoke([SystemMessage(prompt()), *said]), HumanMessage("Sure?")]
                return {"seen": ["done"]}

            builder = StateGraph(Desk).add_node("work", work).add_edge("work", END)
            builder.add_conditional_edges(START, lambda _: [Send("work", {"leg": leg}) for leg in range(3)])
            return builder.compile()

        meter, monitor = watching()
        with warned() as texts:
            graph(lambda: RULES).invoke({}, thread(meter, "stable"))
        assert (texts, monitor.totals().changes) == ([], 0)
        with warned() as texts:
            graph(clock()).invoke({}, thread(meter, "clock"))
        assert len(texts) == 1


class TestNoFindings:
    """What a prompt cache serves, and what loses it for good reason, is not warned about."""

    def test_an_agent_of_twenty_steps(self) -> None:
        """Twice, with a checkpointer that makes the messages anew between: not one change."""
        meter, monitor = watching()
        stable = create_agent(stepping(20), [track], system_prompt=RULES, checkpointer=InMemorySaver())
        with warned() as texts:
            stable.invoke(HI, thread(meter, "a"))
            stable.invoke({"messages": [HumanMessage("And order 43?")]}, thread(meter, "a"))
        assert len(list(meter.ledger.entries(where={"kind": "llm"}))) == 40
        assert texts == []
        assert monitor.totals().changes == 0

    def test_a_summary(self) -> None:
        """Summaries that middleware makes, calls apart, are changes that do not recur."""
        meter, monitor = watching()
        chat = FakeMeteredChatModel(model="gpt-4.1")
        summary = SummarizationMiddleware(chat, trigger=("messages", 16), keep=("messages", 5))
        asks = [
            AIMessage("", tool_calls=[{"name": "track", "args": {"leg": leg}, "id": f"c{leg}"}]) for leg in range(19)
        ]
        model = FakeMeteredChatModel(answers=[*asks, "It is in hall 7."], model="gpt-4.1")
        with warned() as texts:
            agent(model, lambda: RULES, middleware=[summary]).invoke(HI, thread(meter, "a"))
        assert texts == []
        assert monitor.totals().changes >= 2
        assert monitor.totals().recurring_changes == 0

    def test_what_the_provider_has_read_all_the_same(self) -> None:
        """Where reads are reported, nothing is lost, whatever the prompts look like."""
        meter, monitor = watching()
        model = stepping(6, counts=FakeCounts(10_000, 50, cache_read_tokens=9_984))
        with warned() as texts:
            agent(model, clock()).invoke(HI, thread(meter, "a"))
        assert texts == []
        assert monitor.totals().changes == 5
        assert monitor.totals().usd == 0

    def test_short_prompts(self) -> None:
        """No provider caches them."""
        meter, _ = watching()
        seconds = count()
        with warned() as texts:
            agent(stepping(6), lambda: f"It is 10:00:0{next(seconds)}.").invoke(HI, thread(meter, "a"))
        assert texts == []

    def test_an_answer_from_a_cache_of_ones_own(self) -> None:
        """It did not reach the provider, and is not looked at."""
        looked: list[Any] = []

        class Watched(PrefixStabilityMonitor):
            def observe(self, thread: Any, messages: Any, **how: Any) -> PrefixChange | None:
                looked.append(messages)
                return super().observe(thread, messages, **how)

        meter = CostMeter(prefix_monitor=Watched())
        model = FakeMeteredChatModel(model="gpt-4.1", cache=InMemoryCache())
        for _ in range(3):
            model.invoke("Hi", thread(meter, "a"))
        assert len(looked) == 1

    def test_an_older_text_model(self) -> None:
        """Its prompt is one text, and no conversation."""
        meter, monitor = watching()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it reports no usage
            FakeListLLM(responses=["OK"]).invoke("Hi", thread(meter, "a"))
        assert monitor.totals().changes == 0


class TestSideBySide:
    """One meter for any number of conversations."""

    def test_two_threads_in_turns(self) -> None:
        """Each is compared with itself, and warned about once."""
        meter, monitor = watching()
        clerk = agent(FakeMeteredChatModel(model="gpt-4.1"), clock(), checkpointer=InMemorySaver())
        chat = FakeMeteredChatModel(model="gpt-4.1")
        calm = create_agent(chat, [], system_prompt=RULES, checkpointer=InMemorySaver())
        with warned() as texts:
            for _ in range(5):
                clerk.invoke(HI, thread(meter, "a"))
                clerk.invoke(HI, thread(meter, "b"))
                calm.invoke(HI, thread(meter, "c"))
        assert len(texts) == 2
        assert monitor.totals().changes == 8

    def test_one_thread_of_two_tenants(self) -> None:
        """Names of threads are not unique over tenants."""
        meter, monitor = watching()
        model, prompt = FakeMeteredChatModel(model="gpt-4.1"), clock()
        for tenant in ("a", "b"):
            for _ in range(2):
                metadata = {"tenant": tenant, "session": "1"}
                model.invoke([SystemMessage(prompt())], {"callbacks": meter.callbacks, "metadata": metadata})
        assert monitor.totals().changes == 2

    async def test_fifty_threads_at_once(self) -> None:
        """All are found, streamed or not."""
        meter, monitor = watching()
        clerk = agent(stepping(4, token_latency_s=0.001), clock())

        async def one(number: int) -> None:
            config = thread(meter, f"t{number}")
            if number % 2:
                await clerk.ainvoke(HI, config)
            else:
                async for _ in clerk.astream(HI, config, stream_mode="messages"):
                    pass

        with warned() as texts:
            await asyncio.gather(*map(one, range(50)))
        assert len(texts) == 50
        assert monitor.totals().changes == 150

    def test_a_batch_in_worker_threads(self) -> None:
        """Each input of a batch is a conversation of its own where it has its own thread."""
        meter, monitor = watching()
        clerk = agent(stepping(4), clock())
        with warned() as texts:
            clerk.batch([HI] * 8, [thread(meter, f"t{number}") for number in range(8)])
        assert len(texts) == 8
        assert monitor.totals().changes == 24

    def test_nodes_have_conversations_of_their_own(self) -> None:
        """What two nodes of a graph make of one history is not compared."""
        model = FakeMeteredChatModel(model="gpt-4.1")

        def node(job: str) -> Any:
            return lambda state: {"messages": [model.invoke([SystemMessage(f"{job}\n{RULES}"), *state["messages"]])]}

        builder = StateGraph(MessagesState).add_node("plan", node("You plan.")).add_node("act", node("You act."))
        builder.add_edge(START, "plan").add_edge("plan", "act").add_edge("act", END)
        meter, monitor = watching()
        builder.compile().invoke(HI, thread(meter, "a"))
        assert monitor.totals().changes == 0

    def test_without_a_thread_it_is_the_workflow_run(self) -> None:
        """Runs of a graph that has no thread are not compared with each other."""
        meter, monitor = watching()
        clerk = agent(FakeMeteredChatModel(model="gpt-4.1"), clock())
        for _ in range(3):
            clerk.invoke(HI, {"callbacks": meter.callbacks})
        assert monitor.totals().changes == 0

    def test_a_long_conversation_leaves_the_others_their_warnings(self) -> None:
        """It is warned about once however often it changes, and counts once."""
        meter, _ = watching()
        model, prompt = FakeMeteredChatModel(model="gpt-4.1"), clock()
        with warned() as texts:
            for session, calls in (("long", MAX_WARNINGS + 5), ("short", 3)):
                config: RunnableConfig = {"callbacks": meter.callbacks, "metadata": {"session": session}}
                for _ in range(calls):
                    model.invoke([SystemMessage(prompt())], config)
        assert len(texts) == 2

    def test_warnings_are_bounded(self) -> None:
        """A clock that is in the prompt of every conversation does not fill the log; the last warning says so."""
        meter, monitor = watching()
        model, prompt = FakeMeteredChatModel(model="gpt-4.1"), clock()
        with warned() as texts:
            for number in range(MAX_WARNINGS + 5):
                for _ in range(3):
                    config: RunnableConfig = {"callbacks": meter.callbacks, "metadata": {"session": f"s{number}"}}
                    model.invoke([SystemMessage(prompt())], config)
        assert len(texts) == MAX_WARNINGS
        assert [text.endswith("Further conversations are counted and not warned about.") for text in texts[-2:]] == [
            False,
            True,
        ]
        assert monitor.totals().changes == 2 * (MAX_WARNINGS + 5)


class TestSwitch:
    """Off unless asked for, and never in the way."""

    def test_off_by_default(self) -> None:
        """Nobody looks, and nothing is said."""
        meter = CostMeter()
        with warned() as texts:
            agent(stepping(5), clock()).invoke(HI, thread(meter, "a"))
        assert meter.prefix_monitor is None
        assert meter.books.prefix is None
        assert texts == []

    def test_a_monitor_of_ones_own(self) -> None:
        """It can be shared by meters, and has its own prices."""
        monitor = PrefixStabilityMonitor(max_threads=2)
        assert CostMeter(prefix_monitor=monitor).prefix_monitor is monitor
        assert CostMeter(prefix_monitor=False).prefix_monitor is None

    def test_something_else_is_refused(self) -> None:
        """A text is no monitor, and the error says what is."""
        with pytest.raises(ValueError, match="prefix_monitor is True or a PrefixStabilityMonitor, not 'yes'"):
            CostMeter(prefix_monitor="yes")  # type: ignore[arg-type]  # the fault that is tested

    def test_a_fault_of_the_monitor_is_no_fault_of_the_run(self) -> None:
        """It is warned about once, the answer comes, and every call is booked."""

        class Broken(PrefixStabilityMonitor):
            def observe(self, *given: Any, **how: Any) -> PrefixChange | None:
                raise ZeroDivisionError("a bug")

        meter = CostMeter(prefix_monitor=Broken())
        with pytest.warns(MeteringWarning, match="prefix stability.*ZeroDivisionError") as caught:
            agent(stepping(3), clock()).invoke(HI, thread(meter, "a"))
        assert len(caught) == 1
        assert len(list(meter.ledger.entries(where={"kind": "llm"}))) == 3

    def test_warnings_as_errors_do_not_break_the_run(self) -> None:
        """Under -W error the warning is logged instead."""
        meter, monitor = watching()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            done = agent(stepping(4), clock()).invoke(HI, thread(meter, "a"))
        assert done["messages"][-1].text == "It is in hall 7."
        assert monitor.totals().recurring_changes == 2
