"""Replay: recorded runs through strategies, and what would really have been saved with provider prompt caching on."""

from langchain_agentcost.replay.episode import Call, Episode, Recorded
from langchain_agentcost.replay.replaying import replay
from langchain_agentcost.replay.result import Result, Row
from langchain_agentcost.replay.strategies import STRATEGIES, strategies
from langchain_agentcost.replay.strategy import Fidelity, Session, Strategy
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.replay.traces import Faults, read_traces

__all__ = [
    "STRATEGIES",
    "Call",
    "Episode",
    "Faults",
    "Fidelity",
    "Recorded",
    "Result",
    "Row",
    "Session",
    "Strategy",
    "Tariffs",
    "read_traces",
    "replay",
    "strategies",
]
