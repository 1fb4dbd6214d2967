"""The benchmark of breakers and presets, on a few small runs that its authors made up."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from breakers import TARIFFS, Run, StepCap, main, rows
from langchain_core.messages import AIMessage, HumanMessage

from langchain_agentcost.replay import Episode, Recorded
from langchain_agentcost.replay.episode import assemble
from langchain_agentcost.replay.literals import Literals
from langchain_agentcost.replay.run import run
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.strategy import Scene
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

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
        for step in range(LOOP)
        for message in (assistant(None, ("track", '{"id": 1}'), tokens=2000 + 20 * step), tool("track", "?"))
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
    calls = [(2000 + 20 * (step - 1)) * 300 + 20 * 3_750 + 10 * 15_000 for step in range(8, LOOP)]
    assert Decimal(row["saved_usd"]) == Decimal(sum(calls)).scaleb(-9).quantize(Decimal("0.000001"))
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


def recorded(name: str, tokens: list[int]) -> Episode:
    """A successful run of calls that a provider counted so many input tokens of, and ten of output."""
    messages = [message for at in range(len(tokens)) for message in (HumanMessage(f"{at}?"), AIMessage(f"{at}!"))]
    steps = {2 * at + 1: Recorded(Usage(count, 10)) for at, count in enumerate(tokens)}
    return Episode(name, assemble(messages, steps), benchmark="b", family="f", task=name, success=True)


def test_a_preset_row_holds_by_the_budgets_own_arithmetic() -> None:
    """A step of 9,000 tokens is refused by 8,000 a step, and a run of 51 steps at its 51st."""
    large, long = recorded("large", [100, 9000, 9100]), recorded("long", [100 + 2 * step for step in range(51)])
    found = {row["system"]: row for row in rows([large, long], draws=10) if row["benchmark"] == "b"}
    answer = 10 * 15_000
    large_steps = [9000 * 3_750 + answer, 9000 * 300 + 100 * 3_750 + answer]
    assert found["preset typical: step_tokens"]["saved_usd"] == Decimal(sum(large_steps)).scaleb(-9)
    assert found["preset typical: run_steps"]["saved_usd"] == Decimal(200 * 3_000 + answer).scaleb(-9)
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


def test_a_cap_stops_only_what_is_longer() -> None:
    """A run of exactly the cap ends by itself, replayed or told."""
    episode = recorded("r", [100, 110, 120])
    tariff = TARIFFS.of_episode(episode)
    assert tariff is not None
    scene = Scene(episode, Sizes(episode, TokenCounter()), tariff, TARIFFS, Literals(episode))
    outcomes = {cap: run(scene, StepCap(cap)) for cap in (2, 3)}
    assert {cap: outcome.stopped is not None for cap, outcome in outcomes.items()} == {2: True, 3: False}
    whole = Run("b", "f", "r", outcomes[3].costs)
    assert not StepCap(3).told(whole, succeeded=True).stopped
    assert StepCap(2).told(whole, succeeded=True).saved_nano == outcomes[3].on_nano - outcomes[2].on_nano
