from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from langchain_core.messages import BaseMessage, ToolMessage
from typer.testing import CliRunner, Result

from langchain_agentcost.cli import advise
from langchain_agentcost.cli.app import app
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.replay.episode import Episode
from tests.replay.advice_runs import MISTAKES, clean
from tests.replay.test_advice_ledger import booked

APP = typer.Typer()
advise.register(APP)


@APP.callback()
def root() -> None:
    """Keep `advise` a command of its own."""


def call(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(APP, ["advise", *map(str, arguments)])


def line(run: Episode) -> dict[str, Any]:
    """A run as a line of the OpenAI chat form."""
    told = {id(call.answer): call.recorded for call in run.calls}
    history = [*run.calls[-1].messages, run.calls[-1].answer, *run.calls[-1].results]
    return {
        "id": run.id,
        "source": run.source,
        "benchmark": run.benchmark,
        "family": run.family,
        "task_id": run.task,
        "model": run.model,
        "success": run.success,
        "tools": [dict(tool) for tool in run.tools],
        "messages": [said(message, told.get(id(message))) for message in history],
    }


def said(message: BaseMessage, told: Any) -> Mapping[str, Any]:
    """A message in that form."""
    role = {"human": "user", "ai": "assistant"}.get(message.type, message.type)
    made: dict[str, Any] = {"role": role, "content": message.content}
    if isinstance(message, ToolMessage):
        made |= {"tool_call_id": message.tool_call_id, "name": message.name, "error": message.status == "error"}
    if calls := getattr(message, "tool_calls", None):
        made["tool_calls"] = [
            {
                "id": one["id"],
                "type": "function",
                "function": {"name": one["name"], "arguments": json.dumps(one["args"])},
            }
            for one in calls
        ]
    if told is not None and told.usage is not None:
        made["step"] = {
            "prompt_tokens": told.usage.input_tokens,
            "completion_tokens": told.usage.output_tokens,
            "cached_tokens": told.usage.cache_read_tokens,
            "cost_usd": (told.cost_nano or 0) / 1e9,
            "ts": told.at_s,
        }
    return made


def traces(folder: Path, runs: list[Episode], name: str = "runs.jsonl") -> Path:
    """A file of runs."""
    path = folder / name
    path.write_text("".join(json.dumps(line(run)) + "\n" for run in runs))
    return path


def test_traces_give_findings_with_code(tmp_path: Path) -> None:
    """A file of runs is read, and what was found is printed; the exit code is 0."""
    result = call(traces(tmp_path, MISTAKES["prompt_cache"]()))
    assert result.exit_code == 0, result.output
    assert "1 finding: 1 worth it." in result.output
    assert "saves $0.417, 63.1%" in result.output
    assert "AnthropicPromptCachingMiddleware" in result.output


def test_good_traces_give_none(tmp_path: Path) -> None:
    """An agent that does nothing wrong is told so, with exit code 0."""
    result = call(traces(tmp_path, clean()))
    assert result.exit_code == 0
    assert "Nothing was found" in result.output


def test_a_folder_of_traces_is_read(tmp_path: Path) -> None:
    """All files of a folder are one reading."""
    traces(tmp_path, clean()[:12], "a.jsonl")
    traces(tmp_path, clean()[12:], "b.jsonl")
    assert "Advice on 24 runs" in call(tmp_path).output


def test_a_ledger_gives_findings(tmp_path: Path) -> None:
    """A ledger's file is known as one, by its path and by its URL."""
    path = tmp_path / "costs.db"
    with open_ledger(path) as ledger:
        for number in range(20):
            for entry in booked(number, read_share=0):
                ledger.append(entry)
    for named in (path, f"sqlite:///{path}"):
        result = call(named)
        assert result.exit_code == 0, result.output
        assert "prompt cache is not hit" in result.output


def test_paths_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is named as the shell names it."""
    monkeypatch.chdir(tmp_path)
    traces(tmp_path, clean()[:2])
    assert "Advice on 2 runs" in call("runs.jsonl").output


def test_the_findings_are_written_as_json(tmp_path: Path) -> None:
    """--json writes every finding, also those that are not shown."""
    out = tmp_path / "advice.json"
    result = call(traces(tmp_path, MISTAKES["loops"]()), "--json", out, "--top", 0)
    assert result.exit_code == 0
    assert "meter = CostMeter" not in result.output
    data = json.loads(out.read_text())
    assert [one["kind"] for one in data["findings"]] == ["loops"]
    assert "meter = CostMeter" in data["findings"][0]["code"]


def test_the_floor_decides(tmp_path: Path) -> None:
    """A lower --floor is proven by what a higher one is not."""
    path = traces(tmp_path, MISTAKES["loops"]())
    assert "1 not worth it yet" in call(path).output
    assert "1 worth it" in call(path, "--floor", 0.5).output


def test_a_model_or_a_file_prices_what_has_no_price(tmp_path: Path) -> None:
    """--prices takes the name of a model that stands in, or a file that states the price."""
    runs = [{**line(run), "model": "our-own"} for run in MISTAKES["loops"]()]
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in runs))
    stated = tmp_path / "prices.toml"
    stated.write_text('models = [{ model = "our-own", input = 2, output = 8 }]\n')
    assert "tokens without a price" in call(path).output
    for prices in ("gpt-4.1", stated):
        assert "without a price" not in call(path, "--prices", prices).output
    assert "gpt-4.1 stands in for our-own" in call(path, "--prices", "gpt-4.1").output
    assert "gpt-4o stands in for none" in call(path, "--prices", "gpt-4o", "--prices", stated).output


def test_nothing_to_look_at_is_told_by_the_exit_code(tmp_path: Path) -> None:
    """A ledger without a call, and traces without one, end with 1, as in `replay`."""
    silent = tmp_path / "runs.jsonl"
    silent.write_text(json.dumps({**line(clean()[0]), "messages": [{"role": "user", "content": "Hello?"}]}) + "\n")
    for given in ("memory://", silent):
        result = call(given)
        assert result.exit_code == 1, result.output
        assert "There are no runs." in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.jsonl"], "does not exist"),
        (["runs.jsonl", "--floor", "1.5"], "--floor: min is a share above 0"),
        (["runs.jsonl", "--prices", "nobody-knows-it"], "No price is known for 'nobody-knows-it'"),
        (["runs.jsonl", "--prices", "gpt-4o", "--prices", "gpt-4.1"], "--prices takes one model, not 2"),
        (["runs.jsonl", "--json", "runs.jsonl"], "is what is read, and would be lost"),
        (["runs.jsonl", "memory://"], "one ledger, or at traces, at a time"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    """A wrong argument is told in a line, with exit code 2, before any work is done."""
    monkeypatch.chdir(tmp_path)
    before = traces(tmp_path, clean()[:1]).read_text()
    result = call(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert (tmp_path / "runs.jsonl").read_text() == before


def test_it_is_on_the_command_line() -> None:
    """The console script has it."""
    assert CliRunner().invoke(app, ["advise", "--help"]).exit_code == 0
