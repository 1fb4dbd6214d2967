"""Advice for terminals, by rich."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.replay.advice.finding import Verdict
from langchain_agentcost.replay.advice.written import TOP, Block, blocks, further, notes, summary, title

try:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from langchain_agentcost.finops.render_rich import noted
except ImportError as error:
    raise MissingExtra("rich", extra="cli", what="Advice for terminals") from error

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

    from langchain_agentcost.replay.advice.advising import Advice

_STYLES = {Verdict.WORTH: "bold green", Verdict.YET: "yellow", Verdict.NOT: "dim"}
_INDENT = 3


@dataclass(frozen=True, slots=True)
class _Terminal:
    advice: Advice
    top: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield Text(title(self.advice), style="bold")
        yield Text(summary(self.advice))
        for block in blocks(self.advice, self.top):
            yield Text.assemble("\n", (block.heading, "bold"))
            yield Padding(_body(block), (0, 0, 0, _INDENT))
        rows = list(further(self.advice, self.top))
        if rows:
            yield Text("\nFurther findings:")
            yield _list(rows)
        yield Text()
        yield noted(tuple(notes(self.advice, self.top)))


def renderable(advice: Advice, *, top: int = TOP) -> RenderableType:
    """Give something that rich can print.

    Args:
        advice: The advice.
        top: How many findings are shown in full.

    Raises:
        MissingExtra: If rich is not installed: this module then cannot be imported.
    """
    return _Terminal(advice, top)


def _body(block: Block) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("verdict", Text(f"{block.verdict}: {block.why}", style=_STYLES[block.verdict]))
    for name, line in block.facts:
        table.add_row(Text(name), Text(line))
    table.add_row("code", Text(block.code, style="cyan"))
    return table


def _list(rows: list[tuple[str, ...]]) -> Table:
    table = Table.grid(padding=(0, 1))
    for row in rows:
        number, kind, traffic, saves, verdict = row
        said = Text.assemble(f"{kind}, {traffic}: {saves} - ", (verdict, _STYLES[Verdict(verdict.partition(":")[0])]))
        table.add_row(Text(number), said)
    return table
