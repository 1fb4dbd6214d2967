"""What the meter learns of a provider's counting."""

from __future__ import annotations

import pytest

from langchain_agentcost import CostMeter
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from langchain_agentcost.tokens import estimate_text

PROMPT = "A prompt of some length, so that the estimate of it is no small number. " * 20


def test_the_factor_settles_at_the_providers_own_ratio() -> None:
    """A provider that always counts 1.2 times our estimate is learned as 1.2, however many answers there are."""
    model = FakeMeteredChatModel(model="claude-sonnet-4-5", usage="anthropic", counts=_counted)
    meter = CostMeter()
    for _ in range(60):
        model.invoke(PROMPT, {"callbacks": meter.callbacks})
    assert meter.books.counter.factor("claude-sonnet-4-5") == pytest.approx(1.2, rel=0.05)


def _counted(messages: object, answer: object) -> FakeCounts:
    return FakeCounts(round(1.2 * estimate_text(PROMPT)), 10)
