"""A replay's result for terminals, by rich: it leaves out the columns that do not fit, and says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.finops.render_text import justified, text_width
from langchain_agentcost.finops.table import fitting
from langchain_agentcost.replay.render_notes import notes_of, title
from langchain_agentcost.replay.render_table import DEARER, MIRAGE, Block, Column, blocks, mark, written

try:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from langchain_agentcost.finops.render_rich import noted
except ImportError as error:
    raise MissingExtra("rich", extra="cli", what="A table for terminals") from error

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

    from langchain_agentcost.replay.result import Result

_GAP = 2
_LABEL_WIDTH = 28
"""Longer labels, and words about harm, are folded before a column of figures is left out."""

_STYLES = {MIRAGE: "yellow", DEARER: "red"}


@dataclass(frozen=True, slots=True)
class _Terminal:
    result: Result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        shown = blocks(self.result)
        columns, lanes = written(shown)
        widths = [_wanted(column, [cell for block in lanes for cell in block[at]]) for at, column in enumerate(columns)]
        kept = fitting([column.drop for column in columns], widths, room=options.max_width, gap=_GAP)
        yield Text(title(self.result), style="bold")
        for block, cells in zip(shown, lanes, strict=True):
            yield Text.assemble("\n", (block.title, "bold"), ": ", block.facts)
            yield _table(block, [(columns[at], widths[at], cells[at]) for at in kept])
        left_out = [column.heading for at, column in enumerate(columns) if at not in kept]
        if left_out:
            yield Text(f"Left out for width: {', '.join(left_out)}. JSON and HTML have them.", style="dim")
        yield Text()
        yield noted(notes_of(self.result, shown))


def renderable(result: Result) -> RenderableType:
    """Give something that rich can print.

    Args:
        result: The result.

    Returns:
        A renderable that takes the width of the terminal. Labels are text, never markup.
    """
    return _Terminal(result)


def _wanted(column: Column, cells: Sequence[str]) -> int:
    width = max(map(text_width, (column.heading, *cells)))
    return min(width, _LABEL_WIDTH) if column.left else width


def _table(block: Block, lanes: Sequence[tuple[Column, int, Sequence[str]]]) -> Table:
    """A table as wide as those of the other benchmarks, so that figures stand below each other."""
    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    filled = []
    for column, width, cells in lanes:
        lane = [column.heading, *cells]
        # rich strips blanks on the right when it aligns to the right, and with them the place of the decimal point.
        heading, *lane = lane if column.left else justified([" " * width, *lane])[1:]
        made.add_column(Text(heading), min_width=width, no_wrap=not column.left, overflow="fold")
        filled.append(lane)
    for row, cells in zip(block.rows, zip(*filled, strict=True), strict=True):
        style = "dim" if row.recorded else _STYLES.get(mark(row), "")
        made.add_row(*map(Text, cells), style=style)
    return made
