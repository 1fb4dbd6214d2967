"""A replay's result as plain text: what a pipe gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_agentcost.finops.render_text import GAP, justified, noted, text_width
from langchain_agentcost.replay.render_notes import notes_of, title
from langchain_agentcost.replay.render_table import blocks, written

if TYPE_CHECKING:
    from langchain_agentcost.replay.result import Result


def plain(result: Result) -> str:
    """Write a result as aligned text, in full width, a table for each benchmark.

    Args:
        result: The result.

    Returns:
        Title, tables and lines; it ends without a line break.
    """
    shown = blocks(result)
    columns, lanes = written(shown)
    wide = [
        justified([column.heading, *(cell for block in lanes for cell in block[at])], left=column.left)
        for at, column in enumerate(columns)
    ]
    lines = ((" " * GAP).join(row).rstrip() for row in zip(*wide, strict=True))
    heading = next(lines, "")
    rule = "-" * (sum(text_width(lane[0]) + GAP for lane in wide) - GAP)
    text = [title(result)]
    for block in shown:
        text += ["", f"{block.title}: {block.facts}", heading, rule, *(next(lines) for _ in block.rows)]
    return "\n".join([*text, "", *noted(notes_of(result, shown))])
