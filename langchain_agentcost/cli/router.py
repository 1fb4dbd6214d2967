"""`langchain-agentcost router report LEDGER`: who answered, what routing saved, and whether that can be believed."""

from __future__ import annotations

from typing import Annotated

import typer

from langchain_agentcost.cli.prices import reported_errors
from langchain_agentcost.cli.report import Format, conditions, instant, write
from langchain_agentcost.finops.routing import routing_report
from langchain_agentcost.ledger import open_ledger

commands = typer.Typer(help="Routers: what they chose, and what that saved.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the `router` commands to the command line."""
    app.add_typer(commands, name="router")


@commands.callback()
def group() -> None:
    """Keep `report` a command of its own, though it is the only one."""


@commands.command("report")
def report(
    ledger: Annotated[str, typer.Argument(help="A ledger: a file, or a URL such as sqlite:///costs.db.")],
    by: Annotated[str, typer.Option(help="What to group by beside the tier, with commas: node, agent, …")] = "",
    where: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN=VALUE that must hold; repeat it. COLUMN= means not stated."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only from then on: 30m, 24h, 7d, 2w, or an ISO date (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only before then, written like --since.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="The outcomes that say how good a tier is; all of them where it is left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, with exact amounts.")] = False,
) -> None:
    """Say which tiers answered, what that saved against the strongest alone, and what speaks against it."""
    with reported_errors():
        with open_ledger(ledger, create=False) as entries:
            made = routing_report(
                entries,
                by=by,
                where=conditions(where or ()),
                since=None if since is None else instant(since),
                until=None if until is None else instant(until),
                outcome=outcome,
            )
        write(made, Format.JSON if as_json else Format.TABLE, None)
