"""The benchmark of recorded outcomes, on small runs that its authors made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from routing_replay import POLICIES, main

from tests.replay.test_replay_benchmark import run

SOLVED = {"gpt-4.1": 9, "gpt-4o": 5, "gpt-4o-mini": 3}


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve tasks, recorded with three models."""
    folder = tmp_path_factory.mktemp("traces")
    runs = [
        run(f"{model}-{n}", task_id=f"t{n}", model=model, source=model, success=n < solved)
        for model, solved in SOLVED.items()
        for n in range(12)
    ]
    (folder / "runs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in runs))
    return folder


def rows(traces: Path, *options: str) -> list[dict[str, Any]]:
    """What it writes."""
    out = traces / "out.json"
    main(["--data", str(traces), "--json", str(out), *options])
    found: list[dict[str, Any]] = json.loads(out.read_text())["rows"]
    return found


def test_each_pair_with_the_strongest_has_a_row_for_every_policy(traces: Path) -> None:
    """What was recorded is labelled so, and the price of one model on the answers of the other as a bound."""
    found = rows(traces)
    by_pair: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in found:
        by_pair.setdefault((row["cheap"], row["strong"]), []).append(row)
    assert set(by_pair) == {("gpt-4o-mini", "gpt-4.1"), ("gpt-4.1", "gpt-4o")}
    for made in by_pair.values():
        assert [row["policy"] for row in made[:-1]] == [policy.name for policy in POLICIES]
        assert {row["fidelity"] for row in made[:-1]} == {"recorded outcome"}
        assert made[-1]["fidelity"] == "price bound only"
        assert all(row["usd_saved_low"] <= row["usd_saved_pct"] <= row["usd_saved_high"] for row in made)
        assert {row["n"] for row in made} == {12}


def test_pairs_can_be_named_and_all_be_had(traces: Path) -> None:
    """All three pairs, or that of two models."""
    assert len({(row["cheap"], row["strong"]) for row in rows(traces, "--all-pairs")}) == 3
    named = rows(traces, "--tiers", "gpt-4o-mini,gpt-4o")
    assert {(row["cheap"], row["strong"]) for row in named} == {("gpt-4o-mini", "gpt-4o")}
