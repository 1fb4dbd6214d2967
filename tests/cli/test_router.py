"""`router report`: the report of a ledger's routed calls on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from langchain_agentcost.cli import router
from langchain_agentcost.cli.app import app
from tests.finops.booked import opened
from tests.finops.routed_calls import Router

APP = typer.Typer()
router.register(APP)


@APP.callback()
def root() -> None:
    """Keep `router` a group of its own."""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger file with a draft that was escalated and an answer, in two runs and two nodes."""
    made = Router()
    entries = [
        *made.cascade(20, 900, run="a", node="read", tenant="acme"),
        *made.answer("small", 30, run="b", node="plan"),
        made.book.outcome(run="b"),
        made.book.outcome("liked", success=False, run="b"),
    ]
    opened("sqlite", tmp_path, *entries).close()
    return tmp_path / "ledger.db"


def run(*arguments: object) -> Result:
    """What the command says."""
    return CliRunner().invoke(APP, ["router", "report", *map(str, arguments)])


def said(*arguments: object) -> dict[str, Any]:
    """What the command says as JSON about routing."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)["routing"]
    return found


def test_the_table_says_who_answered_and_what_it_saved(ledger: Path) -> None:
    """Shares per tier, the saving, escalations, and the floor."""
    result = run(ledger)
    assert result.exit_code == 0, result.output
    for text in (
        "small",
        "large",
        "Saved",
        "with fewer than 10 runs no interval",
        "1 of 1 drafts",
        "Quality floor",
        "no calibration",
    ):
        assert text in result.stdout


def test_json_has_exact_amounts(ledger: Path) -> None:
    """Two calls of 1,000 nano-USD each on the strongest tier, for 950."""
    saving = said(ledger)["saving"]
    assert (saving["baseline_usd"], saving["paid_usd"]) == ("0.000002000", "0.000000950")


def test_it_can_be_narrowed_and_grouped(ledger: Path) -> None:
    """By conditions and times, and by the dimensions of a report."""
    assert said(ledger, "--where", "tenant=acme")["decisions"] == 1
    assert said(ledger, "--until", "2020-01-01")["decisions"] == 0
    assert said(ledger, "--since", "2020-01-01")["decisions"] == 2
    assert "plan" in run(ledger, "--by", "node").stdout


def test_one_outcome_may_be_named(ledger: Path) -> None:
    """All outcomes have to be good, or the one that is asked for."""
    assert [said(ledger, *asked)["tiers"]["small"]["solved"] for asked in ((), ("--outcome", "resolved"))] == [0, 1]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--where", "model=x"), "tells the calls of one decision apart"),
        (("--by", "nonsense"), "cannot group by"),
        (("--since", "soon"), "is no time"),
    ],
)
def test_misuse_is_one_line(ledger: Path, asked: tuple[str, ...], message: str) -> None:
    """A question that cannot be asked ends with 2 and says why."""
    result = run(ledger, *asked)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A report only reads."""
    result = run(tmp_path / "none.db")
    assert result.exit_code == 2
    assert not (tmp_path / "none.db").exists()


def test_it_is_on_the_command_line() -> None:
    """The application has the group, with its one command."""
    result = CliRunner().invoke(app, ["router", "--help"])
    assert result.exit_code == 0
    assert "report" in result.stdout
