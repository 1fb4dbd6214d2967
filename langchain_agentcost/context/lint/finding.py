"""A finding: what in a prompt's fixed part costs more than it has to, how much, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from langchain_agentcost.context.lint.measure import Dollars
from langchain_agentcost.money import from_nano


class Change(StrEnum):
    """What acting on a finding does to what the model reads.

    Attributes:
        SAME: It reads the same information.
        WORDING: It reads other words: to be proven harmless on your own examples, by `accept`.
        DESIGN: It has something that it had not, or lacks something that it had.
    """

    SAME = "same information"
    WORDING = "wording"
    DESIGN = "design"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding.

    Args:
        kind: What kind it is.
        title: The same as a sentence.
        tokens: How many tokens a call could do without, or has to pay anew.
        dollars: What that costs in 1,000 calls.
        cached: Whether the cached price is the one that holds now.
        change: What acting on it does.
        evidence: What it rests on, as sentences.
        fix: What to do.
    """

    kind: str
    title: str
    tokens: int
    dollars: Dollars
    cached: bool
    change: Change
    evidence: tuple[str, ...]
    fix: str

    @property
    def nano(self) -> int | None:
        """What it costs now in 1,000 calls, in nano-USD; None where no price is known."""
        return self.dollars.cached if self.cached else self.dollars.uncached

    @property
    def usd(self) -> Decimal | None:
        """The same in USD."""
        return None if self.nano is None else from_nano(self.nano)

    def to_dict(self) -> dict[str, object]:
        """Give it for JSON, money as text."""
        return {
            "kind": self.kind,
            "title": self.title,
            "tokens": self.tokens,
            "usd_per_1000_calls": shown(self.nano),
            "usd_per_1000_calls_cached": shown(self.dollars.cached),
            "usd_per_1000_calls_uncached": shown(self.dollars.uncached),
            "change": self.change.value,
            "evidence": list(self.evidence),
            "fix": self.fix,
        }


def shown(nano: int | None) -> str | None:
    """Write an amount exactly, for programs; None stays None.

    Example:
        >>> shown(1_250_000), shown(None)
        ('0.001250000', None)
    """
    return None if nano is None else f"{from_nano(nano):f}"
