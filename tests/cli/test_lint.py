"""`langchain-agentcost lint`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from langchain_agentcost.cli import lint
from langchain_agentcost.cli.app import app
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.replay.test_advice_ledger import booked

APP = typer.Typer()
lint.register(APP)

GRAPH = '''
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_agentcost.testing import FakeMeteredChatModel

@tool
def track(parcel: str, note: str | None = None) -> str:
    """Track a parcel."""
    return ""

model = FakeMeteredChatModel(model="gpt-4.1")
agent = create_agent(model, [track], system_prompt="You are a clerk.\\n\\n\\n\\nThe time is now 10:15:00.")
nothing = 7
'''


@APP.callback()
def root() -> None:
    """Keep `lint` a command of its own."""


def call(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(APP, ["lint", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a program and traces, from which the command is run."""
    name = f"shop_{tmp_path.name.replace('-', '_')}"  # a module is imported once in a process
    (tmp_path / f"{name}.py").write_text(GRAPH)
    tool = {
        "type": "function",
        "function": {
            "name": "track",
            "parameters": {"type": "object", "properties": {"parcel": {"type": "string", "title": "Parcel"}}},
        },
    }
    runs = [
        {
            "id": str(number),
            "model": "gpt-4.1",
            "tools": [tool, {"type": "function", "function": {"name": "cancel"}}],
            "messages": [
                {"role": "system", "content": f"You are a clerk.\nBe kind.\nHelp well.\nToday is 2026-11-{number:02}."},
                {"role": "user", "content": "Where is A7?"},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [
                        {"id": "1", "type": "function", "function": {"name": "track", "arguments": '{"parcel": "A7"}'}}
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "Bay 4."},
                {"role": "assistant", "content": "Bay 4."},
            ],
        }
        for number in range(1, 8)
    ]
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in runs))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def module(folder: Path) -> str:
    """The name of the program."""
    return next(folder.glob("shop_*.py")).stem


def read(path: Path) -> list[dict[str, Any]]:
    """What was written as JSON."""
    found: list[dict[str, Any]] = json.loads(path.read_text())["subjects"]
    return found


def test_traces_are_looked_at(folder: Path) -> None:
    """Recorded runs are read, with what changes in them and what nobody used; the exit code is 0."""
    result = call("runs.jsonl", "--json", "out.json")
    assert result.exit_code == 0, result.output
    assert "7 runs, 14 calls" in result.output
    [one] = read(folder / "out.json")
    kinds = {finding["kind"]: finding for finding in one["findings"]}
    assert {"volatile_prefix", "unused_tools", "verbose_tools"} <= kinds.keys()
    assert "from line 4 on" in kinds["volatile_prefix"]["evidence"][0]
    assert "cancel" in kinds["unused_tools"]["evidence"][0]
    assert one["proposals"] == []


@pytest.mark.parametrize("written", ["{}:agent", "{}.py:agent", "./{}.py:agent"])
def test_a_graph_is_looked_at(folder: Path, written: str) -> None:
    """A graph is named by its module, or by the path of its file as in langgraph.json."""
    before = list(sys.path)
    result = call(written.format(module(folder)), "--json", "out.json")
    assert result.exit_code == 0, result.output
    [one] = read(folder / "out.json")
    assert one["model"] == "gpt-4.1"
    assert {finding["kind"] for finding in one["findings"]} == {"volatile_prefix", "verbose_tools"}
    assert "Which tools are used is only seen in recorded runs." in result.output
    assert sys.path == before


