"""The benchmark runs, on a ledger too small to measure anything."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "ledger.py"


def test_every_system_is_measured_at_every_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows have the stated columns, for ours at three sizes and with many users, for the alternatives at two."""
    monkeypatch.syspath_prepend(str(BENCHMARK.parent))
    monkeypatch.setattr(sys, "argv", ["ledger.py", "--entries", "300", "--json", str(tmp_path / "out.json")])
    runpy.run_path(str(BENCHMARK), run_name="__main__")
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [row["system"] for row in rows if row["users"] == 20_000] == ["ours, memory", "ours, sqlite"]
    alone = [(row["system"], row["entries"]) for row in rows if row["threads"] == 1 and row["users"] == 200]
    assert [size for system, size in alone if system == "ours, sqlite"] == [3, 30, 300]
    assert [size for system, size in alone if system == "json lines"] == [3, 30]
    assert {row["system"] for row in rows if row["threads"] == 8} == {system for system, _ in alone}
    assert all(row["appends_per_s"] > 0 and row["report_node_s"] > 0 and row["report_user_s"] > 0 for row in rows)
