"""The command line: one module a group of commands, each adds its own."""

from __future__ import annotations

import typer

from langchain_agentcost.cli import (
    advise,
    budgets,
    check,
    demo,
    doctor,
    langsmith,
    ledger,
    lint,
    prices,
    replay,
    report,
    reprice,
    router,
)

app = typer.Typer(
    name="langchain-agentcost",
    help="The economics of LLM agents: what every call cost, who caused it, and what to do about it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for commands in (
    demo,
    report,
    router,
    advise,
    replay,
    lint,
    check,
    budgets,
    doctor,
    prices,
    reprice,
    ledger,
    langsmith,
):
    commands.register(app)
