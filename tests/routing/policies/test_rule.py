"""Rules of the user's own."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policies.rule import Rule, RulePolicy
from langchain_agentcost.routing.request import RouteRequest
from tests.routing.policies.offered import offers_of

RULES = (Rule("frontier", r"refund|lawyer"), Rule("mid", lambda request: request.node == "review", why="reviews"))
POLICY = RulePolicy(RULES, inner=FixedPolicy("small"))


def test_the_first_rule_that_holds_wins() -> None:
    """A later rule is not asked."""
    choice = POLICY.choose(RouteRequest.of("I want a REFUND", node="review"), offers_of())
    assert (choice.tier, choice.policy) == ("frontier", "rule")
    assert choice.reasons == ("rule 1 sends it to frontier",)


def test_a_function_sees_the_whole_call() -> None:
    """A rule may go by anything of a call, and say why in words of its own."""
    choice = POLICY.choose(RouteRequest.of("Look at this", node="review"), offers_of())
    assert (choice.tier, choice.reasons) == ("mid", ("reviews",))


def test_an_expression_sees_what_a_person_said_last() -> None:
    """What the model said, or a person before, does not count."""
    messages = [HumanMessage("refund?"), AIMessage("no"), HumanMessage("Thanks."), AIMessage("lawyer")]
    assert POLICY.choose(RouteRequest.of(messages), offers_of()).tier == "small"


def test_what_no_rule_is_for_goes_to_the_inner_policy() -> None:
    """The choice names both."""
    choice = POLICY.choose(RouteRequest.of("Hello"), offers_of())
    assert (choice.tier, choice.policy) == ("small", "rule>fixed:small")


def test_a_rule_whose_tier_cannot_take_the_call_is_passed_by() -> None:
    """The next rule that holds counts, and the reasons tell of the one that was passed by."""
    rules = (Rule("gpt", "refund"), Rule("mid", "refund"))
    choice = RulePolicy(rules, inner=FixedPolicy("small")).choose(RouteRequest.of("refund"), offers_of())
    assert choice.tier == "mid"
    assert choice.reasons[0] == "rule 1 holds, but gpt cannot take the call"
    alone = RulePolicy(rules[:1], inner=FixedPolicy("small")).choose(RouteRequest.of("refund"), offers_of())
    assert (alone.tier, alone.reasons[0]) == ("small", choice.reasons[0])


def test_an_expression_that_cannot_be_read_is_told_at_once() -> None:
    """The error comes where the rule is made."""
    with pytest.raises(RoutingError, match="no regular expression"):
        Rule("mid", "(")
