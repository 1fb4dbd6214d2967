"""The benchmark of all features together, on small runs that its authors made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from composed import ROUTERS, main

from langchain_agentcost.replay.strategies.composed import FEATURES
from tests.replay.test_replay_benchmark import run

SOLVED = {"gpt-4.1": 9, "gpt-4o-mini": 5}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What it writes of twelve tasks that were recorded with two models."""
    folder = tmp_path_factory.mktemp("traces")
    runs = [
        run(f"{model}-{n}", task_id=f"t{n}", model=model, source=model, success=n < solved)
        for model, solved in SOLVED.items()
        for n in range(12)
    ]
    (folder / "runs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in runs))
    out = folder / "out.json"
    main(["--data", str(folder), "--json", str(out), "--models", "gpt-4.1"])
    found: list[dict[str, Any]] = json.loads(out.read_text())["rows"]
    return found


def test_the_features_add_up_to_the_totals(rows: list[dict[str, Any]]) -> None:
    """Each is told what it saves beyond those before it; the first three are the headline."""
    features = [row for row in rows if row["what"].startswith("feature: ")]
    assert [row["what"].removeprefix("feature: ") for row in features] == [feature.name for feature in FEATURES]
    totals = {row["what"]: row for row in rows if row["what"].startswith("total") and row["aim_pct"]}
    saved = [row["usd_saved_pct"] for row in features]
    assert totals["total"]["usd_saved_pct"] == pytest.approx(sum(saved))
    assert totals["total, same information"]["usd_saved_pct"] == pytest.approx(sum(saved[:3]))
    assert totals["total, same information"]["fidelity"] == "same information"


def test_the_router_takes_part_where_both_models_were_recorded(rows: list[dict[str, Any]]) -> None:
    """What it saves beyond the other features adds up to its total; too few tasks leave the strong model."""
    routed = {row["what"]: row for row in rows if "router" in row["what"]}
    assert len(routed) == 2 * (1 + 2 * len(ROUTERS))
    for features in ("same information", "all"):
        alone = routed[f"before the router: {features}"]
        for policy in ROUTERS:
            part = routed[f"router after {features}: {policy.name}"]
            total = routed[f"total, {features} and router: {policy.name}"]
            assert total["usd_saved_pct"] == pytest.approx(alone["usd_saved_pct"] + part["usd_saved_pct"])
            assert (total["fidelity"], total["hindsight"]) == ("recorded outcome", policy.hindsight)
        assert routed[f"router after {features}: {ROUTERS[0].name}"]["usd_saved_pct"] == 0
