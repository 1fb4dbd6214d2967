"""What cuts have really saved: each decision beside the usage that providers reported after it.

Of the calls since a cut, each was shorter by what was evicted, at the price of cached input; the first had to write
again what the cache no longer served. With I the input of a call, R what the cache served of it, and E what was cut,
all in the provider's tokens, the cut of call t made it write again

    I(t-1) - E - R(t)

tokens: without the cut, the cache would have served all of the prompt before. Kept are tokens only; money is made of
them when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

from langchain_agentcost.context.decision import Decision
from langchain_agentcost.context.worth import CacheRates
from langchain_agentcost.errors import ContextError
from langchain_agentcost.money import from_nano
from langchain_agentcost.usage import Usage

RECORDS_KEPT = 50
"""So many decisions are kept one by one; what is older is added up."""

FURTHEST = 4
"""A provider's count that is further off than this factor is one of another prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A decision and what became of it.

    Args:
        step: The call that it was made at.
        epoch: That of its plan.
        action: What was done; "several" where old decisions are added up.
        why: The reason.
        predicted_nano: What it was expected to save, in nano-USD.
        remaining: The calls that were expected.
        fee_nano: What the cut itself cost, such as a summary that was written.
        evicted_tokens: What is sent less since: our count, and from the first answer on the provider's.
        rewritten_tokens: What had to be written to the cache again: as expected, then as it was.
        read_tokens: What was not sent in all calls since, where the cache would have served it.
        cold_tokens: The same of calls after a long pause, which would have written it.
        calls: The calls since.
        unmeasured_calls: Calls of which no usage was reported; no saving is counted for them.
        settled: Whether an answer has come since.
        active: Whether it still holds: a history that was rewritten has another plan.
    """

    step: int
    epoch: int
    action: str
    why: str
    predicted_nano: int = 0
    remaining: float = 0.0
    fee_nano: int = 0
    evicted_tokens: int = 0
    rewritten_tokens: int = 0
    read_tokens: int = 0
    cold_tokens: int = 0
    calls: int = 0
    unmeasured_calls: int = 0
    settled: bool = False
    active: bool = True

    @classmethod
    def of(cls, decision: Decision, *, evicted_tokens: int) -> Self:
        """Make the record of a decision.

        Args:
            decision: The decision.
            evicted_tokens: How much shorter the prompt is by it.
        """
        cut = decision.cut
        return cls(
            step=decision.step,
            epoch=decision.plan.epoch,
            action=decision.action.value,
            why=decision.why,
            predicted_nano=decision.predicted_nano,
            remaining=round(decision.remaining, 1),
            fee_nano=cut.fee_nano if cut else 0,
            evicted_tokens=evicted_tokens,
            rewritten_tokens=cut.rewritten_tokens if cut else 0,
        )

    def realised_nano(self, rates: CacheRates) -> int:
        """Give what it has saved so far, in nano-USD; less than 0 where it has cost."""
        again = max(Decimal(0), rates.write - rates.read)
        saved = self.read_tokens * rates.read + self.cold_tokens * rates.write
        return int(saved - (self.rewritten_tokens * again if self.settled else 0)) - self.fee_nano

    def called(self, *, cold: bool) -> Record:
        """Count a call whose prompt was shorter by it."""
        tokens = {"cold_tokens" if cold else "read_tokens": self.evicted_tokens}
        added = {name: getattr(self, name) + count for name, count in tokens.items()}
        return replace(self, calls=self.calls + 1, settled=True, **added)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call whose answer has not come.

    Args:
        tokens: How long its prompt is, by our count.
        messages: How many messages the history had: the answer stands behind them.
        cold: Whether the provider's cache has lost the prompt before.
    """

    tokens: int
    messages: int
    cold: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """Predicted and realised saving, in USD.

    Args:
        predicted: What all decisions were expected to save.
        realised: What they have saved so far; None where no rates are known.
        decisions: The same, decision by decision: `Record`'s fields, `predicted` and `realised`.
    """

    predicted: Decimal
    realised: Decimal | None
    decisions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The decisions of one thread and what became of them. It is plain data: see `as_dict`.

    Args:
        records: The decisions, the oldest first.
        asked: The call that is under way.
        last_input_tokens: How long the latest prompt was, by the provider's count.

    Example:
        >>> from langchain_agentcost.context.plan import Action, Plan
        >>> rates = CacheRates(read=Decimal(300), write=Decimal(3_750))
        >>> mask = Decision(action=Action.MASK, plan=Plan(1), why="it pays", step=9)
        >>> audit = Audit(last_input_tokens=10_000).decided(mask, evicted_tokens=4_000)
        >>> audit = audit.asking(Asked(7_000, 20, cold=False)).answered(Usage(7_000, cache_read_tokens=5_500))
        >>> audit.report(rates).realised  # 4,000 less at 300 each; 500 written again at 3,450 more
        Decimal('-0.000525000')
    """

    records: tuple[Record, ...] = ()
    asked: Asked | None = None
    last_input_tokens: int | None = None

    def decided(self, decision: Decision, *, evicted_tokens: int) -> Audit:
        """Note a decision that changes something, before its call.

        Args:
            decision: The decision.
            evicted_tokens: How much shorter the prompt is by it, by our count.
        """
        records = (*self.records, Record.of(decision, evicted_tokens=evicted_tokens))
        if len(records) > RECORDS_KEPT:
            records = (_merged(*records[:2]), *records[2:])
        return replace(self, records=records)

    def asking(self, asked: Asked) -> Audit:
        """Note a call that is about to be made."""
        return replace(self, asked=asked)

    def restarted(self) -> Audit:
        """Note that the history was rewritten: no plan holds any more, and no cut saves anything from now on."""
        return Audit(records=tuple(replace(record, active=False, settled=True) for record in self.records))

    def answered(self, usage: Usage | None) -> Audit:
        """Compare the decisions with what the provider reports of the call that was under way.

        Args:
            usage: Its usage; None where nothing was reported.
        """
        asked = self.asked
        if asked is None:
            return self
        if usage is None or not usage.input_tokens:
            missed = tuple(_missed(record) for record in self.records)
            return Audit(records=missed)
        scaled = self._scaled(Fraction(usage.input_tokens, max(1, asked.tokens)))
        settled = self._written_again(scaled, usage, cold=asked.cold)
        records = tuple(record.called(cold=asked.cold) if record.active else record for record in settled)
        return Audit(records=records, last_input_tokens=usage.input_tokens)

    def report(self, rates: CacheRates | None) -> AuditReport:
        """Give predicted and realised saving.

        Args:
            rates: What the tokens cost; None leaves the realised saving out.
        """
        predicted = sum(record.predicted_nano for record in self.records)
        realised = None if rates is None else sum(record.realised_nano(rates) for record in self.records)
        return AuditReport(
            predicted=from_nano(predicted),
            realised=None if realised is None else from_nano(realised),
            decisions=tuple(_row(record, rates) for record in self.records),
        )

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data that JSON can hold."""
        asked = None if self.asked is None else asdict(self.asked)
        records = [asdict(record) for record in self.records]
        return {"records": records, "asked": asked, "last_input_tokens": self.last_input_tokens}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> Self:
        """Read what `as_dict` wrote; None is an audit without decisions.

        Raises:
            ContextError: If it is something else.
        """
        if not data:
            return cls()
        try:
            records = tuple(Record(**record) for record in data["records"])
            asked = None if data["asked"] is None else Asked(**data["asked"])
            last = data["last_input_tokens"]
            return cls(records=records, asked=asked, last_input_tokens=None if last is None else int(last))
        except (KeyError, TypeError, ValueError) as error:
            raise ContextError(
                f"This is no audit of a context: {type(error).__name__}. Delete it from the state."
            ) from error

    def _scaled(self, factor: Fraction) -> list[Record]:
        """The records with what was cut since the latest answer in the provider's tokens."""
        factor = min(max(factor, Fraction(1, FURTHEST)), Fraction(FURTHEST))
        return [
            record if record.settled else replace(record, evicted_tokens=round(record.evicted_tokens * factor))
            for record in self.records
        ]

    def _written_again(self, records: list[Record], usage: Usage, *, cold: bool) -> list[Record]:
        """The records with what was written again because of them: it is booked to the latest of those that are new."""
        new = [at for at, record in enumerate(records) if not record.settled]
        if not new:
            return records
        evicted = sum(records[at].evicted_tokens for at in new)
        again = records[new[-1]].rewritten_tokens
        if cold:
            again = 0
        elif self.last_input_tokens is not None:
            again = max(0, self.last_input_tokens - evicted - usage.cache_read_tokens)
        for at in new:
            records[at] = replace(records[at], rewritten_tokens=again if at == new[-1] else 0)
        return records


def _missed(record: Record) -> Record:
    return replace(record, unmeasured_calls=record.unmeasured_calls + 1) if record.active else record


def _row(record: Record, rates: CacheRates | None) -> dict[str, Any]:
    realised = None if rates is None else from_nano(record.realised_nano(rates))
    return {**asdict(record), "predicted": from_nano(record.predicted_nano), "realised": realised}


_SUMMED = (
    "predicted_nano",
    "fee_nano",
    "evicted_tokens",
    "rewritten_tokens",
    "read_tokens",
    "cold_tokens",
    "unmeasured_calls",
)


def _merged(older: Record, newer: Record) -> Record:
    """Two decisions added up."""
    summed = {name: getattr(older, name) + getattr(newer, name) for name in _SUMMED}
    if newer.active and not older.active:  # what no longer holds goes on saving nothing
        summed["evicted_tokens"] = newer.evicted_tokens
    return replace(newer, action="several", why="older decisions", calls=max(older.calls, newer.calls), **summed)
