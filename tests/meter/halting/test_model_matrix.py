"""A budget holds whichever way a model is called: the provider's own counter says so."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_agentcost.errors.limits import BudgetExceeded
from tests.meter.halting.model_doors import AT_ONCE, CALLS, DOORS, Door
from tests.meter.halting.world import UNITS, Unit, allowing, world

pytestmark = pytest.mark.filterwarnings(
    "ignore:The .* is in beta", "ignore:The .* is experimental", "ignore:coroutine 'ahandle_event' was never awaited"
)

EVERY = {**DOORS, **AT_ONCE}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("cap", [0, 2])
@pytest.mark.parametrize("door", EVERY.values(), ids=EVERY)
def test_the_provider_is_hit_as_often_as_the_cap_allows(door: Door, cap: int, unit: Unit) -> None:
    """Not once more, through whichever door, and what is spent is what was called."""
    with world(allowing(cap, unit)) as w:
        with pytest.raises(BudgetExceeded):
            door(w)
        assert w.hits == cap
        assert [e.status for e in w.meter.ledger.entries()] == ["ok"] * cap
        assert (w.account.reserved, w.account.headroom) == (0, 0)


@pytest.mark.parametrize("door", EVERY.values(), ids=EVERY)
def test_what_fits_is_not_hindered(door: Door) -> None:
    """A cap of exactly the worst case of four calls lets four be made."""
    with world(allowing(CALLS, "usd")) as w:
        door(w)
        assert w.hits == CALLS
        assert (w.account.reserved, w.account.headroom) == (0, 0)


@pytest.mark.parametrize("door", AT_ONCE.values(), ids=AT_ONCE)
def test_calls_at_once_lose_paid_siblings_outside_a_graph(door: Door) -> None:
    """Batch and RunnableParallel raise and hand nothing over: starting again pays all four again."""
    with world(allowing(2)) as w:
        with pytest.raises(BudgetExceeded):
            door(w)
        w.allow_more(CALLS)
        door(w)
        assert w.hits == 2 + CALLS


def test_a_batch_may_keep_paid_siblings() -> None:
    """With return_exceptions=True the answers that were paid are handed over beside the refusals."""
    with world(allowing(2)) as w:
        answers: list[Any] = w.model.batch(["Hi"] * CALLS, w.config, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["AIMessage"] * 2 + ["BudgetExceeded"] * 2
        assert w.hits == 2
