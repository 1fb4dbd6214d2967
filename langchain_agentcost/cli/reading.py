"""How commands read recorded runs: with what prices, and how far they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from langchain_agentcost.errors import ReplayError

NOTHING, INTERRUPTED = 1, 130
"""The exit codes where there was nothing to read, and where somebody stopped it."""

_PRICE_FILES = (".toml", ".json")


class Prices(NamedTuple):
    """What `--prices` names.

    Args:
        file: A price file.
        model: A model.
    """

    file: str | None
    model: str | None


def prices_named(given: Sequence[str]) -> Prices:
    """Tell a price file from a model; each may be named once.

    Args:
        given: What stands behind each `--prices`.

    Raises:
        ReplayError: If there are two of a kind.

    Example:
        >>> prices_named(["gpt-4.1", "own.toml"])
        Prices(file='own.toml', model='gpt-4.1')
    """
    files = [name for name in given if name.endswith(_PRICE_FILES) or Path(name).is_file()]
    models = [name for name in given if name not in files]
    for several, what in ((files, "price file"), (models, "model")):
        if len(several) > 1:
            raise ReplayError(f"--prices takes one {what}, not {len(several)}: {', '.join(several)[:200]}.")
    return Prices(files[0] if files else None, models[0] if models else None)


@contextmanager
def progress(files: Sequence[Path]) -> Iterator[Callable[[int], None]]:
    """Show how far traces are read, where somebody is watching.

    Args:
        files: The traces.

    Yields:
        What is told how many bytes were read by now.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("Replaying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=sum(file.stat().st_size for file in files))
        yield lambda read: shown.update(task, completed=read)
