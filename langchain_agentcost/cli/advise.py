"""`langchain-agentcost advise LEDGER|TRACES…`: what to change in an agent, ranked by what it would save."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from langchain_agentcost.cli.prices import reported_errors
from langchain_agentcost.cli.reading import INTERRUPTED, NOTHING, prices_named, progress
from langchain_agentcost.errors import ReplayError
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.ledger.kind import noun_of
from langchain_agentcost.ledger.whole_file import whole_file
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice import FLOOR, Advice, advise_ledger
from langchain_agentcost.replay.advice import advise as advise_episodes
from langchain_agentcost.replay.advice.paid import StandIn
from langchain_agentcost.replay.advice.terminal import renderable
from langchain_agentcost.replay.advice.text import plain
from langchain_agentcost.replay.advice.written import TOP
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.replay.traces import Faults, files_of, read_traces

_SQLITE = "sqlite:///"


def register(app: typer.Typer) -> None:
    """Add `advise` to the command line."""
    app.command("advise")(advise)


def advise(
    given: Annotated[
        list[str],
        typer.Argument(metavar="LEDGER|TRACES...", help="A ledger, or recorded runs: files, or folders of them."),
    ],
    prices: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that stands in for those without a price, or your price file (TOML or JSON); repeat it to "
            "give both. Calls whose own model has a price keep it, unlike in `replay`; a note names the others.",
            show_default=False,
        ),
    ] = None,
    floor: Annotated[float, typer.Option(help="The least share of successes that a saving may keep.")] = FLOOR.min,
    by: Annotated[
        Literal["source", "benchmark"], typer.Option(help="What a finding is about, with one model each.")
    ] = "source",
    top: Annotated[int, typer.Option(min=0, help="How many findings are shown in full.")] = TOP,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write all findings to this file.")] = None,
) -> None:
    """Tell what to change, what it would save, how sure that is, what it risks, and the lines of code that do it.

    Ctrl-C keeps what is done: the exit code is then 130. It is 1 where there are no runs to look at.
    """
    with reported_errors():
        tariffs, held = _tariffs(prices or ()), _floor(floor)
        if as_json is not None and any(Path(one).resolve() == as_json.resolve() for one in given):
            raise ReplayError(f"{as_json} is what is read, and would be lost: choose another path.")
        if _is_ledger(given):
            with open_ledger(given[0], create=False) as ledger:
                made = advise_ledger(ledger, tariffs=tariffs, floor=held, faults=Faults())
        else:
            faults = Faults()
            with progress(files_of(given)) as moved:
                made = advise_episodes(
                    read_traces(given, faults, moved=moved), tariffs=tariffs, floor=held, by=by, faults=faults
                )
        if as_json is not None:
            with whole_file(as_json) as file:
                file.write(json.dumps(made.to_dict(), indent=2).encode())
    _print(made, top)
    if not made.complete:
        raise typer.Exit(INTERRUPTED)
    if not made.bills:
        raise typer.Exit(NOTHING)


def _is_ledger(given: Sequence[str]) -> bool:
    """Tell whether what is named is a ledger: by what the file holds, or as a URL."""
    ledgers = [one for one in given if _holds_ledger(one)]
    if ledgers and len(given) > 1:
        raise ReplayError(f"{ledgers[0]} is a ledger: advise looks at one ledger, or at traces, at a time.")
    return bool(ledgers)


def _holds_ledger(one: str) -> bool:
    if "://" in one and not one.startswith(_SQLITE):
        return True
    return noun_of(Path(one.removeprefix(_SQLITE)).resolve()) == "ledger"


def _tariffs(prices: Sequence[str]) -> Tariffs:
    named = prices_named(prices)
    tariffs = Tariffs(PriceBook(named.file))
    return StandIn(tariffs, named.model) if named.model is not None else tariffs


def _floor(least: float) -> QualityFloor:
    try:
        return QualityFloor(FLOOR.metric, min=least)
    except ValueError as error:
        raise ReplayError(f"--floor: {error}") from error


def _print(made: Advice, top: int) -> None:
    if sys.stdout.isatty():
        Console().print(renderable(made, top=top))
    else:
        typer.echo(plain(made, top=top))
