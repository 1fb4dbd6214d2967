"""Several checks as one: cheapest first, and the first that fails ends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict, Verifier
from langchain_agentcost.routing.verifiers.all_of import AllOf

REQUEST = RouteRequest.of("?")


@dataclass
class Noted:
    """Says what it was told to say, and notes that it was asked."""

    name: str
    verdict: Verdict
    asked: list[str]
    calls: int = field(default=0)

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Say it."""
        self.asked.append(self.name)
        return self.verdict

    async def acheck(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Say it, in async code."""
        self.asked.append(f"async {self.name}")
        return self.verdict


def test_the_first_that_fails_ends_it_and_models_are_asked_last() -> None:
    """A failed form costs no judge, wherever the judge was written, and the reason names the check."""
    asked: list[str] = []
    judge = Noted("judge", Verdict(accepted=True), asked, calls=1)
    votes = Noted("votes", Verdict(accepted=True), asked, calls=3)
    form = Noted("form", Verdict(accepted=False, reasons=("no seat",), score=0.2), asked)
    every = AllOf(votes, judge, form)
    assert every.check(REQUEST, AIMessage("9A"), {}) == Verdict(accepted=False, reasons=("form: no seat",), score=0.2)
    assert asked == ["form"]
    assert every.name == "form + judge + votes"
    assert every.calls == 4


async def test_all_that_pass_are_asked_and_the_lowest_score_counts() -> None:
    """An answer that passes everything keeps every reason, and is as good as its weakest score."""
    asked: list[str] = []
    one = Noted("one", Verdict(accepted=True, reasons=("fits",), score=0.9), asked)
    two = Noted("two", Verdict(accepted=True, reasons=("likely",), score=0.6), asked)
    plain = Noted("plain", Verdict(accepted=True), asked)
    every = AllOf(one, AllOf(two, plain))
    assert isinstance(every, Verifier)
    assert await every.acheck(REQUEST, AIMessage("9A"), {}) == Verdict(
        accepted=True, reasons=("fits", "likely"), score=0.6
    )
    assert asked == ["async one", "async two", "async plain"]
    assert every.check(REQUEST, AIMessage("9A"), {}).score == 0.6


async def test_a_failure_inside_is_named_once() -> None:
    """Checks within checks are told by their own name."""
    bad = Noted("bad", Verdict(accepted=False), [])
    assert AllOf(AllOf(bad)).check(REQUEST, "x", {}).reasons == ("bad: not passed",)
    assert (await AllOf(AllOf(bad)).acheck(REQUEST, "x", {})).reasons == ("bad: not passed",)


def test_no_check_is_no_answer() -> None:
    """Everything would pass nothing: that is a mistake, not a verifier."""
    with pytest.raises(RoutingError, match="a verifier or more"):
        AllOf()
