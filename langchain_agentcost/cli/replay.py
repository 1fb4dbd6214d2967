"""`langchain-agentcost replay TRACES…`: what strategies would really have saved on recorded runs."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, Annotated, Self

import typer
from rich.console import Console

from langchain_agentcost.cli.prices import reported_errors
from langchain_agentcost.cli.reading import INTERRUPTED, NOTHING, prices_named, progress
from langchain_agentcost.cli.report import instant
from langchain_agentcost.cli.tables import print_table
from langchain_agentcost.errors import ReplayError
from langchain_agentcost.ledger.whole_file import whole_file
from langchain_agentcost.replay import STRATEGIES, Result, strategies
from langchain_agentcost.replay.parallel import Job, replay_files, without_played_limits_in_the_log
from langchain_agentcost.replay.strategies import DEFAULT
from langchain_agentcost.replay.strategy import usual_numbers
from langchain_agentcost.replay.traces import files_of

_STOPPING = b"Stopping; what is done is kept. Press Ctrl-C again to end at once.\n"


def register(app: typer.Typer) -> None:
    """Add `replay` to the command line."""
    app.command("replay")(replay)


def replay(  # noqa: PLR0913  # a command has as many arguments as it has options
    traces: Annotated[
        list[str] | None, typer.Argument(help="Recorded runs: files, or folders of them.", show_default=False)
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="NAME[:NUMBER=VALUE…][+NAME…], several with commas; see --list.", show_default=False),
    ] = None,
    prices: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that prices all calls, or your price file (TOML or JSON); repeat it to give both. "
            "Without a model each call is priced as the one that answered.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[str | None, typer.Option(help="The prices of that time: an ISO date, or an age such as 7d.")] = None,
    warm: Annotated[
        bool, typer.Option("--warm", help="Each run finds its tools and system message in the provider's cache.")
    ] = False,
    drive: Annotated[
        int,
        typer.Option(
            min=0,
            help="Make so many runs of every source in a real LangGraph graph too, and fail where its bill differs.",
        ),
    ] = 0,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    as_html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots to this file.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many processes share the work.")] = 1,
    listed: Annotated[bool, typer.Option("--list", help="Show the strategies and their numbers.")] = False,
) -> None:
    """Tell what strategies would have saved on recorded runs, with the provider's prompt caching on and off.

    Ctrl-C keeps what is done: the exit code is then 130. It is 1 where no run could be replayed.
    """
    if listed:
        _print_strategies()
        return
    with reported_errors(), _Interrupts() as interrupts:
        job = _job(traces or (), strategy or DEFAULT, prices or (), at, warm=warm, drive=drive)
        files = files_of(job.traces)
        with _opened(((as_json, Result.to_json), (as_html, Result.to_html)), files) as outputs:
            with progress(files) as moved:
                without_played_limits_in_the_log()
                result = replay_files(job, _Watch(moved, interrupts), processes=jobs)
            for file, write in outputs:
                # A name that is no text, such as a damaged file name, is written with backslashes.
                file.write(write(result).encode("utf-8", "backslashreplace"))
    _print(result)
    if not result.complete:
        raise typer.Exit(INTERRUPTED)
    if not result.episodes:
        raise typer.Exit(NOTHING)


class _Interrupts:
    """Ctrl-C: the first one asks the replay to stop, the second one ends the program."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise SystemExit(INTERRUPTED)
        self.asked = True
        os.write(2, _STOPPING)  # a signal must not print: it may have interrupted a print


class _Watch:
    def __init__(self, moved: Callable[[int], None], interrupts: _Interrupts) -> None:
        self.moved = moved
        self._interrupts = interrupts

    def stopping(self) -> bool:
        return self._interrupts.asked


def _job(
    traces: Sequence[str], strategy: Sequence[str], prices: Sequence[str], at: str | None, *, warm: bool, drive: int
) -> Job:
    """Read what is asked for, and refuse what cannot be before any work is done."""
    if not traces:
        raise ReplayError("No traces are named: give files of recorded runs, or --list to see the strategies.")
    named = prices_named(prices)
    job = Job(
        traces=tuple(traces),
        strategies=",".join(strategy),
        prices=named.file,
        model=named.model,
        at=instant(at) if at else datetime.now(UTC),
        warm=warm,
        drive=drive,
    )
    strategies(job.strategies)
    job.tariffs()
    return job


@contextmanager
def _opened(
    wanted: Sequence[tuple[Path | None, Callable[[Result], str]]], traces: Sequence[Path]
) -> Iterator[list[tuple[IO[bytes], Callable[[Result], str]]]]:
    """Open the files to write before the work begins; they take their place when all went well."""
    taken = {file.resolve(): "one of the traces" for file in traces}
    with ExitStack() as stack:
        opened = []
        for path, write in wanted:
            if path is not None:
                if path.resolve() in taken:
                    raise ReplayError(f"{path} is {taken[path.resolve()]} and would be lost: choose another path.")
                taken[path.resolve()] = "already being written to"
                opened.append((stack.enter_context(whole_file(path)), write))
        yield opened


def _print(result: Result) -> None:
    if sys.stdout.isatty():
        Console().print(result.rich())
    else:
        typer.echo(str(result))


def _print_strategies() -> None:
    rows = [
        (name, kind.fidelity.value, usual_numbers(kind), (inspect.getdoc(kind) or "").partition("\n")[0])
        for name, kind in STRATEGIES.items()
    ]
    print_table(("strategy", "fidelity", "numbers", "what it does"), rows)
    typer.echo("\nNAME:NUMBER=VALUE sets a number, NAME+NAME does both. Without --strategy:")
    typer.echo(", ".join(DEFAULT))
