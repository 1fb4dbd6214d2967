"""What cuts have saved, against runs whose usage is known to the token."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.context.audit import RECORDS_KEPT, Asked, Audit
from langchain_agentcost.context.decision import Decision, EvictionPolicy
from langchain_agentcost.context.horizon import StepBudget
from langchain_agentcost.context.plan import Action, Plan
from langchain_agentcost.context.projecting_model import ModelFacts
from langchain_agentcost.context.projector import ContextProjector
from langchain_agentcost.context.worth import CacheRates, Cut
from langchain_agentcost.errors import ContextError
from langchain_agentcost.usage import Usage

RATES = CacheRates(read=Decimal(300), write=Decimal(3_750))
FACTS = ModelFacts(rates=RATES, ttl_s=300)
STEPS = 40


def decision(*, step: int = 1, predicted_nano: int = 0, fee_nano: int = 0) -> Decision:
    """A decision to mask."""
    cut = Cut(evicted_tokens=100, rewritten_tokens=50, kept_tokens=0, growth_tokens=0, fee_nano=fee_nano)
    return Decision(
        action=Action.MASK, plan=Plan(step), why="it pays", step=step, predicted_nano=predicted_nano, cut=cut
    )


class Provider:
    """A prompt cache that serves the longest beginning that it was sent before, and bills to the token."""

    def __init__(self) -> None:
        self.billed = Decimal(0)
        self._before: list[BaseMessage] = []

    def answer(self, prompt: list[BaseMessage], *, cold: bool = False) -> Usage:
        """Bill a prompt."""
        same = 0
        while same < min(len(self._before), len(prompt)) and self._before[same] == prompt[same]:
            same += 1
        read = 0 if cold else sum(FACTS.size(one) for one in prompt[:same])
        whole = sum(FACTS.size(one) for one in prompt)
        self._before = prompt
        self.billed += read * RATES.read + (whole - read) * RATES.write
        return Usage(whole, 1, cache_read_tokens=read, cache_write_tokens=whole - read)


def turn(number: int, usage: Usage) -> list[BaseMessage]:
    """A call, with its usage, and its result."""
    counted = {
        "input_tokens": usage.input_tokens,
        "output_tokens": 1,
        "total_tokens": usage.input_tokens + 1,
        "input_token_details": {"cache_read": usage.cache_read_tokens, "cache_creation": usage.cache_write_tokens},
    }
    call = {"name": "count", "args": {"bay": number}, "id": f"c{number}"}
    result = " ".join(f"crate {number}-{at} stands here" for at in range(120))
    asked = AIMessage("", tool_calls=[call], usage_metadata=counted)
    return [asked, ToolMessage(result, tool_call_id=f"c{number}")]


@pytest.mark.parametrize("pause_at", [None, 30])
def test_the_realised_saving_is_what_the_run_would_have_cost_more(pause_at: int | None) -> None:
    """Against the same run without cuts it is exact, to the nano-dollar, also where the cache was lost in between."""
    now = [0.0]
    projector = ContextProjector(FACTS, policy=EvictionPolicy(keep=2), horizon=StepBudget(STEPS), clock=lambda: now[0])
    cut, whole = Provider(), Provider()
    history: list[BaseMessage] = [HumanMessage("Count all crates.")]
    stored = None
    for step in range(STEPS):
        cold = step == pause_at
        now[0] += 1_000 if cold else 10
        made = projector.project(history, stored)
        stored = json.loads(json.dumps(made.stored))
        whole.answer(history, cold=cold)
        history = [*history, *turn(step, cut.answer(made.messages, cold=cold))]
    report = projector.report(stored, history)
    assert len(report.decisions) >= 1
    assert report.realised == (whole.billed - cut.billed) / 10**9
    assert report.realised is not None
    assert report.realised > 0
    if pause_at is None:
        assert report.predicted == report.realised


def test_a_run_that_ends_early_has_saved_less_than_was_predicted() -> None:
    """The realised saving counts the calls that were made, not those that were expected."""
    predicted = 100 * 300 * 10 - 50 * 3_450
    audit = Audit(last_input_tokens=1_000).decided(decision(predicted_nano=predicted), evicted_tokens=100)
    for calls in range(1, 11):
        read = 850 if calls == 1 else 900
        audit = audit.asking(Asked(950, calls, cold=False)).answered(Usage(950, cache_read_tokens=read))
        realised = audit.report(RATES).realised
        assert realised == Decimal(100 * 300 * calls - 50 * 3_450) / 10**9
    assert audit.report(RATES).realised == audit.report(RATES).predicted


def test_it_counts_in_the_providers_tokens() -> None:
    """A provider that counts twice as many tokens as this package was spared twice as many."""
    audit = Audit().decided(decision(), evicted_tokens=100).asking(Asked(1_000, 1, cold=False))
    [record] = audit.answered(Usage(2_000)).records
    assert record.evicted_tokens == record.read_tokens == 200


def test_a_fee_is_paid_before_anything_is_saved() -> None:
    """A cut whose call was not made yet has cost its summary and saved nothing."""
    audit = Audit().decided(decision(fee_nano=7_000), evicted_tokens=100)
    assert audit.report(RATES).realised == Decimal(-7_000) / 10**9


def test_a_call_without_usage_saves_nothing_that_is_known() -> None:
    """It is counted as not measured, and the next with usage goes on."""
    audit = Audit(last_input_tokens=1_000).decided(decision(), evicted_tokens=100)
    audit = audit.asking(Asked(900, 1, cold=False)).answered(None)
    [record] = audit.records
    assert (record.calls, record.unmeasured_calls, record.settled) == (0, 1, False)
    [record] = audit.asking(Asked(900, 2, cold=False)).answered(Usage(900, cache_read_tokens=900)).records
    assert (record.calls, record.rewritten_tokens) == (1, 50)  # as the planner expected: nobody saw it


def test_after_a_pause_nothing_is_written_because_of_the_cut() -> None:
    """The cache was lost anyway, and what was cut would have been written too."""
    audit = Audit(last_input_tokens=1_000).decided(decision(), evicted_tokens=100)
    [record] = audit.asking(Asked(900, 1, cold=True)).answered(Usage(900)).records
    assert (record.rewritten_tokens, record.cold_tokens, record.read_tokens) == (0, 100, 0)


def test_a_history_that_was_rewritten_saves_no_more() -> None:
    """Its plan holds no longer, so calls after that count for nothing."""
    audit = Audit().decided(decision(), evicted_tokens=100).restarted()
    [record] = audit.asking(Asked(900, 1, cold=False)).answered(Usage(900)).records
    assert (record.calls, record.read_tokens) == (0, 0)


def test_old_decisions_are_added_up() -> None:
    """The list is bounded, and its sums are those of all decisions."""
    audit = Audit()
    for step in range(RECORDS_KEPT + 30):
        audit = audit.decided(decision(step=step, predicted_nano=10), evicted_tokens=100)
        audit = audit.asking(Asked(900, step, cold=False)).answered(Usage(900, cache_read_tokens=900))
    assert len(audit.records) == RECORDS_KEPT
    assert audit.records[0].action == "several"
    assert sum(record.predicted_nano for record in audit.records) == 10 * (RECORDS_KEPT + 30)
    many = RECORDS_KEPT + 30
    assert sum(record.read_tokens for record in audit.records) == 100 * many * (many + 1) // 2


def test_it_is_plain_data() -> None:
    """What JSON has read back is the same audit; anything else is refused in words."""
    audit = Audit().decided(decision(), evicted_tokens=100).asking(Asked(900, 1, cold=False))
    assert Audit.from_dict(json.loads(json.dumps(audit.as_dict()))) == audit
    assert Audit.from_dict(None) == Audit()
    with pytest.raises(ContextError, match="no audit"):
        Audit.from_dict({"records": [{"step": 1}]})


def test_without_rates_there_is_no_money() -> None:
    """What is unknown is None."""
    audit = Audit().decided(decision(predicted_nano=5), evicted_tokens=100)
    assert audit.report(None).realised is None
    assert replace(audit, records=()).report(RATES).realised == 0
