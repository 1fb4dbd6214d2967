"""The benchmark of decisions runs on small numbers and writes the rows that it promises."""

from __future__ import annotations

import json
from pathlib import Path

from routing_speed import main, policies


def test_it_writes_a_row_for_each_policy(tmp_path: Path) -> None:
    """Every policy has a row with its time."""
    out = tmp_path / "speed.json"
    main(["--rounds", "2", "--calls", "2", "--messages", "4", "--json", str(out)])
    report = json.loads(out.read_text())
    assert report["benchmark"] == "routing_speed"
    assert [row["system"] for row in report["rows"]] == list(policies())
    assert all(row["messages"] == 4 and row["tiers"] == 3 and row["ms"] > 0 for row in report["rows"])
