"""`langchain-agentcost check FILE`: whether a policy file can be used, and what it means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

import typer

from langchain_agentcost.cli.tables import print_facts, print_table
from langchain_agentcost.errors import PolicyError
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget, limit_shown
from langchain_agentcost.limits.policy import Policy
from langchain_agentcost.limits.refusal import amount_of
from langchain_agentcost.pricing import PriceOverrides

_REFUSED = 1


def register(app: typer.Typer) -> None:
    """Add `check` to the command line."""
    app.command("check")(check)


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A policy file, such as agentcost.toml.")],
) -> None:
    """Tell whether a policy file can be used, and what it means. Exit code 1 says that it cannot."""
    try:
        policy = Policy.load(file)
    except PolicyError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(_REFUSED) from error
    print_facts(
        [
            ("policy", f"{policy.origin} is valid"),
            ("mode", policy.mode),
            ("ledger", _url(policy.ledger, "in memory, unless the program states one")),
            ("store", _url(policy.store, "beside the ledger")),
            ("prices", _prices(policy.prices)),
            *(("alerts", repr(sink)) for sink in policy.alerts),
        ]
    )
    rows = [row for limit in policy.limits for row in _rows(limit)]
    typer.echo("")
    if rows:
        print_table(("name", "limit", "per", "window", "only", "what happens"), rows)
    else:
        typer.echo("No limits.")


def _rows(limit: Budget | CircuitBreaker) -> Iterator[list[str]]:
    if isinstance(limit, CircuitBreaker):
        steps = [f"warn at {_number(limit.warn)}"] if limit.warn is not None else []
        steps += [f"{limit.on_trip} at {_number(limit.stop)}"] if limit.stop is not None else []
        yield [limit.title, limit.kind, "run", "total", limit.tool or "", ", ".join(steps)]
        return
    only = [f"{key}={value}" for key, value in limit.where.items()] + ([limit.tool] if limit.tool else [])
    steps = [f"{action} at {_number(share * 100)}%" for share, action in sorted(limit.thresholds.items())]
    for unit, amount in limit.limits.items():
        most = amount_of(unit, limit_shown(unit, amount))
        happens = ", ".join([*steps, f"{limit.on_limit} at the limit"])
        yield [limit.title, most, " and ".join(limit.subjects), limit.window, " ".join(only), happens]


def _url(url: str | None, otherwise: str) -> str:
    """A URL without the user and password that may be in it."""
    return otherwise if url is None else re.sub(r"(?<=://)[^/]*@", "", url)


def _prices(prices: PriceOverrides | None) -> str:
    if prices is None:
        return "the bundled list"
    counts = {
        "model lines": prices.models,
        "discounts": prices.discounts,
        "tools": prices.tools,
        "hosted": prices.hosted,
    }
    stated = [f"{len(lines)} {name}" for name, lines in counts.items() if lines]
    return f"{', '.join(stated) or 'a file without lines'}, above the bundled list"


def _number(number: float) -> str:
    """A number as people write it: 8, 2,000,000, 12.5."""
    return f"{Decimal(str(number)).normalize():,f}"
