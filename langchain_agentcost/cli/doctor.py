"""`langchain-agentcost doctor`: whether a budget store says what really happened, and putting it right."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from langchain_agentcost.cli.budgets import StoreName, ledger_of, opened
from langchain_agentcost.cli.tables import print_facts
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.limits.doctor import Examination, examine

_WRONG = 1
_SHOWN = 20
"""How many findings of a kind are printed: a wrong ledger would give one a call."""


def register(app: typer.Typer) -> None:
    """Add `doctor` to the command line."""
    app.command("doctor")(doctor)


def doctor(
    store: StoreName,
    ledger: Annotated[
        str | None, typer.Option(help="The ledger of the same calls; known already where STORE is a ledger.")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be.")] = False,
) -> None:
    """Compare a budget store with itself and with the ledger; exit code 1 while something is wrong."""
    with opened(store) as opened_store:
        booked_in = ledger or ledger_of(store)
        if booked_in is None:
            seen = examine(opened_store, repair=repair)
        else:
            with open_ledger(booked_in, create=False) as entries:
                seen = examine(opened_store, entries, repair=repair)
        url = opened_store.url
    print_facts(_facts(url, booked_in, seen))
    _print_findings(seen, repair=repair)
    if not seen.healthy:
        raise typer.Exit(_WRONG)


def _facts(url: str, ledger: str | None, seen: Examination) -> list[tuple[str, str]]:
    compared = f"{seen.compared:,} of them, with {ledger}" if ledger else "none: name the ledger with --ledger"
    return [
        ("store", url),
        ("accounts", f"{seen.accounts:,}"),
        ("holds", f"{seen.holds:,}"),
        ("under way", f"{seen.under_way:,}"),
        ("charged as lost", f"{seen.lost:,}"),
        ("compared", compared),
        *([("old answers", f"{seen.forgotten:,} forgotten")] if seen.forgotten else []),
    ]


def _print_findings(seen: Examination, *, repair: bool) -> None:
    kinds = Counter(finding.kind for finding in seen.findings)
    printed: Counter[str] = Counter()
    for finding in seen.findings:
        printed[finding.kind] += 1
        if printed[finding.kind] <= _SHOWN:
            typer.echo(f"{'repaired' if finding.repaired else 'wrong'}: {finding.message}")
    for kind, number in kinds.items():
        if number > _SHOWN:
            typer.echo(f"… and {number - _SHOWN:,} more like these ({kind}).")
    if seen.healthy:
        typer.echo("Everything was put right." if seen.findings else "Nothing is wrong.")
    elif not repair:
        typer.echo("Run it again with --repair to put right what can be.")
    else:
        typer.echo("What is left cannot be repaired: it is for a person to look at.")
