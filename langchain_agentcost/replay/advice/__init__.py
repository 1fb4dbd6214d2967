"""Advice from recorded runs: findings ranked by dollars, each with its evidence, saving, risk and lines of code."""

from langchain_agentcost.replay.advice.advising import FLOOR, Advice, advise, advise_ledger
from langchain_agentcost.replay.advice.finding import Finding, Kept, Manner, Verdict
from langchain_agentcost.replay.advice.findings import KINDS
from langchain_agentcost.replay.advice.saved import Saving
from langchain_agentcost.replay.advice.traffic import Traffic

__all__ = [
    "FLOOR",
    "KINDS",
    "Advice",
    "Finding",
    "Kept",
    "Manner",
    "Saving",
    "Traffic",
    "Verdict",
    "advise",
    "advise_ledger",
]
