"""What every benchmark writes: rows of one schema, a table for people, JSON for machines."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from langchain_agentcost import __version__

Row = Mapping[str, Any]


def parser(doc: str | None, *, data: bool = False) -> argparse.ArgumentParser:
    """A benchmark's argument parser: `--json OUT`, and `--data PATH` where it needs data."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, metavar="OUT", help="write the rows here")
    if data:
        made.add_argument("--data", type=Path, metavar="PATH", required=True, help="the folder with the data")
    return made


def publish(benchmark: str, rows: Sequence[Row], out: Path | None) -> None:
    """Print the rows as a table and write them as JSON.

    Args:
        benchmark: The benchmark's name.
        rows: One mapping a row; all should have the same keys, "system" first. Decimals become strings.
        out: Where to write the JSON; None writes none.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(c), *(len(line[i]) for line in cells)]) for i, c in enumerate(columns)]
    for line in [columns, ["-" * width for width in widths], *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if out:
        machine = {"python": platform.python_version(), "platform": platform.platform(), "cpus": os.cpu_count()}
        report = {"benchmark": benchmark, "version": __version__, "machine": machine, "rows": list(rows)}
        out.write_text(json.dumps(report, indent=1, default=_plain) + "\n", encoding="utf-8")


def ratio(ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0, draws: int = 2000) -> dict[str, float]:
    """The ratio of two paired samples' medians with a 95 % bootstrap interval over the pairs.

    Args:
        ours: Our measurements, one a round.
        theirs: The peer's, of the same rounds.
        seed: Of the bootstrap's random numbers.
        draws: How many resamples.

    Returns:
        `ratio`, `ratio_low` and `ratio_high`: ours over theirs.
    """
    pairs = list(zip(ours, theirs, strict=True))
    dice = random.Random(seed)  # noqa: S311  # a bootstrap, not a secret

    def of(sample: Sequence[tuple[float, float]]) -> float:
        return median(a for a, _ in sample) / median(b for _, b in sample)

    drawn = sorted(of(dice.choices(pairs, k=len(pairs))) for _ in range(draws))
    return {"ratio": of(pairs), "ratio_low": drawn[int(0.025 * draws)], "ratio_high": drawn[int(0.975 * draws) - 1]}


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _plain(value: object) -> object:
    convert: Callable[[Any], object] = str if isinstance(value, Decimal | Path) else repr
    return convert(value)
