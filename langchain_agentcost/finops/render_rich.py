"""A report for terminals, by rich: it leaves out the columns that do not fit, and says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.finops.render_text import justified, text_width, written
from langchain_agentcost.finops.table import Column, fitting

try:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise MissingExtra("rich", extra="cli", what="A table for terminals") from error

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

    from langchain_agentcost.finops.base import Note, Report

_GAP = 2
_LABEL_WIDTH = 36
_REMARK_WIDTH = 20
"""A longer label is folded before a column of figures is left out, and a remark even earlier."""


@dataclass(frozen=True, slots=True)
class _Terminal:
    report: Report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        columns, lanes = written(self.report)
        widths = [_wanted(column, lane) for column, lane in zip(columns, lanes, strict=True)]
        kept = fitting([column.drop for column in columns], widths, room=options.max_width, gap=_GAP)
        yield Text(self.report.title, style="bold")
        yield _table([columns[at] for at in kept], [lanes[at] for at in kept])
        yield Text()
        yield noted(self.report.notes)
        left_out = [column.heading for at, column in enumerate(columns) if at not in kept]
        if left_out:
            yield Text(f"Left out for width: {', '.join(left_out)}. JSON and CSV have every column.", style="dim")


def renderable(report: Report) -> RenderableType:
    """Give something that rich can print.

    Args:
        report: The report.

    Returns:
        A renderable that takes the width of the terminal. Labels are text, never markup.
    """
    return _Terminal(report)


def _wanted(column: Column, lane: list[str]) -> int:
    width = max(map(text_width, lane))
    return min(width, _REMARK_WIDTH if column.drop else _LABEL_WIDTH) if column.kind == "label" else width


def _table(columns: list[Column], lanes: list[list[str]]) -> Table:
    made = Table(box=SIMPLE_HEAD, show_footer=True, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    # rich strips blanks on the right when it aligns to the right, and with them the place of the decimal point.
    lanes = [lane if column.kind == "label" else justified(lane) for column, lane in zip(columns, lanes, strict=True)]
    for column, lane in zip(columns, lanes, strict=True):
        made.add_column(Text(lane[0]), footer=Text(lane[-1]), no_wrap=column.kind != "label", overflow="fold")
    for row in zip(*(lane[1:-1] for lane in lanes), strict=True):
        made.add_row(*(Text(cell, style="yellow" if cell.strip() == "unknown" else "") for cell in row))
    return made


def noted(notes: Iterable[Note]) -> RenderableType:
    """Give the lines under a table; warnings are marked.

    Args:
        notes: The lines.
    """
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for note in notes:
        style = "yellow" if note.warning else ""
        grid.add_row(Text(note.name, style=style or "dim"), Text(note.text, style=style))
    return grid
