"""`langchain-agentcost reprice LEDGER`: correct what was booked with a wrong price, or none."""

from __future__ import annotations

from typing import Annotated

import typer

from langchain_agentcost.cli.prices import PriceFile, reported_errors
from langchain_agentcost.cli.report import instant
from langchain_agentcost.cli.tables import print_facts
from langchain_agentcost.finops import reprice as price_again
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.pricing import PriceBook


def register(app: typer.Typer) -> None:
    """Add `reprice` to the command line."""
    app.command("reprice")(reprice)


def reprice(
    ledger: Annotated[str, typer.Argument(help="A ledger: a file, or a URL such as sqlite:///costs.db.")],
    prices: PriceFile = None,
    as_of: Annotated[
        str | None, typer.Option(help="Price every call as of this date (UTC); by default each as of its own time.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only calls from then on: 7d, or an ISO date (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Only calls before then, written like --since.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and write nothing.")] = False,
) -> None:
    """Price the calls of a ledger again. What changes is appended as corrections; no entry is edited."""
    with reported_errors(), open_ledger(ledger, create=False) as entries:
        result = price_again(
            entries,
            PriceBook(prices),
            as_of=None if as_of is None else instant(as_of),
            since=None if since is None else instant(since),
            until=None if until is None else instant(until),
            dry_run=dry_run,
        )
    print_facts(
        [
            ("calls", f"{result.calls:,}"),
            ("would correct" if dry_run else "corrected", f"{result.corrected:,}"),
            ("of them without a price before", f"{result.newly_priced:,}"),
            ("without a price still", f"{result.unpriced:,}"),
            ("unknown to these prices, left as booked", f"{result.kept:,}"),
            ("before", f"{result.before.usd:.9f} USD"),
            ("now" if not dry_run else "then", f"{result.after.usd:.9f} USD"),
            ("difference", f"{result.difference.usd:+.9f} USD"),
            ("prices", result.version),
        ]
    )
