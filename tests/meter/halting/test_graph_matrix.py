"""A budget holds however a graph is built and driven; what was paid is kept, and a resume pays what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_agentcost.errors.limits import BudgetExceeded
from tests.meter.halting.graph_doors import ASYNC, SHAPES, SYNC, Drive, Shape
from tests.meter.halting.world import UNITS, World, allowing, world

pytestmark = pytest.mark.filterwarnings(
    "ignore:The .* is in beta", "ignore:The .* is experimental", "ignore:coroutine 'ahandle_event' was never awaited"
)

ASKED: Any = {"messages": [HumanMessage("Hi")]}
DRIVES = {**SYNC, **ASYNC}

CASES = [(shape, drive) for shape in SHAPES for drive in ("invoke", "ainvoke")]
CASES += [("loop", drive) for drive in DRIVES if drive not in ("invoke", "ainvoke")]
CASES += [("Send x 64", "astream messages")]


@pytest.mark.parametrize(("shape", "drive"), CASES)
def test_at_cap_0_the_provider_is_never_hit(shape: str, drive: str) -> None:
    """The graph stops with the budget's own exception, and no node, tool node or handler has made something of it."""
    with world(allowing(0, "usd")) as w:
        app = SHAPES[shape].compiled(w, is_async=drive in ASYNC)
        with pytest.raises(BudgetExceeded):
            DRIVES[drive](app, ASKED, w.config)
        assert w.hits == 0
        assert w.account.reserved == 0


@pytest.mark.parametrize(("shape", "drive"), CASES)
def test_the_provider_is_hit_as_often_as_the_cap_allows(shape: str, drive: str) -> None:
    """Exactly; and a resume after a raise hits it for what is missing only, unless one node had made all the calls."""
    for unit in UNITS if drive == "invoke" else UNITS[:1]:
        with world(allowing(cap := SHAPES[shape].calls // 2, unit)) as w:
            check(w, SHAPES[shape], DRIVES[drive], cap, is_async=drive in ASYNC)


def check(w: World, shape: Shape, drive: Drive, cap: int, *, is_async: bool) -> None:
    """Run into the cap, raise it, resume."""
    app = shape.compiled(w, is_async=is_async)
    with pytest.raises(BudgetExceeded):
        drive(app, ASKED, w.config)
    assert w.hits == cap
    assert (w.account.reserved, w.account.headroom) == (0, 0)
    missing = shape.calls - cap if shape.keeps else shape.calls
    w.allow_more(missing)
    drive(app, None, w.config)
    assert w.hits == cap + missing
    assert (w.account.reserved, w.account.headroom) == (0, 0)
    assert app.get_state(w.config).next == ()
    if shape is SHAPES["Send x 64"]:
        assert sum(isinstance(m, AIMessage) for m in app.get_state(w.config).values["messages"]) == shape.calls
