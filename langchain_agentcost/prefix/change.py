"""A change in the part of a prompt that was sent before, and sums of such changes."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from langchain_agentcost.money import from_nano
from langchain_agentcost.prefix.outline import Section
from langchain_agentcost.prefix.volatile import ADVICE

RECURRING_TIMES = 2
"""From how many times on a change is one that comes again and again, and not an edit or a summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixChange:
    """A prompt that does not go on from the one before: a provider's prompt cache serves it up to the change only.

    Args:
        thread: The conversation.
        call: Which of its calls has the changed prompt, from 1.
        section: The part of the prompt that differs first.
        place: Where in it, such as "tools[3] 'search'" or "system message, line 2".
        kind: What changes there, by the table `prefix.volatile.ADVICE`.
        times: How often this part has changed by now, without a summary or an edit between.
        since_call: The call that had the first of these changes.
        since: When that was; None where it is not known.
        invalidated_tokens: What stands behind the change and was sent before, in tokens: it is billed anew.
        lost_tokens: What the provider's prompt cache would have served beside what it did, had the changing item stood
            behind all that stays the same; None where no prompt cache is known.
        lost_nano: What that cost more, in nano-USD; None where it is not known.
    """

    thread: Hashable
    call: int
    section: Section
    place: str
    kind: str
    times: int
    since_call: int
    since: datetime | None
    invalidated_tokens: int
    lost_tokens: int | None
    lost_nano: int | None

    @property
    def recurring(self) -> bool:
        """Whether it comes again and again: a volatile item, and not one edit or summary."""
        return self.times >= RECURRING_TIMES

    @property
    def usd(self) -> Decimal | None:
        """What it cost in USD; None where that is not known."""
        return None if self.lost_nano is None else from_nano(self.lost_nano)

    @property
    def advice(self) -> str:
        """What ends it."""
        return ADVICE[self.kind]


@dataclass(frozen=True, slots=True)
class PrefixTotals:
    """Sums of changes.

    Args:
        changes: How many there were.
        recurring_changes: How many of them came again and again.
        invalidated_tokens: What stood behind them and was sent before, in tokens.
        lost_tokens: What prompt caches would have served besides, where one is known.
        lost_nano: What that cost more, in nano-USD, where it is known.
        unpriced_changes: Changes of which it is not known.
        first_seen: When the first one was; None where that is not known.
    """

    changes: int = 0
    recurring_changes: int = 0
    invalidated_tokens: int = 0
    lost_tokens: int = 0
    lost_nano: int = 0
    unpriced_changes: int = 0
    first_seen: datetime | None = None

    @property
    def usd(self) -> Decimal:
        """What they cost in USD, those left out of which it is not known."""
        return from_nano(self.lost_nano)

    def plus(self, change: PrefixChange, at: datetime | None) -> PrefixTotals:
        """Add a change.

        Args:
            change: The change.
            at: When it was.
        """
        return PrefixTotals(
            self.changes + 1,
            self.recurring_changes + change.recurring,
            self.invalidated_tokens + change.invalidated_tokens,
            self.lost_tokens + (change.lost_tokens or 0),
            self.lost_nano + (change.lost_nano or 0),
            self.unpriced_changes + (change.lost_nano is None),
            self.first_seen or at,
        )


@dataclass(frozen=True, slots=True)
class PrefixFinding:
    """All changes of one kind in one part of the prompts, over all threads.

    Args:
        first: The first of them.
        totals: Their sums.
    """

    first: PrefixChange
    totals: PrefixTotals
