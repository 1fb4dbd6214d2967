"""However a call ends, what it reserved is settled: nothing stays reserved once the run is over."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send

from langchain_agentcost import CostMeter
from langchain_agentcost.errors.limits import BudgetExceeded
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.holds import Account
from tests.meter.halting.world import PRICES, allowing, fake_model, store_of

ASKED: Any = {"messages": [HumanMessage("Hi")]}
LONG = "one two three four five six"


@pytest.fixture
def meter() -> Iterator[CostMeter]:
    """A meter with a session's budget in tokens and in calls."""
    with CostMeter(prices=PRICES, budgets=[Budget(llm_calls=10, total_tokens=10_000_000, per="model")]) as made:
        yield made


def accounts(meter: CostMeter) -> list[Account]:
    """The accounts, calls first."""
    return sorted(store_of(meter).accounts(), key=lambda account: account.limit)


def config(meter: CostMeter) -> RunnableConfig:
    """The config of an outermost call."""
    return {"callbacks": meter.callbacks, "configurable": {"thread_id": "t1"}}


def check(meter: CostMeter, *, calls: int, holds: int | None = None) -> None:
    """Nothing is reserved, so many calls are counted, and no hold was lost."""
    counted, tokens = accounts(meter)
    assert (counted.reserved, tokens.reserved) == (0, 0)
    assert counted.spent == calls
    states = [hold.state for hold in store_of(meter).holds()]
    assert states.count("posted") == (calls if holds is None else holds)
    assert not {*states} - {"posted", "voided"}


def graph(model: Any) -> Any:
    """One node that calls a model."""

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    return StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile(InMemorySaver())


async def _timeout(call: Awaitable[Any]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call, 0.05)
    await asyncio.sleep(0.01)


async def _astream(runnable: Any, given: Any, settings: RunnableConfig) -> None:
    async for _ in runnable.astream(given, settings):
        pass


class TestCancelled:
    """A task that is cancelled, as a timeout does it."""

    async def test_a_call(self, meter: CostMeter) -> None:
        """Its prompt is charged: the provider was at work."""
        await _timeout(fake_model(latency_s=5).ainvoke("Hi", config(meter)))
        check(meter, calls=1)
        assert accounts(meter)[1].spent > 0

    async def test_a_stream(self, meter: CostMeter) -> None:
        """What had come by then is charged as well."""
        await _timeout(_astream(fake_model(answers=[LONG], token_latency_s=1), "Hi", config(meter)))
        check(meter, calls=1)
        assert accounts(meter)[1].spent > 0

    async def test_a_graph(self, meter: CostMeter) -> None:
        """Also where the calls are inside of nodes."""
        await _timeout(graph(fake_model(latency_s=5)).ainvoke(ASKED, config(meter)))
        check(meter, calls=1)

    async def test_a_graph_that_fans_out(self, meter: CostMeter) -> None:
        """All of them."""
        slow = fake_model(latency_s=5)

        async def answer(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await slow.ainvoke("Hi")]}

        builder = StateGraph(MessagesState).add_node("answer", answer)
        builder.add_conditional_edges(START, lambda _: [Send("answer", ASKED)] * 6, ["answer"])
        await _timeout(builder.compile().ainvoke(ASKED, config(meter)))
        check(meter, calls=6)

    async def test_a_sibling_that_fails(self, meter: CostMeter) -> None:
        """A fault in one branch cancels the others: what they had under way is charged."""

        async def slow(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await fake_model(latency_s=5).ainvoke("Hi")]}

        async def broken(state: MessagesState) -> dict[str, Any]:
            await asyncio.sleep(0.02)
            raise ConnectionError("down")

        builder = StateGraph(MessagesState).add_node("slow", slow).add_node("broken", broken)
        app = builder.add_edge(START, "slow").add_edge(START, "broken").compile()
        with pytest.raises(ConnectionError):
            await app.ainvoke(ASKED, config(meter))
        await asyncio.sleep(0.01)
        check(meter, calls=1)


