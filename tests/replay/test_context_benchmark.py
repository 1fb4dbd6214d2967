"""The benchmark of contexts, on a few small runs that its authors made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from context import COMPARED, OURS, PEERS, main

from tests.replay.test_replay_benchmark import run


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What it writes."""
    folder = tmp_path_factory.mktemp("traces")
    runs = [run(f"r{n}", model="gpt-4o", success=n > 0) for n in range(3)]
    (folder / "runs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in runs))
    out = folder / "out.json"
    main(["--data", str(folder), "--json", str(out), "--models", "gpt-4.1"])
    written: dict[str, Any] = json.loads(out.read_text())
    assert written["benchmark"] == "context"
    found: list[dict[str, Any]] = written["rows"]
    return found


def test_ours_and_langchains_own_run_on_the_same_runs(rows: list[dict[str, Any]]) -> None:
    """Each strategy has a row with dollars, tokens of a step, and harm; LangChain's classes do too."""
    named = {row["strategy"].split(":")[0]: row for row in rows if " / " not in row["strategy"]}
    assert {*OURS, *(peer.split(":")[0] for peer in PEERS), "ClearToolUsesEdit", "SummarizationMiddleware"} < set(named)
    for row in named.values():
        assert row["n"] == 3
        assert row["step_p50"] > 0
        assert row["step_p50_before"] == named["none"]["step_p50"]


def test_ours_is_compared_with_each_alternative_by_task(rows: list[dict[str, Any]]) -> None:
    """A comparison has a ratio between its ends."""
    compared = [row for row in rows if " / " in row["strategy"]]
    assert {row["strategy"].split(" / ")[0] for row in compared} == set(COMPARED)
    for row in compared:
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
