"""A report as plain text: what a pipe gets."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from langchain_agentcost.finops.table import Column, aligned

if TYPE_CHECKING:
    from langchain_agentcost.finops.base import Note, Report

GAP = 2
"""Blanks between two columns."""


def plain(report: Report) -> str:
    """Write a report as aligned text, in full width.

    Args:
        report: The report.

    Returns:
        Title, table, total and lines; it ends without a line break.
    """
    columns, lanes = written(report)
    lanes = [justified(lane, left=column.kind == "label") for column, lane in zip(columns, lanes, strict=True)]
    lines = [(" " * GAP).join(row).rstrip() for row in zip(*lanes, strict=True)]
    rule = "-" * (sum(text_width(lane[0]) + GAP for lane in lanes) - GAP)
    body = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
    return "\n".join([report.title, "", *body, "", *noted(report.notes)]).rstrip()


def noted(notes: Sequence[Note]) -> list[str]:
    """Write the lines under a table: their names one below the other.

    Args:
        notes: The lines.
    """
    margin = max((len(note.name) for note in notes), default=0)
    return [f"{note.name.ljust(margin)}  {note.text}" for note in notes]


def written(report: Report) -> tuple[list[Column], list[list[str]]]:
    """Write every cell that people see, column by column: heading, rows, total. A column without a figure is left out.

    Args:
        report: The report.

    Returns:
        The columns for people, and for each its cells.
    """
    rows = [report.values(row) for row in (*report.rows, report.total)]
    columns, lanes = [], []
    for at, column in enumerate(report.columns):
        if not column.people:
            continue
        cells = [column.write(row[at]) for row in rows]
        if at >= len(report.by) and not any(cells):
            continue
        if at < len(report.by):
            cells[-1] = "" if at else "total"
        columns.append(column)
        lanes.append([column.heading, *(aligned(cells) if column.kind == "money" else cells)])
    return columns, lanes


def justified(lane: Sequence[str], *, left: bool = False) -> list[str]:
    """Pad the cells of a column to the same width.

    Args:
        lane: The cells.
        left: Pad on the right, as labels want it.

    Example:
        >>> justified(["cost", "$1.25"])
        [' cost', '$1.25']
    """
    width = max(map(text_width, lane), default=0)
    return [
        cell + " " * (width - text_width(cell)) if left else " " * (width - text_width(cell)) + cell for cell in lane
    ]


def text_width(text: str) -> int:
    """Count the character cells that a terminal needs for a text.

    Example:
        >>> text_width("abc"), text_width("東京")
        (3, 4)
    """
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
