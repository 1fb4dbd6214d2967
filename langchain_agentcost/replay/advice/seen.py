"""What advice looks at of a run: small facts that a trace and a ledger can both give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from langchain_agentcost.prefix import PrefixChange
from langchain_agentcost.replay.advice.traffic import Traffic
from langchain_agentcost.replay.run import Outcome
from langchain_agentcost.replay.tariff import Tariff

AS_IT_WAS = "none"
"""The replay that changes nothing: its bill with prompt caching on is what the others are compared with."""

WARM = "none, warm"
"""The same where the provider's cache has the tools and system message when a run starts."""


class Unit(StrEnum):
    """What amounts are in: nano-USD, or tokens where no price is known."""

    USD = "usd"
    TOKENS = "tokens"


class Basis(StrEnum):
    """What the bill of a call rests on, the best first."""

    RECORDED = "recorded"
    PRICED = "recorded usage at list price"
    SIMULATED = "simulated without prompt caching"
    COUNTED = "in tokens, as no price is known"


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A model call.

    Args:
        input_tokens: What was sent.
        output_tokens: What it answered.
        amount: What it cost, in the unit of its run.
        basis: What that rests on.
        read_tokens: What the provider's prompt cache served; None where that is not known.
    """

    input_tokens: int
    output_tokens: int
    amount: int
    basis: Basis
    read_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Repetition:
    """The same tool call with the same result, again and again in a run.

    Args:
        tool: The tool.
        times: How often.
    """

    tool: str
    times: int


@dataclass(frozen=True, slots=True)
class Volatility:
    """What changes in a run's prompts again and again, in front of what was sent before.

    Args:
        changes: Each change.
        lost_tokens: What the prompt cache would have served besides, but for them.
        saved: What the run would cost less, were that said behind all that stays and the prompt cache hit, beyond what
            the prompt cache alone saves.
        cached: Whether a prompt cache is known to have been at work.
    """

    changes: tuple[PrefixChange, ...] = ()
    lost_tokens: int = 0
    saved: int = 0
    cached: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class SeenRun:
    """A run.

    Args:
        traffic: What it is part of.
        task: What was asked: intervals are over tasks.
        unit: What its amounts are in.
        calls: Its model calls, in order.
        success: Whether it achieved what was asked; None where nobody judged it.
        outcomes: What it would have cost, by strategy; `AS_IT_WAS` is always there. Strategies that could not be
            replayed, as where no text is known, are left out.
        scale: What its bill is over what it would be at the prices it is replayed at: 1 where those were paid.
        tariff: Its prices; None where they are not known.
        parts: The tokens sent, all calls together, by `sums.PARTS`; None where they are not known.
        tools: The tokens of each tool's description, as sent with a call.
        used: The tools that it called.
        repetition: Its longest repetition; None where no breaker sees one.
        volatility: What changes in its prompts again and again; None where prompts or prices are not known.
        surely: Whether it is known what its prompts have in common, and not only how long they are.
    """

    traffic: Traffic
    task: str
    unit: Unit
    calls: tuple[SeenCall, ...]
    success: bool | None
    outcomes: Mapping[str, Outcome]
    scale: Fraction = Fraction(1)
    tariff: Tariff | None = None
    parts: tuple[int, ...] | None = None
    tools: Mapping[str, int] = field(default_factory=dict)
    used: frozenset[str] = frozenset()
    repetition: Repetition | None = None
    volatility: Volatility | None = None
    surely: bool = True

    @property
    def amount(self) -> int:
        """Its bill."""
        return sum(call.amount for call in self.calls)

    @property
    def input_tokens(self) -> int:
        """All that it sent."""
        return sum(call.input_tokens for call in self.calls)

    def billed(self, replayed: int) -> int:
        """Give what an amount of a replay is on its bill."""
        return round(replayed * self.scale)

    def saved(self, strategy: str) -> int:
        """Give what a strategy saves of its bill, with prompt caching on."""
        return self.billed(self.outcomes[AS_IT_WAS].on_nano - self.outcomes[strategy].on_nano)
