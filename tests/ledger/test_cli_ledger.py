"""The ledger's commands, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from langchain_agentcost.cli.ledger import register
from langchain_agentcost.ledger import open_ledger
from tests.ledger.made import call

app = typer.Typer()
register(app)


def run(*words: object) -> Result:
    """Type a command."""
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with three calls: two of ann's on Monday, one of bob's on Tuesday."""
    with open_ledger(tmp_path / "ledger.db") as ledger:
        for number, user in enumerate(["ann", "ann", "bob"]):
            ledger.append(call(number, user=user, session=f"s-{user}", minutes=number * 700))
    return tmp_path / "ledger.db"


def test_export_writes_to_standard_output_and_nothing_else(path: Path) -> None:
    """Without --out the entries go into the pipe, one JSON object a line."""
    done = run("export", path, "--where", "user=ann")
    assert done.exit_code == 0
    assert [json.loads(line)["user"] for line in done.stdout.splitlines()] == ["ann", "ann"]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_export_writes_each_format(path: Path, tmp_path: Path, form: str) -> None:
    """A file is written and the count is said."""
    out = tmp_path / f"out.{form}"
    done = run("export", f"sqlite:///{path}", "--format", form, "--out", out, "--since", "2026-11-24")
    assert (done.exit_code, done.stdout) == (0, f"1 entries written to {out}.\n")
    assert out.stat().st_size > 0


def test_forget_and_prune_say_what_they_did(path: Path) -> None:
    """Each command answers with a count."""
    assert run("forget", path, "--user", "ann").stdout.startswith("2 entries no longer name the user")
    assert run("prune", path, "--before", "2026-11-24").stdout == "2 entries removed.\n"
    with open_ledger(path) as ledger:
        assert [total.key for total in ledger.totals(("user",))] == [("bob",)]


def test_info_shows_what_is_there(path: Path) -> None:
    """Kinds and days, and where the ledger lies."""
    assert (
        run("info", path).stdout
        == f"ledger  sqlite:///{path}\nkinds   llm (3 calls)\ndays    2026-11-23 to 2026-11-24\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("info", "no/such.db"),
        ("export", "{path}", "--where", "nonsense=1"),
        ("export", "{path}", "--where", "nonsense"),
        ("export", "{path}", "--since", "yesterday"),
        ("export", "{path}", "--out", "no/such/folder/out.csv"),
        ("prune", "{path}", "--before", "soon"),
        ("forget", "mysql://x", "--user", "ann"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(path: Path, words: tuple[str, ...]) -> None:
    """No traceback: one line on standard error says what was wrong."""
    done = run(*(word.format(path=path) for word in words))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
