"""The routed calls of a ledger, put together by the decision that each was made for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from sys import intern
from typing import NamedTuple

from langchain_agentcost.finops.amounts import Amount, lower_bound
from langchain_agentcost.finops.selection import Key
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.ledger.fold import unpriced
from langchain_agentcost.ledger.query import column_of
from langchain_agentcost.routed import ANSWERING, ROLE, TIER, Routed


class Paid:
    """What calls cost together, while it is added up.

    Attributes:
        nano: The known part, in nano-USD.
        unpriced: How many have no price.
        calls: How many model calls there are.
    """

    __slots__ = ("calls", "nano", "unpriced")

    def __init__(self) -> None:
        self.nano = self.unpriced = self.calls = 0

    @property
    def amount(self) -> Amount:
        """The sum as a report shows it."""
        return lower_bound(self.nano, missing=self.unpriced)

    def take(self, entry: Entry) -> None:
        """Add a call, or a correction of one."""
        self.nano += entry.cost.total_nano if entry.cost is not None else 0
        self.unpriced += unpriced(entry)
        self.calls += entry.kind == "llm"

    def add(self, other: Paid) -> None:
        """Add another sum."""
        self.nano += other.nano
        self.unpriced += other.unpriced
        self.calls += other.calls


class Told(NamedTuple):
    """What a report needs of what the router told of a decision.

    Args:
        tier: The tier that was asked first.
        baseline: The strongest tier.
        baseline_nano: What the call was expected to cost if all of its thread had gone there; None where not known.
        expected_nano: What it was expected to cost there as its prompt cache was; None where not known.
        calibration: Which calibration held; None for none.
    """

    tier: str
    baseline: str
    baseline_nano: int | None
    expected_nano: int | None
    calibration: str | None

    @classmethod
    def of(cls, routed: Routed) -> Told:
        """Take it from what was told; names recur, and are kept once."""
        calibration = None if routed.calibration is None else intern(routed.calibration)
        there = routed.expected_nano.get(routed.baseline)
        return cls(intern(routed.tier), intern(routed.baseline), routed.baseline_nano, there, calibration)


class Decided:
    """A decision, and the calls that were made for it.

    Attributes:
        run: The workflow run of its first call; the decision's id where that states none. Outside a graph or chain the
            others are runs of their own.
        told: What the router told; None where it is a call of which no decision was booked.
        answered: Whether a call that answers ended well.
        escalated: Whether another tier was asked in place of a draft.
        paid: What all of its calls cost, those for comparison included.
        answer: What its only answer cost; None where it made a draft.
        answer_tiers: The tiers that were asked for that answer: several, where one of them failed.
        node: The graph's node that it was made in; None outside LangGraph.
        heard: The tiers that gave an answer to it, drafts and shadows included.
        draft: What its draft cost; None where there is none.
        draft_key: Where the draft stands in the report's table: its tier and the other labels.
    """

    __slots__ = (
        "answer", "answer_tiers", "answered", "draft", "draft_key", "escalated", "heard", "node", "paid", "run", "told"
    )  # fmt: skip

    def __init__(self, run: str, node: str | None = None) -> None:
        self.run, self.node = run, node
        self.heard: tuple[str, ...] = ()
        self.told: Told | None = None
        self.answered = self.escalated = False
        self.paid = Paid()
        self.answer: Paid | None = None
        self.answer_tiers: tuple[str, ...] = ()
        self.draft: Paid | None = None
        self.draft_key: Key = ()

    def take(self, entry: Entry, role: object, names: Sequence[str]) -> None:
        """Take a call, a correction of one, or the decision's own entry."""
        if entry.kind == "decision":
            self.told = self.told or (Told.of(entry.routed) if entry.routed is not None else None)
            return
        self.paid.take(entry)
        self.answered |= entry.kind == "llm" and entry.status == "ok" and role in ANSWERING
        self.escalated |= role == "escalation"
        tier = column_of(entry, f"tag:{TIER}")
        if entry.kind == "llm" and entry.status == "ok" and role != "judge":
            self.heard = (*self.heard, intern(str(tier)))
        if role == "draft":
            self.draft = self.draft or Paid()
            self.draft.take(entry)
            self.draft_key = (tier, *(column_of(entry, name) for name in names))
        elif role == "answer":
            self.answer = self.answer or Paid()
            self.answer.take(entry)
            if tier not in self.answer_tiers:
                self.answer_tiers = (*self.answer_tiers, intern(str(tier)))


class RoutingTally:
    """Decisions, and what was paid for them.

    Args:
        entries: All routed calls, corrections and decisions.
        names: The dimensions that the report is grouped by, beside the tier.

    Attributes:
        roles: What was paid, by what calls were for.
    """

    def __init__(self, entries: Iterable[Entry], names: Sequence[str] = ()) -> None:
        self.roles: dict[str, Paid] = {}
        self._decided: dict[str, Decided] = {}
        for entry in entries:
            self._take(entry, names)

    @property
    def every(self) -> Iterable[Decided]:
        """All that calls name, also where no decision was booked: LangChain's cache answered, or it was cut off."""
        return self._decided.values()

    @property
    def decisions(self) -> Iterator[tuple[Told, Decided]]:
        """Those that were booked."""
        return ((made.told, made) for made in self._decided.values() if made.told is not None)

    @property
    def chosen(self) -> Counter[str]:
        """How often each tier was chosen."""
        return Counter(told.tier for told, _ in self.decisions)

    def paid_for(self, *roles: str) -> Paid:
        """Give what was paid for calls of these roles."""
        whole = Paid()
        for role in roles:
            whole.add(self.roles.get(role) or Paid())
        return whole

    def _take(self, entry: Entry, names: Sequence[str]) -> None:
        id_, role = entry.decision or entry.id, str(column_of(entry, f"tag:{ROLE}"))
        made = self._decided.get(id_)
        if made is None:
            made = self._decided[id_] = Decided(entry.attribution.run or id_, entry.attribution.node)
        made.take(entry, role, names)
        if entry.kind != "decision":
            self.roles.setdefault(role, Paid()).take(entry)
