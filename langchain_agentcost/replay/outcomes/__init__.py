"""Recorded outcomes: what routing whole runs would have cost and achieved, from several models' runs on the same tasks.

No answer is made up here: every cost and every success is that of a run that took place.
"""

from langchain_agentcost.replay.outcomes.comparison import OutcomeRow, compare
from langchain_agentcost.replay.outcomes.pairs import Pair, pairs
from langchain_agentcost.replay.outcomes.policies import (
    Always,
    Cascade,
    Coin,
    Expected,
    MeasuredTier,
    Oracle,
    OutcomePolicy,
    Sticky,
)
from langchain_agentcost.replay.outcomes.records import Outcomes, TaskRecord, TierRecord

__all__ = [
    "Always",
    "Cascade",
    "Coin",
    "Expected",
    "MeasuredTier",
    "Oracle",
    "OutcomePolicy",
    "OutcomeRow",
    "Outcomes",
    "Pair",
    "Sticky",
    "TaskRecord",
    "TierRecord",
    "compare",
    "pairs",
]
