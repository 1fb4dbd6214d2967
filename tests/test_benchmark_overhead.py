"""The overhead benchmark runs on small numbers and writes the rows that it promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from overhead import main
from rows import ratio


def test_it_writes_a_row_for_each_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours and the peers that need no account, at one length of history."""
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    out = tmp_path / "overhead.json"
    ours = ["agentcost memory", "agentcost memory, budgets", "agentcost sqlite"]
    names = [*ours, "UsageMetadataCallbackHandler", "LangChainTracer on loopback"]
    main(["--rounds", "2", "--calls", "3", "--messages", "20", "--json", str(out), "--systems", *names])
    report = json.loads(out.read_text())
    assert report["benchmark"] == "overhead"
    assert {row["system"] for row in report["rows"]} == {"bare", *names}
    assert all(row["messages"] == 20 and row["n"] == 6 for row in report["rows"])
    assert all({"cpu_us", "wall_us"} <= set(row) for row in report["rows"])


def test_a_ratio_has_an_interval_around_it() -> None:
    """Half is half, and the interval is of the pairs."""
    found = ratio([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 8.0])
    assert found["ratio"] == 0.5
    assert found["ratio_low"] <= 0.5 <= found["ratio_high"]
