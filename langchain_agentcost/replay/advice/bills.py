"""What one traffic cost, and what is known of it: the background of every finding about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from langchain_agentcost.replay.advice.exponent import Growth
from langchain_agentcost.replay.advice.seen import Basis, SeenRun, Unit
from langchain_agentcost.replay.advice.traffic import Traffic


@dataclass(slots=True)
class Bill:
    """The bill of one traffic.

    Args:
        traffic: Whose it is.
        unit: What its amounts are in.
        runs: How many runs.
        calls: How many model calls.
        tasks: The tasks.
        amount: What they cost.
        input_tokens: What they sent.
        output_tokens: What they answered.
        judged: Runs of which it is known whether they succeeded.
        successes: Those that did.
        bases: How many calls' amounts rest on what.
        growth: How input grows with calls.
    """

    traffic: Traffic
    unit: Unit
    runs: int = 0
    calls: int = 0
    tasks: set[str] = field(default_factory=set)
    amount: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    judged: int = 0
    successes: int = 0
    bases: Counter[Basis] = field(default_factory=Counter)
    growth: Growth = field(default_factory=Growth)

    def add(self, run: SeenRun) -> None:
        """Add a run."""
        self.runs += 1
        self.calls += len(run.calls)
        self.tasks.add(run.task)
        self.amount += run.amount
        self.input_tokens += run.input_tokens
        self.output_tokens += sum(call.output_tokens for call in run.calls)
        self.judged += run.success is not None
        self.successes += bool(run.success)
        self.bases.update(call.basis for call in run.calls)
        self.growth.add(run.task, len(run.calls), run.input_tokens)

    @property
    def basis(self) -> str:
        """What the bill rests on, for people."""
        return " and ".join(basis.value for basis in Basis if self.bases[basis])
