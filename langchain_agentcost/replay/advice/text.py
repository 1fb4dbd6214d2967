"""Advice as plain text: what a pipe gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from langchain_agentcost.finops.render_text import GAP, justified, noted
from langchain_agentcost.replay.advice.written import TOP, Block, blocks, further, notes, summary, title

if TYPE_CHECKING:
    from langchain_agentcost.replay.advice.advising import Advice

_NAME_WIDTH = 10


def plain(advice: Advice, *, top: int = TOP) -> str:
    """Write advice as text, in full width.

    Args:
        advice: The advice.
        top: How many findings are shown in full.

    Returns:
        The text; it ends without a line break.
    """
    lines = [title(advice), summary(advice)]
    for block in blocks(advice, top):
        lines += ["", f"{block.heading} - {block.verdict}: {block.why}", *_body(block)]
    rows = list(further(advice, top))
    if rows:
        lanes = [justified(lane, left=True) for lane in zip(*rows, strict=True)]
        lines += ["", *((" " * GAP).join(row).rstrip() for row in zip(*lanes, strict=True))]
    return "\n".join([*lines, "", *noted(tuple(notes(advice, top)))])


def _body(block: Block) -> Iterator[str]:
    for name, line in block.facts:
        yield f"   {name.ljust(_NAME_WIDTH)}{line}"
    for number, line in enumerate(block.code.splitlines()):
        yield f"   {('' if number else 'code').ljust(_NAME_WIDTH)}{line}".rstrip()
