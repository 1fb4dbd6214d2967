"""The benchmark of replay, on a few small runs that its authors made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import replay as benchmark
from replay import CACHED_SHARE, COLD, COLUMNS, COST, OURS, Peer, main

RATE_USD = {"input": 0.28e-6, "read": 0.028e-6, "output": 0.42e-6}


def step(prompt: int, cached: int) -> dict[str, Any]:
    """What DeepSeek reports of a call, billed as it bills."""
    cost = (prompt - cached) * RATE_USD["input"] + cached * RATE_USD["read"] + 50 * RATE_USD["output"]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": 50,
        "cached_tokens": cached,
        "cost_usd": cost,
        "model": "deepseek-chat",
    }


def run(name: str, **fields: Any) -> dict[str, Any]:
    """A run of four calls; with a source of its own where its provider reports."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Find the fault in the mill."}]
    prompts = (3000, 3300, 3600, 3900)
    for at, prompt in enumerate(prompts):
        call = {"name": "bash", "arguments": json.dumps({"command": f"cat src/mill_{at}.py"})}
        answer: dict[str, Any] = {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": f"c{at}", "function": call}],
        }
        if fields.get("model") == "deepseek-chat":
            answer["step"] = step(prompt, prompts[at - 1] // 64 * 64 if at else 0)
        messages += [answer, {"role": "tool", "tool_call_id": f"c{at}", "content": f"wheel {at} " * 80}]
    return {"id": name, "task_id": name, "family": "made", "benchmark": "mills", "messages": messages[:-1], **fields}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What it writes."""
    folder = tmp_path_factory.mktemp("traces")
    runs = [run(f"r{n}", model="gpt-4o", success=n > 0) for n in range(3)]
    runs += [run(f"d{n}", model="deepseek-chat", source="mills by DeepSeek", success=True) for n in range(2)]
    (folder / "runs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in runs))
    out = folder / "out.json"
    main(["--data", str(folder), "--json", str(out)])
    written: dict[str, Any] = json.loads(out.read_text())
    assert written["benchmark"] == "replay"
    found: list[dict[str, Any]] = written["rows"]
    return found


def test_there_is_a_row_for_every_strategy_and_the_peer(rows: list[dict[str, Any]]) -> None:
    """Ours and LangChain's, each with what is saved with caching on and off, its interval, harm and fidelity."""
    of_mills = {row["strategy"]: row for row in rows if row["benchmark_set"] == "mills"}
    assert of_mills.keys() >= {"none", *(name for name in OURS if name != "limits:preset=support"), "limits", COLD}
    assert of_mills[Peer.name]["system"] == "langchain"
    assert all(set(COLUMNS) <= row.keys() for row in rows)
    saved = ("tokens_saved_pct", "usd_saved_pct_cache_on", "usd_saved_pct_cache_off", "ci_low", "ci_high", "fidelity")
    assert all(row[name] is not None for row in of_mills.values() for name in saved)
    assert of_mills["volatile_head"]["usd_saved_pct_cache_on"] < 0 < of_mills["prompt_cache"]["usd_saved_pct_cache_off"]


def test_what_providers_reported_is_met(rows: list[dict[str, Any]]) -> None:
    """DeepSeek's cached share within 1.5 points, and its cost of every call to 1e-8."""
    reported = {row["strategy"]: row for row in rows if row["benchmark_set"] == "mills by DeepSeek"}
    assert abs(reported[CACHED_SHARE]["points_off"]) < 1.5
    cost = reported[COST]
    assert (cost["calls_off_by_more_than_1e-8"], cost["n"]) == (0, 8)


def test_a_cost_that_is_not_met_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At other prices every call is off, and the row says so."""
    lines = json.dumps(run("d", model="deepseek-chat")) + "\n"
    (tmp_path / "runs.jsonl").write_text(lines)
    dearer = {"models": [{"model": "deepseek-chat", "input": "0.30", "cache_read": "0.028", "output": "0.42"}]}
    monkeypatch.setattr(benchmark, "BILLED", dearer)
    found = list(benchmark.validations(benchmark.episodes(tmp_path)))
    assert [row.get("calls_off_by_more_than_1e-8") for row in found] == [None, 4]
