"""The benchmark of the caches' workloads runs."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import cache_workloads


def test_the_workloads_run_on_a_few_requests(tmp_path: Path) -> None:
    """A smoke run serves each workload cold and warm; ours serve nothing wrong, and the meter books what was saved."""
    out = tmp_path / "rows.json"
    cache_workloads.main(["--requests", "16", "--json", str(out)])
    rows = json.loads(out.read_text())["rows"]
    assert {(row["workload"], row["cache"], row["pass"]) for row in rows} == {
        (workload, cache, number)
        for workload in ("support stream", "invoices")
        for cache in ("model", "tool", "subgraph")
        for number in ("cold", "warm")
    }
    ours = [row for row in rows if "Cache, " in row["system"] or row["system"] in ("ToolCache", "cached_subgraph")]
    assert {row["cache"] for row in ours if row["hits"]} == {"model", "tool", "subgraph"}
    for row in ours:
        assert row["wrong_hits"] == 0
        assert Decimal(row["net_usd"]) == Decimal(row["saved_usd"])
