"""The benchmark of breakers and presets, on a few small runs that its authors made up."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from breakers import StepCap, main, rows, told
from episodes import Episode, Step, read_episodes

LOOP = 20


def assistant(text: str | None, *calls: tuple[str, str], tokens: int = 0) -> dict[str, Any]:
    """An answer with tool calls; with tokens, as a provider reported them."""
    asked = [
        {"id": f"{tool}{i}", "type": "function", "function": {"name": tool, "arguments": arguments}}
        for i, (tool, arguments) in enumerate(calls)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": text, "tool_calls": asked}
    return message | ({"step": {"prompt_tokens": tokens, "completion_tokens": 10}} if tokens else {})


def tool(name: str, content: str, *, error: bool = False) -> dict[str, Any]:
    """A tool's result."""
    return {"role": "tool", "tool_call_id": f"{name}0", "name": name, "content": content, "error": error}


def record(name: str, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """An episode of the schema."""
    return {
        "id": name,
        "benchmark": "made-up",
        "family": "made",
        "task_id": name,
        "model": "gpt-4o",
        "success": False,
        "system_id": "s",
        "tools_id": "t",
        "messages": [{"role": "user", "content": "Where is my parcel?"}, *messages],
        **fields,
    }


def short_run() -> list[dict[str, Any]]:
    """A call, its result, an answer."""
    return [assistant(None, ("track", '{"id": 1}')), tool("track", "on its way"), assistant("It is on its way.")]


def loop() -> list[dict[str, Any]]:
    """The same call and result, again and again."""
    return [
        message
        for _ in range(LOOP)
        for message in (assistant(None, ("track", '{"id": 1}'), tokens=1000), tool("track", "?"))
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the schema: a good run, a loop, an unjudged one, a set of winners only."""
    folder = tmp_path_factory.mktemp("traces")
    episodes = [
        record("good", short_run(), success=True),
        record("loop", loop()),
        record("unjudged", short_run(), success=None),
        record("winner", short_run(), success=True, caveat="survivorship bias: winning runs only"),
    ]
    with gzip.open(folder / "made.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(one) + "\n" for one in episodes)
    with gzip.open(folder / "prompts.json.gz", "wt") as file:
        json.dump({"s": "Help the customer."}, file)
    schema = {"type": "function", "function": {"name": "track", "description": "Tracks.", "parameters": {}}}
    (folder / "tools.json").write_text(json.dumps({"t": [schema]}))
    return folder


@pytest.fixture(scope="module")
def report(data: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows that it writes, by system and benchmark."""
    out = data / "out.json"
    main(["--data", str(data), "--json", str(out)])
    return {(row["system"], row["benchmark"]): row for row in json.loads(out.read_text())["rows"]}


def test_the_default_breakers_stop_the_loop_and_nothing_else(report: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Eight of twenty calls are paid; the good run is not touched; the set of winners is left out."""
    row = report["default breakers", "made-up"]
    assert (row["stopped"], row["killed"], row["successes"], row["n"]) == (1, 0, 1, 3)
    assert Decimal(row["saved_usd"]) == 12 * Decimal("0.00045")
    assert report["no limit", "made-up"]["stopped"] == 0
    assert Decimal(report["no limit", "made-up"]["saved_usd"]) == 0


def test_there_is_a_row_for_every_breaker_preset_and_row_of_one(
    report: dict[tuple[str, str], dict[str, Any]],
) -> None:
    """By benchmark and by family, with all columns."""
    names = {system for system, _ in report}
    assert {"breaker: identical_calls", "breaker: context_growth", "preset typical", "step cap 50"} <= names
    assert {"preset typical: step_tokens", "preset coding: breakers"} <= names
    assert {benchmark for _, benchmark in report} == {"made-up", "*"}
    columns = {"saved_usd", "saved_pct_low", "saved_pct_high", "killed_pct", "killed_pct_low", "killed_pct_high", "n"}
    assert all(columns < set(row) for row in report.values())


def test_a_preset_row_holds_by_the_budgets_own_arithmetic(data: Path) -> None:
    """A step of 9,000 tokens is refused by 8,000 a step, and a run of 51 steps at its 51st."""
    step = Step(100, 10, 1000, 0.0, "f", ())
    large = Episode("large", "b", "f", "t1", success=True, steps=(step, Step(9000, 10, 5000, 60.0, "g", ()), step))
    long = Episode("long", "b", "f", "t2", success=True, steps=(step,) * 51)
    found = {row["system"]: row for row in rows([large, long], draws=10) if row["benchmark"] == "b"}
    assert found["preset typical: step_tokens"]["saved_usd"] == Decimal("0.000006")
    assert found["preset typical: step_tokens"]["saved_pct"] == pytest.approx(100 * 6000 / 58_000)
    assert found["preset typical: run_steps"]["saved_pct"] == pytest.approx(100 * 1000 / 58_000)
    assert (found["preset typical"]["killed"], found["preset typical"]["killed_pct_low"]) == (2, 100)
    assert found["preset coding: session_usd"]["stopped"] == 0


def test_the_step_cap_that_saves_as_much_is_beside_the_breakers(
    report: dict[tuple[str, str], dict[str, Any]],
) -> None:
    """It saves at least what they save."""
    ours, plain = report["default breakers", "made-up"], report["step cap that saves as much", "made-up"]
    assert plain["saved_pct"] >= ours["saved_pct"]


def test_nothing_killed_is_not_a_promise(report: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Of one success none was killed: the upper end is everything."""
    row = report["default breakers", "made-up"]
    assert (row["killed_pct"], row["killed_pct_low"], row["killed_pct_high"]) == (0, 0, 100)


def test_tokens_are_recorded_or_counted_and_what_was_sent_before_is_read_from_the_cache(data: Path) -> None:
    """The loop's calls have recorded tokens, the good run's are counted with prompt and tools."""
    by_id = {episode.id: episode for episode in read_episodes(data)}
    assert set(by_id) == {"good", "loop", "unjudged"}
    first, second = by_id["loop"].steps[:2]
    assert (first.input_tokens, second.input_tokens) == (1000, 1000)
    assert first.cost_nano == 1000 * 3750 + 10 * 15_000
    assert second.cost_nano == 1000 * 300 + 10 * 15_000
    counted = by_id["good"].steps
    assert 10 < counted[0].input_tokens < counted[1].input_tokens < 100


def test_a_cap_stops_only_what_is_longer() -> None:
    """A run of exactly the cap ends by itself."""
    step = Step(1, 1, 5, 0.0, "f", ())
    run = Episode("r", "b", "f", "t", success=True, steps=(step,) * 3)
    assert not told(StepCap(3), run).stopped
    assert told(StepCap(2), run).saved_nano == 5
