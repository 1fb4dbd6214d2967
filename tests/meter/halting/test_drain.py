"""A drain lets the call in hand be made, stops before the next superstep, and can be resumed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.errors import GraphDrained

from langchain_agentcost.errors.limits import BreakerTripped, BudgetExceeded
from langchain_agentcost.limits.breakers import CircuitBreaker
from tests.meter.halting.graph_doors import ASYNC, SHAPES, SYNC
from tests.meter.halting.world import allowing, fake_model, world

ASKED: Any = {"messages": [HumanMessage("Hi")]}
DRIVES = {**SYNC, **ASYNC}

pytestmark = pytest.mark.filterwarnings("ignore:The .* is in beta", "ignore:The .* is experimental")


@pytest.mark.parametrize("drive", DRIVES)
def test_the_next_superstep_is_not_made(drive: str) -> None:
    """The call that uses the limit up is the last one; `invoke(None, …)` goes on after a raise."""
    with world(allowing(2, on_limit="drain")) as w:
        app = SHAPES["loop"].compiled(w, is_async=drive in ASYNC)
        with pytest.raises(GraphDrained, match="100% of the session budget is used"):
            DRIVES[drive](app, ASKED, w.config)
        assert (w.hits, app.get_state(w.config).next) == (2, ("work",))
        w.allow_more(3)
        DRIVES[drive](app, None, w.config)
        assert (w.hits, app.get_state(w.config).next) == (4, ())


@pytest.mark.parametrize("drive", ["invoke", "ainvoke"])
def test_a_call_without_room_is_still_made(drive: str) -> None:
    """It is in hand: a soft limit of 0 lets one superstep pass each time, and says so in the account."""
    with world(allowing(0, "usd", on_limit="drain")) as w:
        app = SHAPES["loop"].compiled(w, is_async=drive in ASYNC)
        with pytest.raises(GraphDrained):
            DRIVES[drive](app, ASKED, w.config)
        assert w.hits == 1
        with pytest.raises(GraphDrained):
            DRIVES[drive](app, None, w.config)
        assert w.hits == 2
        assert (w.account.reserved, w.account.headroom) == (0, -w.account.spent)


@pytest.mark.parametrize("shape", ["model in a tool", "sub-agent in a tool", "subgraph", "branches"])
@pytest.mark.parametrize("drive", ["invoke", "ainvoke"])
def test_wherever_the_call_is(shape: str, drive: str) -> None:
    """A drain from inside a tool, a sub-agent or a subgraph reaches the graph around it; nothing is paid twice."""
    with world(allowing(1, on_limit="drain")) as w:
        app = SHAPES[shape].compiled(w, is_async=drive in ASYNC)
        with suppress(GraphDrained):  # siblings that run already are the step in hand, and may be the last one
            DRIVES[drive](app, ASKED, w.config)
        assert w.hits >= 1
        assert w.hits == 1 or shape != "subgraph"
        w.allow_more(10)
        if app.get_state(w.config).next:
            DRIVES[drive](app, None, w.config)
        assert (w.hits, app.get_state(w.config).next) == (4, ())


def test_a_share_of_the_limit_may_drain() -> None:
    """At half of it the run stops at a point from which it can go on."""
    with world(allowing(4, thresholds={0.5: "drain"})) as w:
        app = SHAPES["loop"].compiled(w, is_async=False)
        with pytest.raises(GraphDrained, match="50% of the session budget is used"):
            app.invoke(ASKED, w.config)
        assert w.hits == 2
        app.invoke(None, w.config)
        assert w.hits == 4


def test_a_breaker_may_drain() -> None:
    """The call that shows that a run gets nowhere is made, and no other."""
    breaker = CircuitBreaker(kind="no_progress", warn=None, stop=2, on_trip="drain")
    with world(breaker) as w:
        app = SHAPES["loop"].compiled(w, is_async=False)
        with pytest.raises(GraphDrained):
            app.invoke(ASKED, w.config)
        assert w.hits == 3


def test_outside_a_graph_it_raises() -> None:
    """There is no superstep to stop before."""
    with world(allowing(1, on_limit="drain")) as w:
        w.model.invoke("Hi", w.config)
        with pytest.raises(BudgetExceeded):
            w.model.invoke("Hi", w.config)
        assert w.hits == 1


@pytest.mark.parametrize("action", ["drain", "interrupt"])
def test_a_breaker_outside_a_graph_raises(action: Any) -> None:
    """As the budgets' actions do."""
    breaker = CircuitBreaker(kind="no_progress", warn=None, stop=2, on_trip=action)
    with world(breaker) as w:
        model = fake_model().with_retry(stop_after_attempt=1)

        def five(asked: str) -> None:
            for _ in range(5):
                model.invoke(asked)

        with pytest.raises(BreakerTripped):
            RunnableLambda(five).invoke("Hi", w.config)
