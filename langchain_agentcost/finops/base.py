"""What every report is: rows of totals, lines under them, and five ways to show both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from langchain_agentcost.finops import table
from langchain_agentcost.finops.exchange import Exchange
from langchain_agentcost.finops.render_data import to_csv, to_json
from langchain_agentcost.finops.render_html import fragment, page
from langchain_agentcost.finops.render_text import plain
from langchain_agentcost.finops.table import Column, Value
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.ledger.whole_file import whole_file

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class Note:
    """One line under a report's table.

    Args:
        name: What it is about, such as "Unpriced calls".
        text: What there is to know.
        warning: Whether the reader should look twice before using the figures above.
    """

    name: str
    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What a ledger says about a question: frozen, and shown in whatever way the place asks for.

    `print` writes a plain table, Jupyter an HTML one, `rich()` one for terminals; `to_json`, `to_csv` and `to_html` are
    for files. Costs that are not known are "unknown" or ">= $x" for people and null for machines, never 0.

    Args:
        title: What is shown.
        by: The names of the key's parts, in order.
        rows: One a group, the dearest first.
        total: Over all rows.
        notes: The lines under the table.
        exchange: The costs in the currency of the bill; None leaves them in USD alone.
    """

    title: str
    by: tuple[str, ...]
    rows: tuple[Total, ...]
    total: Total
    notes: tuple[Note, ...] = ()
    exchange: Exchange | None = None

    MEASURES: ClassVar[tuple[Column, ...]] = (
        table.CALLS,
        table.LLM_CALLS,
        table.INPUT,
        table.CACHED,
        table.OUTPUT,
        table.COST,
        table.SHARE,
        table.SAVED,
        table.P50,
        table.P95,
        *table.DETAILS,
    )
    """The columns after the key's."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, the key's first."""
        billed = (self.exchange.column(),) if self.exchange else ()
        return (*table.key_columns(self.by), *self.MEASURES, *billed)

    def values(self, row: Total) -> tuple[Value, ...]:
        """Give the values of a row in the order of the columns."""
        return tuple(column.value(row, self.total) for column in self.columns)

    def __str__(self) -> str:
        """Write a plain table with the lines under it."""
        return plain(self)

    def __repr__(self) -> str:
        """Show the table at a prompt too; a notebook that cannot show HTML falls back on it."""
        return plain(self)

    def rich(self) -> RenderableType:
        """Give a table for terminals, as wide as the terminal.

        Raises:
            MissingExtra: If rich is not installed.
        """
        from langchain_agentcost.finops.render_rich import renderable  # noqa: PLC0415  # rich is an extra

        return renderable(self)

    def to_json(self) -> str:
        """Write the rows, the total and the lines as JSON; amounts are exact, as strings in USD."""
        return to_json(self)

    def to_csv(self) -> str:
        """Write the rows as CSV with a header; no cell starts a formula in a spreadsheet."""
        return to_csv(self)

    def to_html(self, path: str | Path | None = None) -> str:
        """Write a page that needs no other file and no script.

        Args:
            path: Where to write it; None only returns it. The file is replaced when the new one is whole.

        Returns:
            The page.

        Raises:
            StoreUnavailable: If the file cannot be written, or is a ledger.
        """
        written = page(self)
        if path is not None:
            with whole_file(path) as file:
                file.write(written.encode())
        return written

    def _repr_html_(self) -> str:
        """Show it in Jupyter."""
        return fragment(self)