def test_strict_is_for_builds(folder: Path) -> None:
    """--strict ends with 3 where anything was found, with 0 where nothing was, with 1 where there was nothing."""
    assert call("runs.jsonl", "--strict").exit_code == 3
    assert call(f"{module(folder)}:nothing", "--strict").exit_code == 1
    clean = {"id": "1", "model": "gpt-4.1", "messages": [
        {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."}]}  # fmt: skip
    (folder / "clean.jsonl").write_text(json.dumps(clean) + "\n")
    result = call("clean.jsonl", "--strict")
    assert result.exit_code == 0, result.output
    assert "Nothing to find fault with." in result.output


def test_fix_proposes_and_writes_nothing(folder: Path) -> None:
    """--fix shows a diff with tokens and dollars; the user's files stay as they were."""
    program = folder / f"{module(folder)}.py"
    before = program.read_text()
    result = call(f"{module(folder)}:agent", "--fix", "--json", "out.json")
    assert result.exit_code == 0, result.output
    assert "+The time is now {current_time}." in result.output
    assert "saved per 1,000 calls: " in result.output
    assert program.read_text() == before
    [one] = read(folder / "out.json")
    assert [made["what"] for made in one["proposals"]] == ["system", "tools"]


def test_another_wording_is_labelled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--rewrite asks a model, and what it says is proposed, not proven."""
    monkeypatch.setattr(
        "langchain.chat_models.init_chat_model",
        lambda name: FakeMeteredChatModel(answers=["{current_time}"], model=name),
    )
    result = call(f"{module(folder)}:agent", "--fix", "--rewrite", "gpt-4.1")
    assert result.exit_code == 0, result.output
    assert "proposed, not proven" in result.output


def test_a_model_prices_all(folder: Path) -> None:
    """--model prices what was recorded with others."""
    assert call("runs.jsonl", "--model", "claude-sonnet-4-5", "--json", "out.json").exit_code == 0
    [one] = read(folder / "out.json")
    assert one["model"] == "claude-sonnet-4-5"


def test_a_ledger_says_that_it_has_no_texts(tmp_path: Path) -> None:
    """A ledger keeps no texts, so there is nothing to look at: it says so, and ends with 1."""
    with open_ledger(tmp_path / "costs.db") as ledger:
        for entry in booked(1, read_share=0):
            ledger.append(entry)
    result = call(tmp_path / "costs.db")
    assert result.exit_code in (1, 2)
    assert "texts" in result.output or "fingerprints" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.jsonl"], "does not exist"),
        (["no_such_module:agent"], "cannot be imported"),
        (["{}:missing"], "cannot be imported"),
        (["{}:agent", "runs.jsonl"], "one graph, or at traces, at a time"),
        (["runs.jsonl", "--json", "runs.jsonl"], "is what is read, and would be lost"),
        (["runs.jsonl", "--model", "nobody-knows-it"], "No price is known for 'nobody-knows-it'"),
        (["runs.jsonl", "--rewrite", "gpt-4.1"], "needs --fix"),
        (["runs.jsonl", "--fix", "--rewrite", "nobody-knows-it"], "--rewrite nobody-knows-it"),
    ],
)
def test_what_cannot_be_is_one_line(folder: Path, arguments: list[str], said: str) -> None:
    """A wrong argument is told in a line, with exit code 2."""
    result = call(*(one.format(module(folder)) for one in arguments))
    assert result.exit_code == 2, result.output
    assert said in result.output


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise KeyError('SHOP_API_KEY')", "KeyError: 'SHOP_API_KEY'"),
        ("def (", "SyntaxError"),
        ("import sys; sys.exit('no config')", "SystemExit: no config"),
        ("import a_package_that_is_not_there", "ModuleNotFoundError"),
    ],
)
def test_a_program_that_cannot_be_imported_is_told(folder: Path, program: str, said: str) -> None:
    """Whatever a program raises while it is imported, the command says what, in a line and without a traceback."""
    name = f"broken_{module(folder)}"
    (folder / f"{name}.py").write_text(program)
    result = call(f"{name}:agent")
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert said in result.output
    assert "Traceback" not in result.output


def test_a_file_elsewhere_is_looked_at(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The path of a file may be absolute, here or in another folder, and the file finds what stands beside it."""
    here = call(f"{folder / module(folder)}.py:agent")
    assert here.exit_code == 0, here.output
    other = tmp_path_factory.mktemp("other one")
    name = f"other_{module(folder)}"
    (other / f"{name}_parts.py").write_text(GRAPH)
    (other / f"{name}.py").write_text(f"from {name}_parts import agent")
    before = list(sys.path)
    result = call(f"{other / name}.py:agent")
    assert result.exit_code == 0, result.output
    assert sys.path == before
    missing = call(f"{other / 'none'}.py:agent")
    assert missing.exit_code == 2
    assert "cannot be imported" in missing.output


def test_a_thing_that_is_no_graph_has_nothing(folder: Path) -> None:
    """What is no graph is told, and the exit code is 1."""
    result = call(f"{module(folder)}:nothing")
    assert result.exit_code == 1
    assert "No model, system message or tool was found" in result.output


def test_it_is_on_the_command_line() -> None:
    """The console script has it."""
    assert CliRunner().invoke(app, ["lint", "--help"]).exit_code == 0
