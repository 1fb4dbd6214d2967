"""A limit reaches whoever made the call: what that rests on, and what breaks without it."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langgraph.errors import GraphBubbleUp

from langchain_agentcost import CostMeter
from langchain_agentcost.errors.limits import BreakerTripped, BudgetExceeded, LimitReached, LimitUnavailable
from langchain_agentcost.meter.ambient import meter_costs
from tests.meter.halting.graph_doors import SHAPES
from tests.meter.halting.world import PRICES, World, allowing, fake_model, store_of, world

ASKED: Any = {"messages": [HumanMessage("Hi")]}

EVENTS = [name for name in dir(BaseCallbackHandler) if name.startswith("on_")]


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_sync(event: str) -> None:
    """LangChain swallows what an async handler raises inside a sync call, whatever its `raise_error` says."""
    assert not inspect.iscoroutinefunction(getattr(CostMeter, event))


def test_the_meter_is_a_handler_that_may_raise() -> None:
    """`raise_error` lets its exceptions out, and `run_inline` has them raised before the call and not beside it."""
    assert not issubclass(CostMeter, AsyncCallbackHandler)
    assert (CostMeter.raise_error, CostMeter.run_inline) == (True, True)


@pytest.mark.parametrize("error", [LimitReached, *LimitReached.__subclasses__()])
def test_every_limit_bubbles_up(error: type[LimitReached]) -> None:
    """The one base class that LangGraph and the agent middleware neither retry, nor handle, nor hand to the model."""
    assert issubclass(error, GraphBubbleUp)
    assert issubclass(error, Exception)
    assert {BudgetExceeded, BreakerTripped, LimitUnavailable} == {*LimitReached.__subclasses__()}


class _Quiet(CostMeter):
    raise_error = False


class _Aside(CostMeter):
    run_inline = False


def _hits_of(kind: type[CostMeter], call: Any) -> int:
    """How often a provider is hit at cap 0 with such a meter."""
    with world() as w, kind(prices=PRICES, budgets=[allowing(0)]) as meter:
        with suppress(LimitReached):
            call(World(meter, w.provider, w.model))
        return w.hits


def test_without_raise_error_calls_are_made() -> None:
    """The matrix would see it: this is what `raise_error` is for."""
    assert _hits_of(_Quiet, lambda w: w.model.invoke("Hi", w.config)) == 1
    assert _hits_of(CostMeter, lambda w: w.model.invoke("Hi", w.config)) == 0


def test_without_run_inline_the_task_is_not_known() -> None:
    """A handler on a thread of its own sees no task: what a cancelled call reserved would stay reserved."""

    async def cancelled(meter: CostMeter) -> int:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fake_model(latency_s=5).ainvoke("Hi", {"callbacks": [meter]}), 0.05)
        await asyncio.sleep(0.01)
        [account] = store_of(meter).accounts()
        return account.reserved

    left = []
    for kind in (CostMeter, _Aside):
        with kind(prices=PRICES, budgets=[allowing(5)]) as meter:
            left.append(asyncio.run(cancelled(meter)))
    assert left == [0, 1]


def test_a_limit_that_is_no_bubble_would_be_handled() -> None:
    """An ordinary exception in its place is retried and handed to an error handler: the case the class is made for."""

    class Ordinary(CostMeter):
        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            try:
                super().on_chat_model_start(*args, **kwargs)
            except BudgetExceeded as error:
                started.append(1)
                raise ConnectionError(str(error)) from None

    started: list[int] = []
    with world() as w, Ordinary(prices=PRICES, budgets=[allowing(0)]) as meter:
        within = World(meter, w.provider, w.model)
        with pytest.raises(AssertionError, match="handed to the error handler"):
            SHAPES["node error_handler"].compiled(within, is_async=False).invoke(ASKED, within.config)
        with pytest.raises(ConnectionError):
            SHAPES["node RetryPolicy"].compiled(within, is_async=False).invoke(ASKED, within.config)
    assert len(started) == 1 + 3


@pytest.mark.parametrize("is_async", [False, True])
def test_a_meter_of_the_surroundings_holds_too(is_async: bool) -> None:
    """A call that is passed no callbacks, or others, is held to the limits of `meter_costs`."""

    def call() -> None:
        asyncio.run(w.model.ainvoke("Hi")) if is_async else w.model.invoke("Hi")

    with world(allowing(1, per="model")) as w, meter_costs(w.meter):
        call()
        with pytest.raises(BudgetExceeded):
            call()
        assert w.hits == 1
