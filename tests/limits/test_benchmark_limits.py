"""The benchmark runs, with too few calls to measure anything."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "limits.py"


def rows(monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: str) -> list[dict[str, Any]]:
    """What the benchmark writes."""
    monkeypatch.setattr(sys, "argv", ["limits.py", *arguments, "--json", str(out)])
    runpy.run_path(str(BENCHMARK), run_name="__main__")
    written: list[dict[str, Any]] = json.loads(out.read_text())["rows"]
    return written


def test_every_store_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows have the stated columns; ours never overshoot, and the naive store is beside them."""
    made = rows(monkeypatch, tmp_path / "out.json", "--processes", "2", "--calls", "20")
    columns = {
        "system",
        "processes",
        "overshoot_pct",
        "unused_pct",
        "reserves_per_s",
        "p50_ms",
        "p99_ms",
        "max_ms",
        "n",
    }
    assert all(columns <= row.keys() for row in made)
    assert {row["system"] for row in made} == {"memory", "sqlite", "naive, check then add"}
    assert [row["overshoot_pct"] for row in made if not row["system"].startswith("naive")] == [0] * 6


def test_kills_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--kills` gives one row of what was bought and what is spent."""
    (row,) = rows(monkeypatch, tmp_path / "out.json", "--kills", "2")
    assert (row["kills"], row["still_reserved"], row["spent_differs"]) == (2, 0, 0)
