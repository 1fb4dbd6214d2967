"""What caches saved, what they cost themselves, and what their wrong answers may cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from operator import add
from typing import Any, ClassVar

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import Amount, lower_bound, saved_of, written_count
from langchain_agentcost.finops.base import Note, Report
from langchain_agentcost.finops.requests import COUNTED_UP_TO
from langchain_agentcost.finops.selection import Key, Selection, dimensions
from langchain_agentcost.finops.table import Column
from langchain_agentcost.ledger.base import Ledger, Total, Where
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.ledger.fold import MEASURES, TOKENS, Group, common_measures, rare_measures
from langchain_agentcost.ledger.query import ask, column_of
from langchain_agentcost.saving import CACHE_PURPOSE, LANGCHAIN_CACHE
from langchain_agentcost.usage import Usage

_CACHES_NAMED = 5
_NAME_CHARS = 40


@dataclass(frozen=True, slots=True)
class CacheHits(Total):
    """The hits of one cache, or of all.

    Args:
        spared: What the calls would have consumed that were not made.
        overhead: What the caches' own calls took, embeddings and judges; None for one cache: those calls do not say
            which one they are of.
    """

    spared: Usage = field(default_factory=Usage)
    overhead: Total | None = None

    @property
    def gross(self) -> Amount:
        """What the spared calls would have cost, as far as it is known; "no price" where only tools without one were.

        Example:
            >>> str(CacheHits(cache_hits=2).gross), str(CacheHits(cache_hits=2, unpriced_savings=2).gross)
            ('-', 'unknown')
        """
        saved = saved_of(self)
        nothing_sold = saved.known == "exact" and not saved.nano and not self.spared.total_tokens
        return Amount(None, "no price") if self.cache_hits and nothing_sold else saved

    @property
    def spent(self) -> Amount | None:
        """What the overhead cost."""
        return None if self.overhead is None else _spent(self.overhead)

    @property
    def net(self) -> Amount | None:
        """What was saved less the overhead; not known where the overhead is not."""
        spent, saved = self.spent, saved_of(self)
        if spent is None:
            return None
        if spent.nano is None or spent.known != "exact" or saved.nano is None:
            return Amount(None, "unknown")
        return Amount(saved.nano - spent.nano, saved.known)


def _of_all(value: str) -> Any:
    """Give a value that only the total has."""
    return lambda row, whole: getattr(row, value) if row is whole else None


@dataclass(frozen=True, slots=True, repr=False)
class CacheSavings(Report):
    """A report by cache. Its rows are `CacheHits`, the cache that saved most first; so is the total, with the overhead.

    Wrong answers are not in it: what they cost is for those to say who know, with `expected_loss`.
    """

    MEASURES: ClassVar[tuple[Column, ...]] = (
        Column("hits", "hits", "count", lambda row, _: row.cache_hits),
        Column("spared_input_tokens", "input spared", "count", lambda row, _: row.spared.input_tokens, drop=2),
        Column("spared_output_tokens", "output spared", "count", lambda row, _: row.spared.output_tokens, drop=1),
        Column("gross_usd", "saved", "money", lambda row, _: row.gross),
        Column("overhead_usd", "own cost", "money", _of_all("spent")),
        Column("net_usd", "net", "money", _of_all("net")),
        Column("gross_known", "gross known", "label", lambda row, _: row.gross.known, people=False),
        Column("unpriced_hits", "unpriced hits", "count", lambda row, _: row.unpriced_savings, people=False),
    )

    @property
    def hits(self) -> CacheHits:
        """All hits, and the overhead."""
        assert isinstance(self.total, CacheHits)  # noqa: S101  # for the type checker: `cache_savings` makes it so
        return self.total

    @property
    def gross(self) -> Amount:
        """What all spared calls would have cost."""
        return self.hits.gross

    @property
    def overhead(self) -> Amount:
        """What the caches' own calls cost."""
        return self.hits.spent or Amount(0)

    @property
    def net(self) -> Amount:
        """The one less the other: below 0 where caches cost more than they saved."""
        return self.hits.net or Amount(None, "unknown")

    def expected_loss(self, wrong_upper: float, wrong_answer_cost: Decimal, *, cache: str = "semantic") -> Decimal:
        """Say what the wrong answers of a cache may have cost.

        Args:
            wrong_upper: The upper bound of the share of hits that were wrong, from 0 to 1.
            wrong_answer_cost: What a wrong answer costs you, in USD.
            cache: The cache that can be wrong.

        Returns:
            Its hits x the bound x the cost, in USD.

        Raises:
            ValueError: If the bound is no share.
        """
        if not 0 <= wrong_upper <= 1:
            raise ValueError(f"The share of wrong hits is from 0 to 1, not {wrong_upper!r}.")
        hits = sum(row.cache_hits for row in self.rows if row.key[0] == cache)
        return hits * Decimal(str(wrong_upper)) * wrong_answer_cost

    def net_after_loss(
        self, wrong_upper: float, wrong_answer_cost: Decimal, *, cache: str = "semantic"
    ) -> Decimal | None:
        """Give the net less the expected loss, in USD; None where the net is not known.

        Where some savings have no price it is a lower bound, as the net is.
        """
        net = self.net.exact
        return None if net is None else net - self.expected_loss(wrong_upper, wrong_answer_cost, cache=cache)


