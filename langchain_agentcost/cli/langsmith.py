"""`langchain-agentcost langsmith`: do its pages show our costs, and costs for traces that are there already."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from langchain_agentcost.cli.report import instant
from langchain_agentcost.errors import AgentCostError
from langchain_agentcost.exporters import langsmith as exporter
from langchain_agentcost.exporters.langsmith.check import CHECK_PROJECT
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.pricing import PriceBook

if TYPE_CHECKING:
    from langsmith import Client

KEY_VARIABLES = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
_FAILED = 1
_MISUSE = 2

commands = typer.Typer(
    help="LangSmith: check that it shows our costs, price old traces, fetch feedback.", no_args_is_help=True
)

Project = Annotated[str, typer.Option(help="The LangSmith project.")]
Since = Annotated[str, typer.Option(help="Only from then on: 30m, 24h, 7d, 2w, or an ISO date (UTC).")]


def register(app: typer.Typer) -> None:
    """Add the `langsmith` commands to the command line."""
    app.add_typer(commands, name="langsmith")


@commands.command()
def check(
    project: Project = CHECK_PROJECT,
    timeout_s: Annotated[float, typer.Option("--timeout", help="How long to wait, in seconds.")] = 30.0,
) -> None:
    """Post one traced run with a known cost, read the cost back, and print its link. No model is called."""
    with _client() as client:
        result = exporter.check(client, project=project, timeout_s=timeout_s)
    typer.echo(
        f"posted  run {result.run_id} to project {result.project!r} with a cost of ${result.posted.normalize():f}"
    )
    if result.url:
        typer.echo(f"link    {result.url}")
    if result.ok:
        typer.echo("ok      LangSmith gives the same cost back.")
        return
    if result.shown is None:
        typer.echo(
            f"failed  LangSmith gave no cost back within {timeout_s:g} s. Look at the link, or try again.", err=True
        )
    else:
        typer.echo(f"failed  LangSmith gave ${result.shown.normalize():f} back.", err=True)
    raise typer.Exit(_FAILED)


@commands.command()
def backfill(
    project: Project,
    since: Since = "7d",
    prices: Annotated[Path | None, typer.Option(help="A price file (TOML or JSON) that wins over the list.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also replace LangSmith's own estimates and costs of an earlier backfill.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Put costs on the model runs of a project that have none, at the prices of their time."""
    with _client() as client:
        result = exporter.backfill(
            client, project=project, prices=PriceBook(prices), since=instant(since), force=force, dry_run=dry_run
        )
    done = "would be priced" if dry_run else "priced"
    typer.echo(f"{result.examined} model runs looked at")
    typer.echo(f"{result.priced} {done}, ${result.total:f} in all")
    typer.echo(f"{result.kept} left as they are")
    typer.echo(f"{result.without_usage} without token counts")
    typer.echo(f"{result.unpriced.total()} without a known price")
    for model, calls in result.unpriced.most_common():
        typer.echo(f"  {calls} of {model!r}: state its price in a file and give it as --prices FILE")


@commands.command()
def feedback(
    ledger: Annotated[str, typer.Argument(help="A ledger: a file, or a URL such as sqlite:///costs.db.")],
    project: Project,
    key: Annotated[str | None, typer.Option(help="Only feedback of this name, such as correctness.")] = None,
    since: Since = "30d",
) -> None:
    """Write a project's feedback into a ledger as outcomes, for reports on what a success costs."""
    with _client() as client:
        start = instant(since)
        with open_ledger(ledger, create=False) as entries:
            found = exporter.import_feedback(client, entries, project=project, key=key, since=start)
    typer.echo(f"{found} outcomes read from project {project!r}")


@contextmanager
def _client() -> Iterator[Client]:
    """A client with the user's key, and a clear sentence for what can go wrong with it."""
    from langsmith import Client  # noqa: PLC0415  # slow to import
    from langsmith.utils import LangSmithError  # noqa: PLC0415  # same

    if not any(os.environ.get(name) for name in KEY_VARIABLES):
        _fail(f"no LangSmith key: set {KEY_VARIABLES[0]} to one from Settings > API Keys of your workspace.")
    logging.getLogger("langsmith").setLevel(logging.ERROR)  # what it warns of is said below, in one sentence
    client = Client()
    try:
        yield client
    except LangSmithError as error:
        _fail(explained(error, address=client.api_url))
    except (AgentCostError, OSError) as error:
        _fail(str(error))
    finally:
        client.close(timeout=5)


def explained(error: Exception, *, address: str) -> str:
    """Say what a failed request to LangSmith means, and what to do.

    Args:
        error: What the client raised.
        address: Where it asked.

    Returns:
        A sentence for a terminal, without the key.

    Example:
        >>> explained(ValueError("odd"), address="http://127.0.0.1")
        'LangSmith at http://127.0.0.1 failed: odd'
    """
    kind = type(error).__name__
    text = str(error)
    if kind == "LangSmithAuthError":
        return f"LangSmith at {address} does not know the key (401): check {KEY_VARIABLES[0]}."
    if "403" in text or "LANGSMITH_WORKSPACE_ID" in text:
        return (
            f"LangSmith at {address} refused the key (403): it may belong to another region or workspace; "
            "check LANGSMITH_ENDPOINT and LANGSMITH_WORKSPACE_ID."
        )
    if kind == "LangSmithConnectionError":
        return f"LangSmith at {address} cannot be reached: check LANGSMITH_ENDPOINT and the network."
    if kind == "LangSmithNotFoundError":
        return f"LangSmith at {address} has no such project: {text.splitlines()[0]}"
    return f"LangSmith at {address} failed: {text.splitlines()[0]}"


def _fail(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(_MISUSE)
