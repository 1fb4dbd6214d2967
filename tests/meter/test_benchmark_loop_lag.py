"""The event loop benchmark runs."""

from __future__ import annotations

import json
from pathlib import Path

import loop_lag


def test_the_loop_lag_benchmark_runs_on_tiny_data(tmp_path: Path) -> None:
    """A smoke run writes a row for each system, with how long its events kept the loop."""
    out = tmp_path / "rows.json"
    loop_lag.main(["--tasks", "2", "--calls", "3", "--json", str(out)])
    report = json.loads(out.read_text())
    assert [row["system"] for row in report["rows"]] == [
        "memory",
        "memory with limits",
        "sqlite",
        "sqlite with limits",
    ]
    assert all(0 < row["blocked_p50_ms"] <= row["blocked_max_ms"] for row in report["rows"])
