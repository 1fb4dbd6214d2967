"""`langchain-agentcost report LEDGER`: who spent what, why, and what it achieved."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from langchain_agentcost.errors import AgentCostError, QueryError
from langchain_agentcost.finops import Report
from langchain_agentcost.finops import report as make_report
from langchain_agentcost.finops.selection import check_value
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.ledger.query import NUMBERS
from langchain_agentcost.ledger.whole_file import whole_file


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"


_WRITERS: dict[Format, Callable[[Report], str]] = {
    Format.TABLE: lambda made: f"{made}\n",
    Format.JSON: lambda made: made.to_json(),  # a report may write more than every report does
    Format.CSV: Report.to_csv,
    Format.HTML: Report.to_html,
}
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TIMES = ("day", "hour")
_MISUSE = 2


def register(app: typer.Typer) -> None:
    """Add `report` to the command line."""
    app.command("report")(report)


def report(
    ledger: Annotated[str, typer.Argument(help="A ledger: a file, or a URL such as sqlite:///costs.db.")],
    by: Annotated[
        str,
        typer.Option(
            help="What to group by, with commas: node, agent, user, tenant, model, tool, step, day, tag:NAME, …; "
            "driver for why it cost that much; outcome for what it achieved; cache for what caches saved."
        ),
    ] = "node",
    where: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN=VALUE that must hold; repeat it. COLUMN= means not stated."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only from then on: 30m, 24h, 7d, 2w, or an ISO date (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only before then, written like --since.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
) -> None:
    """Add a ledger up: who spent what, on what, how fast, and what is not known."""
    try:
        with open_ledger(ledger, create=False) as entries:
            made = make_report(
                entries,
                by=by,
                where=conditions(where or ()),
                since=None if since is None else instant(since),
                until=None if until is None else instant(until),
            )
        write(made, form, out)
    except (AgentCostError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(_MISUSE) from error


def conditions(where: Sequence[str]) -> dict[str, list[str | int | None]]:
    """Read COLUMN=VALUE pairs; a column that is given twice may have either value.

    Raises:
        QueryError: If one is not such a pair, no entry can have the value, or it is about a day or an hour: these are
            times, not labels.

    Example:
        >>> conditions(["user=ann", "user=bob", "tenant=", "step=3"])
        {'user': ['ann', 'bob'], 'tenant': [None], 'step': [3]}
    """
    read: dict[str, list[str | int | None]] = {}
    for pair in where:
        column, equals, value = pair.partition("=")
        if not equals or not column:
            raise QueryError(f"--where takes COLUMN=VALUE, got {pair!r}.")
        if column in _TIMES:
            raise QueryError(f"--where cannot narrow by {column}; use --since and --until, which take times.")
        wanted = _value(column, value)
        check_value(column, wanted)
        read.setdefault(column, []).append(wanted)
    return read


def instant(text: str, *, now: datetime | None = None) -> datetime:
    """Read an instant: an age such as 7d, or an ISO date or time, in UTC where it names no zone.

    Raises:
        QueryError: If it is neither.

    Example:
        >>> instant("2026-03-01").isoformat()
        '2026-03-01T00:00:00+00:00'
    """
    age = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    try:
        if age:
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        read = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise QueryError(f"{text!r} is no time; give an age such as 30m, 24h or 7d, or an ISO date.") from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _value(column: str, value: str) -> str | int | None:
    if not value:
        return None
    return int(value) if column in NUMBERS and value.isdecimal() else value


def write(made: Report, form: Format, out: Path | None) -> None:
    """Write a report to a file, or where the command's output goes."""
    if out is not None:
        with whole_file(out) as file:
            file.write(_WRITERS[form](made).encode())
    elif form is Format.TABLE and sys.stdout.isatty():
        Console().print(made.rich())
    else:
        sys.stdout.write(_WRITERS[form](made))