def cache_savings(
    ledger: Ledger,
    *,
    by: str | Sequence[str] = (),
    where: Where | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> CacheSavings:
    """Say what caches saved, by cache.

    The hits are read once. LangChain's own cache is the one named "langchain". What caches cost themselves are the
    calls whose purpose is "cache", and a re-pricing counts with them.

    Args:
        ledger: The ledger.
        by: Dimensions to group by beside the cache.
        where: Conditions that must all hold.
        since: Only entries that started at or after this instant; it must have a time zone.
        until: Only entries that started before it.

    Returns:
        The report.

    Raises:
        QueryError: If a column does not exist or an instant has no time zone.

    Example:
        >>> from datetime import UTC
        >>> from langchain_agentcost.ledger import open_ledger
        >>> from langchain_agentcost.pricing.cost import Cost
        >>> ledger, now = open_ledger("memory://"), datetime.now(UTC)
        >>> ledger.append(Entry("1", "cache_hit", now, name="semantic", cost=Cost(), saved=Cost(8, output_nano=8)))
        >>> made = cache_savings(ledger)
        >>> made.net.exact, made.expected_loss(0.01, Decimal(2))
        (Decimal('8E-9'), Decimal('0.02'))
    """
    selection = Selection(ledger, where, since, until)
    names = ask(dimensions(by)).by
    rows, total = _hits(selection, names, _overhead(selection))
    return CacheSavings(
        title=f"Savings by cache, {', '.join(map(label, names))}" if names else "Savings by cache",
        by=("cache", *names),
        rows=rows,
        total=total,
        notes=(_own_calls(total), _MODEL),
    )


def cache_notes(selection: Selection, total: Total) -> tuple[Note, ...]:
    """Write the lines on caches that stand under every report: one for each cache, and what is left of it all.

    Args:
        selection: What the report is about.
        total: Its total.

    Returns:
        The lines; none where no cache was at work, or only LangChain's own: the line on savings says all of that.
    """
    if total.cache_hits > COUNTED_UP_TO:
        return (Note("Caches", "not told apart here; the report by cache does"),)
    overhead = _overhead(selection)
    if not total.cache_hits and not overhead.calls:
        return ()
    rows, whole = _hits(selection, (), overhead)
    if not overhead.calls and [row.key for row in rows] == [(LANGCHAIN_CACHE,)]:
        return ()
    lines = [Note(f"Saved by {label(row.key[0])[:_NAME_CHARS]}", _spared(row)) for row in rows[:_CACHES_NAMED]]
    left = len(rows) - len(lines)
    more = f", with {left} more caches" if left else ""
    return (*lines, Note("Net of caches", f"{_written(whole.net)}{more}: {_own_calls(whole).text}"))


class _Tally:
    """The hits of one group, while they are added up."""

    __slots__ = ("_group", "_tokens")

    def __init__(self) -> None:
        self._group = Group()
        self._tokens = [0] * len(TOKENS)

    def add(self, entry: Entry) -> None:
        row = (*common_measures(entry), *rare_measures(entry))
        self._group.add(entry.kind, entry.status, row)
        self._tokens = [*map(add, self._tokens, (row[at] for at in _TOKENS_AT))]

    def hits(self, key: Key = (), overhead: Total | None = None) -> CacheHits:
        total = self._group.total(key)
        tokens: dict[str, Any] = dict(zip(TOKENS, self._tokens, strict=True))
        known = {f.name: getattr(total, f.name) for f in fields(Total)}
        return CacheHits(**known, spared=Usage(**tokens), overhead=overhead)


_TOKENS_AT = [MEASURES.index(name) for name in TOKENS]


def _hits(selection: Selection, names: Sequence[str], overhead: Total) -> tuple[tuple[CacheHits, ...], CacheHits]:
    """Read the hits of a selection: by cache and dimensions, and in all."""
    found: defaultdict[Key, _Tally] = defaultdict(_Tally)
    whole = _Tally()
    narrowed = selection.of_kind("cache_hit")
    for entry in narrowed.entries() if narrowed else ():
        found[(entry.name or LANGCHAIN_CACHE, *(column_of(entry, name) for name in names))].add(entry)
        whole.add(entry)
    rows = _ranked(tally.hits(key) for key, tally in found.items())
    return rows, whole.hits(overhead=overhead)


def _ranked(rows: Iterable[CacheHits]) -> tuple[CacheHits, ...]:
    return tuple(sorted(rows, key=lambda row: (-row.saved.total_nano, -row.cache_hits, tuple(map(str, row.key)))))


def _overhead(selection: Selection) -> Total:
    """Add up what the caches' own calls took."""
    narrowed = selection.narrowed("purpose", CACHE_PURPOSE)
    return narrowed.total() if narrowed else Total()


def _spent(overhead: Total) -> Amount:
    return lower_bound(overhead.cost.total_nano, missing=overhead.unpriced_calls)


def _spared(row: CacheHits) -> str:
    spared = row.spared
    tokens = f": {written_count(spared.input_tokens)} input and {written_count(spared.output_tokens)} output tokens"
    return f"{_written(row.gross)} in {written_count(row.cache_hits)} hits{tokens if spared.total_tokens else ''}"


def _own_calls(whole: CacheHits) -> Note:
    overhead = whole.overhead or Total()
    text = f"{_written(whole.gross)} saved"
    if overhead.calls:
        calls = f"{written_count(overhead.calls)} calls of caches, embeddings and judges"
        text = f"{text} less {_written(_spent(overhead))} in {calls}"
    else:
        text = f"{text}, no call had the purpose {CACHE_PURPOSE!r}"
    return Note("Own cost", text, warning=overhead.unpriced_calls > 0)


def _written(amount: Amount | None) -> str:
    return "unknown" if amount is None else amount.known if amount.nano is None else str(amount)


_MODEL = Note("Wrong hits", "what they cost is not in it; expected_loss(...) tells, from a bound and a cost of yours")
