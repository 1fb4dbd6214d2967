"""RouterRunnable: the cheapest tier that is proven good enough, for each call.

`RouterRunnable` stands where a chat model is expected, `RouterMiddleware` in `create_agent`. A policy chooses among the
tiers that can take a call (`policies`), a verifier may check a cheap answer (`verifiers`), and a calibration says how
far a policy may go without losing more quality than is acceptable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_agentcost.lazy import lazy

if TYPE_CHECKING:
    from langchain_agentcost.routing.answer_score import AnswerScore
    from langchain_agentcost.routing.calibrating import calibrate
    from langchain_agentcost.routing.calibration import Calibration
    from langchain_agentcost.routing.cascade_cost import Attempt, Cascade, Refusal, assess, break_even
    from langchain_agentcost.routing.decision import RouteDecision
    from langchain_agentcost.routing.drift import DriftMonitor
    from langchain_agentcost.routing.example import Example
    from langchain_agentcost.routing.examples_file import read_examples
    from langchain_agentcost.routing.examples_from import examples_by_evaluating, examples_from_langsmith
    from langchain_agentcost.routing.grading import JudgedBy, agreement, passing
    from langchain_agentcost.routing.middleware import RouterMiddleware
    from langchain_agentcost.routing.nearest import NearestGain
    from langchain_agentcost.routing.policies.bandit import Bandit, BanditState
    from langchain_agentcost.routing.policies.budget_aware import BudgetAware
    from langchain_agentcost.routing.policies.cascade import Acceptance, CascadePolicy
    from langchain_agentcost.routing.policies.embedding import EmbeddingPolicy
    from langchain_agentcost.routing.policies.fixed import FixedPolicy
    from langchain_agentcost.routing.policies.random import RandomPolicy
    from langchain_agentcost.routing.policies.rule import Rule, RulePolicy
    from langchain_agentcost.routing.policies.step import StepPolicy
    from langchain_agentcost.routing.policies.sticky import Sticky
    from langchain_agentcost.routing.policy import Choice, Offer, Policy
    from langchain_agentcost.routing.records import dominated, ranked, records_from
    from langchain_agentcost.routing.request import RouteRequest
    from langchain_agentcost.routing.risk_gate import ToolRiskGate
    from langchain_agentcost.routing.runnable import RouterRunnable
    from langchain_agentcost.routing.shadow import Shadow
    from langchain_agentcost.routing.text_gain import TextGain
    from langchain_agentcost.routing.tier import Record, Tier
    from langchain_agentcost.routing.verdict import Verdict, Verifier
    from langchain_agentcost.routing.verifiers.acceptance import Labelled, acceptance
    from langchain_agentcost.routing.verifiers.all_of import AllOf
    from langchain_agentcost.routing.verifiers.consistency import SelfConsistency
    from langchain_agentcost.routing.verifiers.judge import Judge
    from langchain_agentcost.routing.verifiers.logprobs import LogprobMargin
    from langchain_agentcost.routing.verifiers.schema import SchemaValid
    from langchain_agentcost.routing.verifiers.tool_calls import ToolCallsValid
    from langchain_agentcost.routing.verifiers.user_test import UserTest

__all__ = [
    "Acceptance",
    "AllOf",
    "AnswerScore",
    "Attempt",
    "Bandit",
    "BanditState",
    "BudgetAware",
    "Calibration",
    "Cascade",
    "CascadePolicy",
    "Choice",
    "DriftMonitor",
    "EmbeddingPolicy",
    "Example",
    "FixedPolicy",
    "Judge",
    "JudgedBy",
    "Labelled",
    "LogprobMargin",
    "NearestGain",
    "Offer",
    "Policy",
    "RandomPolicy",
    "Record",
    "Refusal",
    "RouteDecision",
    "RouteRequest",
    "RouterMiddleware",
    "RouterRunnable",
    "Rule",
    "RulePolicy",
    "SchemaValid",
    "SelfConsistency",
    "Shadow",
    "StepPolicy",
    "Sticky",
    "TextGain",
    "Tier",
    "ToolCallsValid",
    "ToolRiskGate",
    "UserTest",
    "Verdict",
    "Verifier",
    "acceptance",
    "agreement",
    "assess",
    "break_even",
    "calibrate",
    "dominated",
    "examples_by_evaluating",
    "examples_from_langsmith",
    "passing",
    "ranked",
    "read_examples",
    "records_from",
]

_HOMES = {
    "Acceptance": "policies.cascade",
    "AllOf": "verifiers.all_of",
    "AnswerScore": "answer_score",
    "Attempt": "cascade_cost",
    "Bandit": "policies.bandit",
    "BanditState": "policies.bandit",
    "BudgetAware": "policies.budget_aware",
    "Calibration": "calibration",
    "Cascade": "cascade_cost",
    "CascadePolicy": "policies.cascade",
    "Choice": "policy",
    "DriftMonitor": "drift",
    "EmbeddingPolicy": "policies.embedding",
    "Example": "example",
    "FixedPolicy": "policies.fixed",
    "Judge": "verifiers.judge",
    "JudgedBy": "grading",
    "Labelled": "verifiers.acceptance",
    "LogprobMargin": "verifiers.logprobs",
    "NearestGain": "nearest",
    "Offer": "policy",
    "Policy": "policy",
    "RandomPolicy": "policies.random",
    "Record": "tier",
    "Refusal": "cascade_cost",
    "RouteDecision": "decision",
    "RouteRequest": "request",
    "RouterMiddleware": "middleware",
    "RouterRunnable": "runnable",
    "Rule": "policies.rule",
    "RulePolicy": "policies.rule",
    "SchemaValid": "verifiers.schema",
    "SelfConsistency": "verifiers.consistency",
    "Shadow": "shadow",
    "StepPolicy": "policies.step",
    "Sticky": "policies.sticky",
    "TextGain": "text_gain",
    "Tier": "tier",
    "ToolCallsValid": "verifiers.tool_calls",
    "ToolRiskGate": "risk_gate",
    "UserTest": "verifiers.user_test",
    "Verdict": "verdict",
    "Verifier": "verdict",
    "acceptance": "verifiers.acceptance",
    "agreement": "grading",
    "assess": "cascade_cost",
    "break_even": "cascade_cost",
    "calibrate": "calibrating",
    "dominated": "records",
    "examples_by_evaluating": "examples_from",
    "examples_from_langsmith": "examples_from",
    "passing": "grading",
    "ranked": "records",
    "read_examples": "examples_file",
    "records_from": "records",
}


__getattr__, __dir__ = lazy(__name__, _HOMES)
