"""The console script `langchain-agentcost`."""

from __future__ import annotations

import io
import sys

from langchain_agentcost.errors import MissingExtra


def main() -> None:
    """Run the command line. What a terminal or pipe cannot encode is written with backslashes.

    Raises:
        MissingExtra: If the `cli` extra is not installed.
    """
    try:
        import typer  # noqa: F401, PLC0415  # the extra is checked here, so that its absence has one clear message
    except ImportError as error:
        raise SystemExit(str(MissingExtra("typer and rich", extra="cli", what="The command line"))) from error
    from langchain_agentcost.cli.app import app  # noqa: PLC0415  # needs the extra

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
