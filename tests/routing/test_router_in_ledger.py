"""A router, a meter and a report together: what the router decides is what the report says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from langchain_agentcost import CostMeter
from langchain_agentcost.finops import routing_report
from langchain_agentcost.routing.policies.cascade import CascadePolicy
from langchain_agentcost.routing.records import ranked, records_from
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.shadow import Shadow
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.routing.verifiers.pure import Pure
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

PRICES = {"models": [{"model": "little", "input": "1", "output": "4"}, {"model": "big", "input": "10", "output": "40"}]}
LITTLE, BIG = 1_400_000, 14_000_000
"""1,000 tokens in and 100 out, in nano-USD."""


class Even(Pure):
    """Accepts what ends in an even digit."""

    @property
    def name(self) -> str:
        """Its name."""
        return "even"

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Look at the last character."""
        return Verdict(int(answer.text[-1]) % 2 == 0)


def echo(messages: list[BaseMessage]) -> str:
    """Answer with the question."""
    return messages[-1].text


def tier(name: str, model: str) -> Tier:
    """A tier that echoes."""
    return Tier(name, FakeMeteredChatModel(model=model, answers=echo, counts=FakeCounts(1_000, 100)))


TIERS = (tier("small", "little"), tier("large", "big"))


@pytest.fixture
def meter() -> Iterator[CostMeter]:
    """A meter with easy prices."""
    with CostMeter(prices=PRICES) as made:
        yield made


def asked(meter: CostMeter, router: RouterRunnable, *questions: str) -> None:
    """Ask each question in a run of its own, and say whether its answer is right: it is but for those with an x."""
    for question in questions:
        run_id = uuid4()
        router.invoke(question, {"callbacks": meter.callbacks, "run_id": run_id})
        meter.record_outcome("resolved", success="x" not in question, run=run_id)


def test_a_cascade_is_reported_as_it_went(meter: CostMeter) -> None:
    """Two drafts pass, one is escalated: the bill, the tiers and the mixed run are what was done."""
    asked(meter, RouterRunnable(TIERS, policy=CascadePolicy(Even()), meter=meter), "2", "x4", "5")
    made = routing_report(meter.ledger)
    assert (made.decisions, made.escalations.drafts, made.escalations.escalated) == (3, 3, 1)
    assert made.escalations.discarded.nano == LITTLE
    assert made.saving.paid.nano == 3 * LITTLE + BIG
    assert {row.key[0]: row.llm_calls for row in made.rows} == {"small": 3, "large": 1}
    assert made.measurement.mixed == 1
    small, large = records_from(meter.ledger, TIERS)
    assert small.record is not None
    assert (small.record.runs, small.record.solved, small.record.nano, large.record) == (2, 1, 2 * LITTLE, None)
    assert ranked([large, small])[0].name == "small"


def test_shadow_calls_are_paid_for_and_are_no_tiers_share(meter: CostMeter) -> None:
    """What the other tier answers for comparison is spend against the saving."""
    with Shadow(share=1.0) as shadow:
        asked(meter, RouterRunnable(TIERS, policy="fixed:small", meter=meter, shadow=shadow), "2", "4")
    made = routing_report(meter.ledger)
    assert {row.key[0]: row.llm_calls for row in made.rows} == {"small": 2}
    assert made.evaluation.nano == 2 * BIG
    assert made.saving.paid.nano == 2 * (LITTLE + BIG)
    assert made.measurement.mixed == 0
