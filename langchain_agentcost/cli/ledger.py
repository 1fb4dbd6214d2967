"""`langchain-agentcost export`, `prune`, `forget` and `info`: what to do with a ledger besides reading a report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from langchain_agentcost.cli.report import conditions, instant
from langchain_agentcost.errors import AgentCostError
from langchain_agentcost.ledger import Ledger, Total, open_ledger
from langchain_agentcost.ledger.export import export

_MISUSE = 2
_T = TypeVar("_T")

_LedgerName = Annotated[
    str, typer.Argument(metavar="LEDGER", help="A ledger: a file, or a URL such as sqlite:///costs.db.")
]


class Format(StrEnum):
    """What an export is written as."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("export")(export_entries)
    app.command("prune")(prune)
    app.command("forget")(forget)
    app.command("info")(info)


def export_entries(
    ledger: _LedgerName,
    out: Annotated[str, typer.Option(help="The file to write; - is standard output.")] = "-",
    form: Annotated[
        Format, typer.Option("--format", help="jsonl keeps everything; csv is safe to open in a spreadsheet.")
    ] = Format.JSONL,
    where: Annotated[
        list[str] | None, typer.Option(help="COLUMN=VALUE that must hold; repeat it. COLUMN= means not stated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only from then on: 30m, 24h, 7d, 2w, or an ISO date (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only before then, written like --since.")] = None,
) -> None:
    """Write the entries of a ledger to a file, one a row."""

    def write(opened: Ledger) -> int:
        return export(
            opened,
            sys.stdout.buffer if out == "-" else out,
            format=form.value,
            where=conditions(where or ()),
            since=None if since is None else instant(since),
            until=None if until is None else instant(until),
        )

    written = _with(ledger, write)
    if out != "-":
        typer.echo(f"{written} entries written to {out}.")


def prune(
    ledger: _LedgerName,
    before: Annotated[str, typer.Option(help="Remove what started before: 90d, 52w, or an ISO date (UTC).")],
) -> None:
    """Remove old entries for good."""
    removed = _with(ledger, lambda opened: opened.prune(instant(before)))
    typer.echo(f"{removed} entries removed.")


def forget(
    ledger: _LedgerName,
    user: Annotated[str, typer.Option(help="The user's label, as reports show it.")],
) -> None:
    """Remove a user's label and their sessions' labels; what was spent stays."""
    changed = _with(ledger, lambda opened: opened.forget(user))
    typer.echo(f"{changed} entries no longer name the user or their sessions; amounts are unchanged.")


def info(ledger: _LedgerName) -> None:
    """Say what a ledger holds."""

    def describe(opened: Ledger) -> list[str]:
        kinds = ", ".join(sorted(_kind(total) for total in opened.totals(("kind",))))
        days = sorted(str(total.key[0]) for total in opened.totals(("day",)))
        lines = [f"ledger  {opened.url}", f"kinds   {kinds or 'no entries yet'}"]
        return lines + ([f"days    {days[0]} to {days[-1]}"] if days else [])

    for line in _with(ledger, describe):
        typer.echo(line)


def _kind(total: Total) -> str:
    return f"{total.key[0]} ({total.calls} calls)" if total.calls else str(total.key[0])


def _with(ledger: str, action: Callable[[Ledger], _T]) -> _T:
    """Do something with a ledger that is there; what goes wrong is one line and exit code 2."""
    try:
        with open_ledger(ledger, create=False) as opened:
            return action(opened)
    except AgentCostError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(_MISUSE) from error
