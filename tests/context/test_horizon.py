"""How many more calls a run is expected to make."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_agentcost.context.horizon import RUNS_KEPT, Horizons, StepBudget, StepHistory
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.testing import FakeMeteredChatModel


def test_a_budget_of_steps_is_used_up() -> None:
    """What is left of it is expected, and never less than the call that is about to be made."""
    assert [StepBudget(3).remaining(step) for step in (1, 3, 9)] == [3, 1, 1]


def test_runs_in_a_ledger_teach_how_long_runs_of_their_workflow_are() -> None:
    """Each run counts by its model calls; runs of another workflow say nothing."""
    model = FakeMeteredChatModel()

    def work(calls: int) -> None:
        for _ in range(calls):
            model.invoke([HumanMessage("Count.")])

    meter, app = CostMeter(), RunnableLambda(work)
    for calls, workflow in ((6, "refunds"), (6, "refunds"), (40, "research")):
        app.invoke(calls, {"callbacks": meter.callbacks, "metadata": {"workflow": workflow}})
    learnt = StepHistory.from_ledger(meter.ledger, workflow="refunds")
    taught = StepHistory([6, 6])
    assert [learnt.remaining(step) for step in range(1, 9)] == [taught.remaining(step) for step in range(1, 9)]
    assert StepHistory.from_ledger(meter.ledger).remaining(10) > learnt.remaining(10)


@given(st.lists(st.integers(1, 500), max_size=40), st.integers(1, 600))
def test_at_least_the_call_that_is_about_to_be_made_is_expected(lengths: list[int], step: int) -> None:
    """And never more than the longest run that is known had left, or than this run has made."""
    remaining = StepHistory(lengths).remaining(step)
    assert 1 <= remaining <= max([step, *(length - step + 1 for length in lengths)])


def test_the_oldest_runs_are_forgotten() -> None:
    """A kind of run that has become shorter is expected to be so."""
    history = StepHistory([500] * RUNS_KEPT)
    for _ in range(RUNS_KEPT):
        history.ended(5)
    assert history.remaining(1) < 6


def test_kinds_of_runs_are_kept_apart() -> None:
    """What one teaches says nothing of another."""
    horizons = Horizons()
    for _ in range(20):
        horizons.of("research").ended(90)
    assert horizons.of("research").remaining(1) > 10 * horizons.of("greeting").remaining(1)
