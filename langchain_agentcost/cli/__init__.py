"""The console script `langchain-agentcost`."""

from __future__ import annotations

from langchain_agentcost.errors import MissingExtra


def main() -> None:
    """Run the command line.

    Raises:
        MissingExtra: If the `cli` extra is not installed.
    """
    try:
        import typer  # noqa: F401, PLC0415  # the extra is checked here, so that its absence has one clear message
    except ImportError as error:
        raise SystemExit(str(MissingExtra("typer and rich", extra="cli", what="The command line"))) from error
    from langchain_agentcost.cli.app import app  # noqa: PLC0415  # needs the extra

    app()
