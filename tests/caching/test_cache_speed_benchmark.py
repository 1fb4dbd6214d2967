"""The benchmark of a cache's speed, on a few entries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cache_speed import brute_force, entries, lookup, main, questions, vectors

from langchain_agentcost.caching.stores import MemoryStore


def test_it_measures_every_system(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each store and each peer has a row with CPU times, all rows have the same columns, and a table is printed."""
    out = tmp_path / "rows.json"
    main(["--entries", "200", "--rounds", "3", "--no-embedding", "--json", str(out)])
    rows = json.loads(out.read_text())["rows"]
    timed = [row["system"] for row in rows if row["cpu_ms_p50"]]
    assert {name.split(":")[0].split(",")[0] for name in timed} == {
        "numpy",
        "memory",
        "sqlite",
        "langchain InMemoryVectorStore",
    }
    assert len({tuple(row) for row in rows}) == 1
    assert all(row["bytes_per_entry"] > 5_000 for row in rows if row["system"].startswith(("memory: l", "sqlite: l")))
    assert "lookup + guard + verifier" in capsys.readouterr().out


def test_peers_and_ours_answer_the_same() -> None:
    """What is compared does the same work: the five nearest, in the same order."""
    held = vectors(300)
    store = MemoryStore()
    for entry in entries(held, ["a"]):
        store.put(entry)
    for question in questions(held, 5):
        ours = [int(near.entry.key, 16) for near in lookup(store)(question)]  # type: ignore[attr-defined]
        assert ours == list(brute_force(held)(question))  # type: ignore[call-overload]
