from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "prices.py"


def case(name: str, expected: str, *, litellm: str, agrees: bool) -> dict[str, Any]:
    """A golden case of no tokens, which costs nothing at any price."""
    return {
        "id": name,
        "provider": "openai",
        "model": "gpt-4o-mini",
        "request_time": "2026-11-23T12:00:00+00:00",
        "service_tier": None,
        "batch": False,
        "usage_metadata": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
        "expected_usd": expected,
        "cross_check": {"genai_prices": expected, "litellm": litellm},
        "agrees": {"genai_prices": True, "litellm": agrees},
    }


def test_the_benchmark_judges_and_lists_disagreements(tmp_path: Path) -> None:
    """On data that it has never seen, it tells right from wrong, lists what sources dispute, and re-prices traces."""
    cases = [
        case("right", "0", litellm="0", agrees=True),
        case("wrong", "1", litellm="1", agrees=True),
        case("disputed", "1", litellm="0", agrees=False),
        case("silent", "0", litellm="ERR no such model", agrees=False),
    ]
    (tmp_path / "cases.json").write_text(json.dumps({"meta": {}, "cases": cases}), encoding="utf-8")
    step = {"prompt_tokens": 1000, "completion_tokens": 100, "cached_tokens": 500, "cost_usd": 0.000196}
    steps = [step, step | {"cost_usd": 0.5}]
    episodes = [
        {"source": f"runs-{n}", "model": "deepseek-x", "messages": [{"role": "assistant", "step": taken}]}
        for n, taken in enumerate(steps)
    ]
    with gzip.open(tmp_path / "swe.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(episode) + "\n" for episode in episodes)
    out = tmp_path / "out.json"
    command: list[str | Path] = [sys.executable, SCRIPT, "--data", tmp_path, "--traces", tmp_path, "--json", out]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    rows = [row for row in json.loads(out.read_text())["rows"] if row["system"] == "langchain-agentcost"]
    verdicts = {row["case"]: (row["ok"], bool(row["disagreement"])) for row in rows if "rounding" not in row["case"]}
    assert verdicts == {
        "right": (True, False),
        "wrong": (False, False),
        "disputed": (True, True),
        "silent": (True, False),
        "trace:runs-0:deepseek-x": (True, False),
        "trace:runs-1:deepseek-x": (False, True),
    }
    assert all(row["ok"] for row in rows if "rounding" in row["case"])
