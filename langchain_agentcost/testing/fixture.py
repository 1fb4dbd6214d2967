"""A pytest fixture: a meter whose ledger is in memory.

Import it where your tests can see it, and pass its callbacks to what you test:

    # conftest.py
    from langchain_agentcost.testing.fixture import agentcost_meter  # noqa: F401

    # test_desk.py
    def test_a_ticket_costs_less_than_a_cent(agentcost_meter):
        graph.invoke(ticket, config={"callbacks": agentcost_meter.callbacks})
        assert agentcost_meter.report(by="workflow").total.cost.usd < Decimal("0.01")
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langchain_agentcost.meter import CostMeter


@pytest.fixture
def agentcost_meter() -> Iterator[CostMeter]:
    """Give a meter of the test's own, and close it afterwards."""
    with CostMeter("memory://") as meter:
        yield meter
