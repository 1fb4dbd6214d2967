"""The table of a replay: a block for each benchmark, a line for each strategy, and how each figure is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import written_count, written_share, written_usd
from langchain_agentcost.finops.table import aligned
from langchain_agentcost.money import to_nano
from langchain_agentcost.replay.strategy import Fidelity

if TYPE_CHECKING:
    from langchain_agentcost.replay.result import Result, Row

UNKNOWN = "-"

SAVED, OFF = "saved", "caching off"
"""The headings of what is saved with the provider's prompt caching, and without."""

PARTS = ("read", "write", "uncached", "output", "overhead")
"""What a bill is cut into, as `Row.split_usd` names it."""

MIRAGE, DEARER = "mirage", "costs more"

MIRAGE_FROM_PCT = 5.0
MIRAGE_LEFT = 0.25
"""A saving of that much without prompt caching, of which no more than this share is left with it, is a mirage."""

_FIDELITY: Mapping[str, str] = {
    Fidelity.EXACT: "exact",
    Fidelity.SAME_INFORMATION: "same info",
    Fidelity.RECORDED_OUTCOME: "recorded",
    Fidelity.OPEN_LOOP: "open-loop",
    Fidelity.PRICE_BOUND: "price bound",
}

_HARMS = (
    ("stale_hits", "stale hit", "stale hits"),
    ("wrong_action_hits", "wrong action", "wrong actions"),
    ("missing_tool", "call of a missing tool", "calls of a missing tool"),
    ("cut_answers", "answer cut", "answers cut"),
    ("successes_killed", "success killed", "successes killed"),
)
"""Counts of harm, and what one and several of them are called."""


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of one benchmark, or of a whole family.

    Args:
        family: The family.
        benchmark: The benchmark; "*" is all of the family.
        rows: One a strategy; the first is what was recorded.
    """

    family: str
    benchmark: str
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """What the block is about, on one line."""
        if self.rows[0].whole_family:
            return f"all of family {label(self.family)}"
        return f"{label(self.benchmark)} (family {label(self.family)})"

    @property
    def facts(self) -> str:
        """How much was replayed, what it cost as recorded, and how it ended."""
        recorded = self.rows[0]
        said = [
            f"{_counted(recorded.episodes, 'run')} of {_counted(recorded.tasks, 'task')}",
            _counted(recorded.calls, "call"),
            f"recorded bill {_usd(recorded.usd)} with prompt caching, {_usd(recorded.usd_cache_off)} without",
        ]
        if recorded.judged:
            said.append(f"{recorded.successes:,} of {recorded.judged:,} judged runs succeeded")
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Column:
    """A column for people.

    Args:
        heading: Its name.
        write: Gives a cell, from a row and the block that it is in.
        left: Whether it is text, which is aligned left.
        money: Whether decimal points stand below each other.
        drop: The order in which columns go where a terminal is too narrow, the highest first; 0 always stays.
    """

    heading: str
    write: Callable[[Row, Block], str]
    left: bool = False
    money: bool = False
    drop: int = 0


def blocks(result: Result) -> tuple[Block, ...]:
    """Give the blocks of a result: the benchmarks, then the families that have several.

    Args:
        result: The result.
    """
    groups = groupby(result.rows(), key=lambda row: (row.family, row.benchmark_set))
    return tuple(Block(family, benchmark, tuple(rows)) for (family, benchmark), rows in groups)


def written(shown: tuple[Block, ...]) -> tuple[list[Column], list[list[list[str]]]]:
    """Write all cells. A column in which nothing is written is left out.

    Args:
        shown: The blocks.

    Returns:
        The columns; and for each block, column by column, its cells.
    """
    lanes = [[[column.write(row, block) for row in block.rows] for column in COLUMNS] for block in shown]
    kept = [at for at in range(len(COLUMNS)) if any(any(block[at]) for block in lanes)]
    for at in kept:
        if COLUMNS[at].money:
            even = iter(aligned([cell for block in lanes for cell in block[at]]))
            for block in lanes:
                block[at] = [next(even) for _ in block[at]]
    return [COLUMNS[at] for at in kept], [[block[at] for at in kept] for block in lanes]


def mark(row: Row) -> str:
    """Name what must not be overlooked: a mirage, or a strategy that makes the bill larger; else nothing.

    Args:
        row: The row.
    """
    on, off = row.usd_saved_pct_cache_on, row.usd_saved_pct_cache_off
    if on is None or off is None:
        return ""
    # Where both bills are the same one, as with the strategy that turns caching on, nothing disappears.
    if off >= MIRAGE_FROM_PCT and on <= MIRAGE_LEFT * off and row.usd != row.usd_cache_off:
        return MIRAGE
    surely = row.ci_high is None or row.ci_high < 0
    return DEARER if on < 0 and surely else ""


def saved(percent: float | None) -> str:
    """Write what is saved, in percent; a loss is negative, and only nothing at all is 0%.

    Args:
        percent: The percentage; None where it is not known.

    Example:
        >>> saved(45.62), saved(-0.004), saved(0.0), saved(None)
        ('45.6%', '>-0.1%', '0%', '-')
    """
    if percent is None:
        return UNKNOWN
    return ">-0.1%" if -0.05 < percent < 0 else written_share(percent / 100)


def believed(row: Row) -> str:
    """Name in short how far a row can be believed.

    Args:
        row: The row.
    """
    return _FIDELITY.get(row.fidelity, row.fidelity)


def interval(row: Row) -> str:
    """Write the interval of what is saved with prompt caching.

    Args:
        row: The row.
    """
    if row.ci_low is None or row.ci_high is None:
        return UNKNOWN
    return f"{_bound(row.ci_low)} to {_bound(row.ci_high)}"


def harm(row: Row) -> str:
    """Put into words what a strategy may have done to quality.

    Args:
        row: The row.
    """
    said = list(_harms(row))
    if not said and not row.recorded:
        said = ["not measured" if row.fidelity == Fidelity.PRICE_BOUND else "none found"]
    if row.counts.get("tool_reads"):
        said.append(f"{row.counts.get('tool_hits', 0):,} of {row.counts['tool_reads']:,} reads served")
    return ", ".join(said)


def _harms(row: Row) -> Iterator[str]:
    dangling = row.harm.get("dangling_pct")
    if dangling:
        yield f"{saved(dangling)} dangling"
    for name, one, several in _HARMS:
        count = row.harm.get(name, 0)
        if count:
            yield f"{count:,} {one if count == 1 else several}"
    if row.stopped:
        unknown = "" if row.judged else ", successes among them unknown"
        yield f"{_counted(row.stopped, 'run')} stopped{unknown}"


def _bound(percent: float) -> str:
    text = f"{percent:,.{0 if abs(percent) >= 100 else 1}f}"
    return "0.0" if text == "-0.0" else text


def _counted(count: int, noun: str) -> str:
    return f"{written_count(count)} {noun}{'' if count == 1 else 's'}"


def _usd(usd: Decimal | None) -> str:
    return UNKNOWN if usd is None else written_usd(to_nano(usd))


def _each(row: Row, _: Block) -> str:
    """The bill for each success; that there is none is known, where runs were judged."""
    return "no success" if row.judged and row.usd_per_success is None else _usd(row.usd_per_success)


def parts(row: Row) -> str:
    """Write what the bill went into, in percent of it: cached, written, uncached, output, overhead.

    Args:
        row: The row.
    """
    amounts = [row.split_usd.get(name) for name in PARTS]
    if not row.usd or None in amounts:
        return UNKNOWN
    return " / ".join(f"{100 * (amount or 0) / row.usd:.0f}" for amount in amounts)


def _share_of_runs(row: Row, block: Block) -> str:
    """How many runs a strategy could read; nothing where it read them all."""
    whole = block.rows[0].episodes
    return "" if row.episodes == whole else f"{row.episodes:,} of {whole:,}"


def _tokens(tokens: int | None) -> str:
    return UNKNOWN if tokens is None else written_count(tokens)


COLUMNS = (
    Column("strategy", lambda row, _: label(row.strategy), left=True),
    Column("fidelity", lambda row, _: believed(row), left=True, drop=1),
    Column("runs", _share_of_runs, drop=5),
    Column(SAVED, lambda row, _: saved(row.usd_saved_pct_cache_on)),
    Column("95% interval", lambda row, _: interval(row), drop=2),
    Column(OFF, lambda row, _: saved(row.usd_saved_pct_cache_off)),
    Column("", lambda row, _: mark(row), left=True),
    Column("tokens saved", lambda row, _: saved(row.tokens_saved_pct), drop=6),
    Column("bill", lambda row, _: _usd(row.usd), money=True, drop=7),
    Column("in failed", lambda row, _: _usd(row.usd_failed) if row.judged else UNKNOWN, money=True, drop=10),
    Column("$ per success", _each, money=True, drop=4),
    Column("bill by part, %", lambda row, _: parts(row), drop=11),
    Column("p50 input", lambda row, _: _tokens(row.step_tokens_p50), drop=8),
    Column("p90 input", lambda row, _: _tokens(row.step_tokens_p90), drop=9),
    Column("harm", lambda row, _: harm(row), left=True, drop=3),
)
"""What people see of a row; JSON has everything."""
