"""Caps for answers, fitted from what the ledger has seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil

from langchain_agentcost.context.output.bound import WHOLE, upper_bound
from langchain_agentcost.context.output.fitted import Cap, Fitted
from langchain_agentcost.ledger.base import Ledger
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.ledger.query import ask, column_of
from langchain_agentcost.quality import QualityFloor

LEAST_CAP = 16
"""OpenAI's Responses API refuses a lower one."""

SAME_LONGEST = 3
"""So many answers of exactly the longest length look like answers that a cap has cut, unless they are short."""

SHORT_TOKENS = 64
"""Below this length answers are alike by themselves: "yes", a label, a small JSON object."""

CUT_ERRORS = frozenset({"LengthFinishReasonError"})
"""What clients raise in place of an answer that was cut: OpenAI's, where an answer is parsed."""

Group = tuple[str | int | None, str | None]


def fit_max_tokens(
    ledger: Ledger,
    *,
    by: str = "node",
    floor: QualityFloor = WHOLE,
    headroom: float = 2.0,
    min_calls: int = 0,
    since: datetime | None = None,
    applied: Fitted | None = None,
) -> Fitted:
    """Fit a cap of the answer for each node and model, from the lengths that the ledger has.

    The bound is `upper_bound`'s. Reasoning counts, as every provider's cap covers it. Only answers that came whole and
    that the provider counted itself are looked at: no estimates, no failed or abandoned calls.

    The ledger does not know which answers were cut. Taken for cut are those as long as a cap that was `applied` before,
    those whose client raised because of it, and, where neither is known, all answers of the longest length where there
    are several of exactly that, and it is not short. Cut answers count as longer than any other, so refitting never
    tightens a cap because of what the cap itself did. A cap in force that is not told and cut fewer than that is not
    noticed.

    Args:
        ledger: Where calls are kept.
        by: What to group by, beside the model: a dimension of `Attribution`, or `tag:NAME`.
        floor: The share of answers that must stay whole, and how sure one must be. It decides how many calls it takes.
        headroom: What the bound is multiplied by, at least 1.
        min_calls: How many calls a group must have, where that is more than the floor asks for.
        since: Only calls from this instant on; it must have a time zone. A changed prompt makes other answers.
        applied: The caps that were in force meanwhile.

    Returns:
        The caps, to be reviewed; a group that has none says why, and how many calls are missing.

    Raises:
        QueryError: If `by` is no dimension or `since` has no time zone.
        ValueError: If the headroom is below 1, or the floor is 1, which no number of calls proves.

    Example:
        >>> from langchain_agentcost.ledger.memory import MemoryLedger
        >>> fit_max_tokens(MemoryLedger()).caps
        ()
    """
    if not 1 <= headroom < float("inf"):
        raise ValueError(f"headroom is at least 1, not {headroom!r}: a lower one cuts answers that were whole.")
    needed = max(min_calls, floor.needed())
    ask((by,))
    groups: dict[Group, _Lengths] = {}
    for entry in ledger.entries({"kind": "llm"}, since):
        key = (column_of(entry, by), entry.name or entry.attribution.model)
        groups.setdefault(key, _Lengths(applied.max_tokens(*key) if applied else None)).see(entry)
    fitted = [lengths.fit(key, floor, headroom, needed) for key, lengths in groups.items() if lengths.calls]
    fitted.sort(key=lambda cap: (-cap.calls, str(cap.place), str(cap.model)))
    return Fitted(by, floor, headroom, tuple(fitted))


@dataclass(slots=True)
class _Lengths:
    """The answers of a group: how many had which length, and how many were cut by a cap that is known."""

    applied: int | None
    whole: Counter[int] = field(default_factory=Counter)
    cut: int = 0

    @property
    def calls(self) -> int:
        return self.cut + self.whole.total()

    def see(self, entry: Entry) -> None:
        """Count an answer."""
        usage = entry.usage
        if usage is None or usage.estimated or not usage.output_tokens:
            return
        if entry.error_type in CUT_ERRORS or (entry.status == "ok" and usage.output_tokens == self.applied):
            self.cut += 1
        elif entry.status == "ok":
            self.whole[usage.output_tokens] += 1

    def fit(self, of: Group, floor: QualityFloor, headroom: float, needed: int) -> Cap:
        """Give the cap, or why there is none."""
        longest = max(self.whole, default=0)
        lengths, cut = self._parted(longest)
        cap = Cap(*of, self.calls, cut, longest)
        missing = max(0, needed - self.calls)
        if missing:
            reason = f"{missing} more calls are needed: {self.calls} of {needed}"
            return replace(cap, missing_calls=missing, reason=reason)
        bound = upper_bound(lengths, floor, cut=cut)
        if bound is None:
            reason = f"{cut} answers were cut, or look like it: how long they would have been is not known"
            return replace(cap, reason=reason)
        return replace(cap, bound_tokens=bound, max_tokens=max(LEAST_CAP, ceil(bound * headroom)))

    def _parted(self, longest: int) -> tuple[Counter[int], int]:
        """The whole answers, and how many were cut; those that only look like it among them."""
        alike = self.whole[longest]
        if self.applied is not None or longest < SHORT_TOKENS or alike < SAME_LONGEST:
            return self.whole, self.cut
        lengths = Counter(self.whole)
        del lengths[longest]
        return lengths, self.cut + alike
