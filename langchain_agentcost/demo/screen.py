"""What the demo shows: a line that lives while it runs, and the reports at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from rich.console import Console, RenderableType
from rich.status import Status
from rich.text import Text

from langchain_agentcost.demo.tickets import Ticket
from langchain_agentcost.finops import Report
from langchain_agentcost.finops.amounts import cost_of
from langchain_agentcost.finops.base import Note
from langchain_agentcost.finops.render_rich import noted as in_terminal
from langchain_agentcost.finops.render_text import noted as in_pipe
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.limits.alerts import Alert

_WIDE = 110
"""Narrower terminals do not get to see which workers a ticket went to: its line would not be one."""

_NAME_WIDTH = 7


class Tabular(Protocol):
    """What can be shown as a table; `str()` is its plain text."""

    def rich(self) -> RenderableType:
        """Give it for a terminal."""
        ...


class Screen:
    """Writes to a terminal with a live line, and to a pipe line by line.

    Args:
        console: Where it goes; None is the standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._status: Status | None = None

    def say(self, text: str, *, style: str = "", whole: bool = False) -> None:
        """Write a paragraph, or a line that is to stay whole, so that it can be copied."""
        self.console.print(Text(text, style=style), soft_wrap=whole or not self.console.is_terminal)

    def facts(self, *facts: tuple[str, str]) -> None:
        """Write lines with a name each, one text below the other; a pipe gets them in full width.

        Args:
            *facts: Names and texts.
        """
        notes = [Note(name.ljust(_NAME_WIDTH), text) for name, text in facts]
        if self.console.is_terminal:
            self.console.print(in_terminal(notes))
        else:
            self.console.print("\n".join(in_pipe(notes)), markup=False, soft_wrap=True)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the live line for a block; a pipe has none."""
        with self.console.status("") as self._status:
            yield
        self._status = None

    @contextmanager
    def still(self) -> Iterator[None]:
        """Take the live line away for a block in which somebody types."""
        status = self._status
        if status is not None:
            status.stop()
        yield
        if status is not None:
            status.start()

    def ask(self, question: str) -> None:
        """Write a question; what is typed stands beside it, or below it in a pipe."""
        end = "" if self.console.is_terminal else "\n"
        self.console.print(Text(question), end=end, soft_wrap=True)

    def now(self, ticket: Ticket, of: int, *, node: str, spent: Total) -> None:
        """Say what is going on: the ticket, the node that has just started, and what all of it cost so far."""
        if self._status is not None:
            where = f"{ticket.number}/{of} {ticket.tenant}/{ticket.user} {node}"
            line = f"{where:<35} {figures(spent, short=True)}"
            self._status.update(Text(line, no_wrap=True, overflow="ellipsis"))

    def done(self, ticket: Ticket, of: int, *, topics: str, end: str, spent: Total) -> None:
        """Say how a ticket ended, and what all of it cost so far."""
        who = f"{ticket.tenant}/{ticket.user}"
        if self.console.is_terminal and self.console.width < _WIDE:
            self.say(f"ticket {ticket.number:>2}/{of} {who:<14} {end:<12} {figures(spent, short=True)}")
        else:
            self.say(f"ticket {ticket.number:>2}/{of}  {who:<14} {topics:<26} {end:<13} {figures(spent)}")

    def alert(self, alert: Alert) -> None:
        """Say that a budget comes near its limit, or that it has no room for a call that is made all the same."""
        if alert.kind in ("threshold", "warned") or alert.action == "downgrade":
            self.say(f"Budget   {alert.message}")

    def report(self, report: Report, title: str, *, notes: bool = False) -> None:
        """Show a report.

        Args:
            report: The report.
            title: What to call it.
            notes: Whether to show the lines under it: they are the same for all, and shown once.
        """
        shown = replace(report, title=title, notes=report.notes if notes else ())
        self.table(shown)

    def table(self, table: Tabular) -> None:
        """Show a table: by rich in a terminal, as plain text in full width in a pipe."""
        self.console.print()
        if self.console.is_terminal:
            self.console.print(table.rich())
        else:
            self.console.print(str(table), markup=False, soft_wrap=True)


def figures(spent: Total, *, short: bool = False) -> str:
    """Write a total as one line, which a narrow terminal needs short.

    Example:
        >>> figures(Total(llm_calls=2))
        '2 calls  0 tokens  0% cached  $0'
    """
    cached = spent.usage.cache_read_share or 0
    parts = (
        f"{spent.llm_calls} calls",
        f"{spent.usage.total_tokens:,} {'tok' if short else 'tokens'}",
        f"{cached:.0%} cached",
        str(cost_of(spent)),
    )
    return (" " if short else "  ").join(parts)