class TestLeft:
    """A stream that nobody reads to its end, or that breaks."""

    def test_a_model_s_stream(self, meter: CostMeter) -> None:
        """It is settled when the stream is closed, with what had come."""
        stream = fake_model(answers=[LONG]).stream("Hi", config(meter))
        next(stream)
        assert accounts(meter)[0].reserved == 1
        stream.close()
        check(meter, calls=1)

    async def test_an_async_stream(self, meter: CostMeter) -> None:
        """The same."""
        stream: Any = fake_model(answers=[LONG]).astream("Hi", config(meter))
        await anext(stream)
        await stream.aclose()
        check(meter, calls=1)

    def test_a_graph_s_stream(self, meter: CostMeter) -> None:
        """Between two tokens of a model in a node."""
        model = fake_model(answers=[LONG], token_latency_s=0.01)
        builder = StateGraph(MessagesState).add_node("answer", lambda _: {"messages": [model.invoke("Hi")]})
        stream = builder.add_edge(START, "answer").compile().stream(ASKED, config(meter), stream_mode="messages")
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        check(meter, calls=1)

    async def test_a_graph_s_async_stream(self, meter: CostMeter) -> None:
        """Its node is cancelled."""
        model = fake_model(answers=[LONG], token_latency_s=0.05)
        stream = graph(model).astream(ASKED, config(meter), stream_mode="messages")
        await anext(stream)
        await stream.aclose()
        await asyncio.sleep(0.01)
        check(meter, calls=1)

    @pytest.mark.parametrize("is_async", [False, True])
    def test_it_breaks(self, meter: CostMeter, is_async: bool) -> None:
        """Tokens that came are charged, the rest of the reservation is free again."""
        broken = fake_model(answers=[LONG], break_stream_after=3)

        def read() -> None:
            asyncio.run(_astream(broken, "Hi", config(meter))) if is_async else list(broken.stream("Hi", config(meter)))

        with pytest.raises(ConnectionError):
            read()
        check(meter, calls=1)

    def test_the_provider_refuses(self, meter: CostMeter) -> None:
        """A refused request counts as a call, and costs no tokens."""
        with pytest.raises(ConnectionError):
            fake_model(failures={1: ConnectionError("429")}).invoke("Hi", config(meter))
        check(meter, calls=1)
        assert accounts(meter)[1].spent == 0


class Refuser(BaseCallbackHandler):
    """Another handler that refuses calls, after the meter has let them through."""

    raise_error = True

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Refuse."""
        raise PermissionError("no")


class TestNeverMade:
    """Calls that the meter let through, and that were not made after all: nothing tells of them."""

    async def test_in_an_async_graph(self, meter: CostMeter) -> None:
        """What they reserved is settled when their task ends."""
        with pytest.raises(PermissionError):
            await graph(fake_model()).ainvoke(ASKED, {**config(meter), "callbacks": [*meter.callbacks, Refuser()]})
        await asyncio.sleep(0.01)
        assert [account.reserved for account in accounts(meter)] == [0, 0]

    def test_in_a_graph(self, meter: CostMeter) -> None:
        """What they reserved is given back when the run ends."""
        model = fake_model()
        builder = StateGraph(MessagesState).add_node("answer", lambda _: {"messages": [model.invoke("Hi")]})
        app = builder.add_edge(START, "answer").compile()
        with pytest.raises(PermissionError):
            app.invoke(ASKED, {**config(meter), "callbacks": [*meter.callbacks, Refuser()]})
        check(meter, calls=0)

    @pytest.mark.parametrize("is_async", [False, True])
    def test_alone(self, meter: CostMeter, is_async: bool) -> None:
        """And where there is no run around them, when the thread or task makes its next call."""
        settings: Any = {"callbacks": [*meter.callbacks, Refuser()]}

        async def acall() -> None:
            with pytest.raises(PermissionError):
                await fake_model().ainvoke("Hi", settings)
            await fake_model().ainvoke("Hi", config(meter))

        if is_async:
            asyncio.run(acall())
        else:
            with pytest.raises(PermissionError):
                fake_model().invoke("Hi", settings)
            fake_model().invoke("Hi", config(meter))
        assert [account.reserved for account in accounts(meter)] == [0, 0]

    def test_another_meter_denies(self, meter: CostMeter) -> None:
        """The limits of one meter leave nothing reserved with the other."""
        with CostMeter(prices=PRICES, budgets=[allowing(0)]) as strict:
            for _ in range(2):
                with pytest.raises(BudgetExceeded):
                    fake_model().invoke("Hi", {"callbacks": [meter, strict]})
            fake_model().invoke("Hi", config(meter))
        assert [account.reserved for account in accounts(meter)] == [0, 0]


class TestGoesOn:
    """Calls that outlive the run that they were made in."""

    async def test_siblings_of_a_refused_call(self) -> None:
        """They keep their room while they run, so that nobody else can spend it, and are posted when they end."""
        slow = fake_model(latency_s=0.05)

        async def answer(state: MessagesState) -> dict[str, Any]:
            return {"messages": list(await asyncio.gather(*[slow.ainvoke("Hi") for _ in range(3)]))}

        app = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
        with CostMeter(prices=PRICES, budgets=[allowing(2, per="model")]) as meter:
            for _ in range(2):
                with pytest.raises(BudgetExceeded):
                    await app.ainvoke(ASKED, config(meter))
                [account] = accounts(meter)
                assert (account.spent, account.reserved) == (0, 2)
            await asyncio.sleep(0.1)
            [account] = accounts(meter)
            assert (account.spent, account.reserved, len(slow.prompts)) == (2, 0, 2)

    def test_a_thread_that_nobody_waits_for(self, meter: CostMeter) -> None:
        """It is posted when it ends, though its run is over."""
        threads: list[threading.Thread] = []
        slow = fake_model(latency_s=0.1)

        def answer(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
            threads.append(threading.Thread(target=slow.invoke, args=("Hi", config)))
            threads[-1].start()
            deadline = time.monotonic() + 5
            while not slow.prompts and time.monotonic() < deadline:
                time.sleep(0.001)
            return {}

        StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile().invoke(
            ASKED, config(meter)
        )
        assert accounts(meter)[0].spent == 0
        threads[0].join()
        check(meter, calls=1)
