from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from langchain_agentcost.cli import budgets, doctor
from langchain_agentcost.ledger import Entry, SQLiteLedger
from langchain_agentcost.limits.approvals import Approval, ask, find, pending
from langchain_agentcost.limits.holds import Account, Denied, Granted, Line
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore
from langchain_agentcost.pricing import Cost
from langchain_agentcost.usage import Usage

APP = typer.Typer()
budgets.register(APP)
doctor.register(APP)

ANN = "session budget:usd|session=ann"
BOB = "session budget:usd|session=bob"
STEPS = "run budget:steps|run=r1"
TIME = "clock:wall_time|run=r1"
ACME = "tenant budget a day:usd|tenant=acme"
BOBS = Line(BOB, 5_000_000_000, 0)
LINES = (
    Line(ANN, 5_000_000_000, 2_000_000_000),
    Line(STEPS, 50, 1),
    Line(TIME, 90_000, 1_500),
    Line(ACME, 100_000_000_000, 2_000_000_000, window="day"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the store that an app uses."""
    return tmp_path / "costs.budgets.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteBudgetStore]:
    """The app's own store, open all the time: one call is settled, one is under way."""
    with SQLiteBudgetStore(path) as opened:
        opened.reserve("h0", [BOBS])
        opened.settle("h0", [0])
        opened.reserve("h1", LINES, call_id="c1")
        opened.settle("h1", [1_250_000_000, 1, 1_500, 1_250_000_000])
        opened.reserve("h2", LINES[:1], call_id="c2")
        yield opened


def run(*arguments: str | Path) -> Result:
    """Run the command line in a pipe."""
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


def refused(result: Result) -> str:
    """The one line with which a command refused."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def account(store: SQLiteBudgetStore, scope: str = ANN) -> Account:
    """An account as the app sees it."""
    (found,) = [account for account in store.accounts() if account.scope == scope]
    return found


def question(**changes: Any) -> Approval:
    """What the app asks when ann's session has no room."""
    asked = Approval(
        id="q1",
        scope=ANN,
        window="total",
        unit="usd",
        title="session budget",
        thread="ann",
        run="r1",
        message="The session budget of $5 has no room for this call.",
        limit=5_000_000_000,
        spent=1_250_000_000,
        needed=4_000_000_000,
        resume="graph.invoke(Command(resume='approve'))",
        asked_at=datetime(2026, 11, 23, 20, 30, tzinfo=UTC),
    )
    return replace(asked, **changes)


def test_list_shows_every_account_in_its_unit(store: SQLiteBudgetStore, path: Path) -> None:
    """Dollars, steps and seconds are shown as such, a window with its start."""
    result = run("budgets", "list", path)
    assert result.exit_code == 0
    rows = [[cell for cell in line.split("  ") if cell.strip()] for line in result.stdout.splitlines()]
    plain = [[cell.strip() for cell in row] for row in rows]
    assert plain[0] == ["budget", "of", "window", "limit", "spent", "reserved", "left", "state"]
    assert ["session budget", "session=ann", "total", "$5", "$1.25", "$2", "$1.75"] in plain
    assert ["run budget", "run=r1", "total", "50 steps", "1 step", "0 steps", "49 steps"] in plain
    assert ["clock", "run=r1", "total", "90 s", "1.5 s", "0 s", "88.5 s"] in plain
    day = f"day {datetime.now(UTC):%Y-%m-%d}"
    assert ["tenant budget a day", "tenant=acme", day, "$100", "$1.25", "$0", "$98.75"] in plain


def test_list_says_what_a_person_did_and_is_asked(store: SQLiteBudgetStore, path: Path) -> None:
    """Frozen and raised accounts are marked; open questions stand below with their reason."""
    store.freeze(ANN)
    store.raise_limit(ANN, 500_000_000)
    ask(store, question())
    shown = run("budgets", "list", path, "--where", "ANN").stdout
    assert "frozen, raised by $0.5" in shown
    assert "q1        2026-11-23 20:30  ann     The session budget of $5 has no room for this call." in shown
    assert "bob" not in shown
    assert "q1" not in run("budgets", "list", path, "--where", "bob").stdout


def test_list_can_be_empty(tmp_path: Path) -> None:
    """A new store has no accounts, and that is no fault."""
    SQLiteBudgetStore(tmp_path / "new.db").close()
    result = run("budgets", "list", tmp_path / "new.db")
    assert (result.exit_code, result.stdout) == (0, "No account matches.\n")


def test_list_as_json_is_exact(store: SQLiteBudgetStore, path: Path) -> None:
    """Machines get whole scopes, USD and seconds as text, counts as numbers, and the questions."""
    ask(store, question())
    listed = json.loads(run("budgets", "list", path, "--format", "json").stdout)
    by_scope = {record["scope"]: record for record in listed["accounts"]}
    assert by_scope[ANN] == {
        "scope": ANN,
        "budget": "session budget",
        "unit": "usd",
        "of": "session=ann",
        "window": "total",
        "window_start": None,
        "limit": "5",
        "raised": "0",
        "spent": "1.25",
        "reserved": "2",
        "left": "1.75",
        "frozen": False,
    }
    assert by_scope[STEPS]["left"] == 49
    assert by_scope[ACME]["window_start"].endswith("T00:00:00+00:00")
    (asked,) = listed["approvals"]
    assert (asked["id"], asked["thread"], asked["needed"], asked["unit"]) == ("q1", "ann", "4", "usd")


def test_list_as_csv_is_safe_in_a_spreadsheet(store: SQLiteBudgetStore, path: Path) -> None:
    """A scope that starts like a formula is none."""
    store.reserve("h3", [Line("=1+1", 5, 1)])
    rows = list(csv.DictReader(io.StringIO(run("budgets", "list", path, "--format", "csv").stdout)))
    assert len(rows) == len(LINES) + 2
    assert {row["scope"] for row in rows} >= {ANN, "'=1+1"}
    assert next(row["left"] for row in rows if row["scope"] == ANN) == "1.75"


def test_raise_adds_to_a_limit_while_the_app_runs(store: SQLiteBudgetStore, path: Path) -> None:
    """The app's very next call sees it, and the command says what changed."""
    assert isinstance(store.reserve("h3", [replace(LINES[0], fixed=4_000_000_000)]), Denied)
    result = run("budgets", "raise", path, "=ann", "--by", "2.50")
    assert result.exit_code == 0
    assert "The limit was $5 and is $7.5." in result.stdout
    assert ["left", "$4.25"] in [line.split() for line in result.stdout.splitlines()]
    assert isinstance(store.reserve("h3", [replace(LINES[0], fixed=4_000_000_000)]), Granted)


@pytest.mark.parametrize(
    ("scope", "arguments", "raised"),
    [
        (ANN, ("--to", "10"), 5_000_000_000),
        (ANN, ("--to", "1"), -4_000_000_000),
        (ANN, ("--by=-0.5",), -500_000_000),
        (STEPS, ("--by", "7"), 7),
        (TIME, ("--to", "120.5"), 30_500),
    ],
)
def test_raise_takes_amounts_in_the_unit(
    store: SQLiteBudgetStore, path: Path, scope: str, arguments: tuple[str, ...], raised: int
) -> None:
    """USD, counts and seconds; --to says what the limit shall be."""
    assert run("budgets", "raise", path, scope, *arguments).exit_code == 0
    assert account(store, scope).raised == raised


def test_raise_to_counts_what_was_raised_before(store: SQLiteBudgetStore, path: Path) -> None:
    """--to is the limit with all that was added to it."""
    for _ in range(2):
        assert run("budgets", "raise", path, ANN, "--to", "8").exit_code == 0
    assert account(store).cap == 8_000_000_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--by AMOUNT or --to AMOUNT"),
        (("--by", "1", "--to", "2"), "one of them"),
        (("--by", "much"), "not 'much'"),
        (("--by", "NaN"), "not 'NaN'"),
        (("--by", "--1"), "not '-1'"),
    ],
)
def test_raise_refuses_what_is_no_amount(
    store: SQLiteBudgetStore, path: Path, arguments: tuple[str, ...], said: str
) -> None:
    """One line says what was wrong, and nothing was changed."""
    assert said in refused(run("budgets", "raise", path, ANN, *arguments))
    assert account(store).raised == 0


def test_part_of_a_step_cannot_be_added(store: SQLiteBudgetStore, path: Path) -> None:
    """Counts are whole."""
    assert "whole number" in refused(run("budgets", "raise", path, STEPS, "--by", "1.5"))


def test_freeze_stops_the_app_and_thaw_lets_it_go_on(store: SQLiteBudgetStore, path: Path) -> None:
    """A frozen account grants nothing until it is thawed."""
    line = [replace(BOBS, fixed=1)]
    assert "is frozen" in run("budgets", "freeze", path, "bob").stdout
    assert "was frozen" in run("budgets", "freeze", path, "bob").stdout
    assert isinstance(store.reserve("h3", line), Denied)
    assert "is open" in run("budgets", "freeze", path, "bob", "--thaw").stdout
    assert isinstance(store.reserve("h3", line), Granted)


def test_an_ambiguous_scope_changes_nothing(store: SQLiteBudgetStore, path: Path) -> None:
    """The accounts that it may mean are named on standard error, and exit code 1 says so."""
    result = run("budgets", "freeze", path, "session")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "2 accounts have 'session' in their name:",
        f"  {ANN}  (total)",
        f"  {BOB}  (total)",
    ]
    assert not any(account.frozen for account in store.accounts())


def test_a_whole_scope_is_never_ambiguous(store: SQLiteBudgetStore, path: Path) -> None:
    """An account whose name is the start of another one's can be named."""
    store.reserve("h3", [Line(f"{ANN}2", 5, 1)])
    assert run("budgets", "freeze", path, ANN).exit_code == 0
    assert account(store).frozen
    assert not account(store, f"{ANN}2").frozen


def test_one_scope_with_two_windows_is_told_apart(store: SQLiteBudgetStore, path: Path) -> None:
    """A budget that was given another window has two accounts: --window says which one is meant."""
    store.reserve("h3", [Line(ANN, 5, 1, window="month")])
    assert run("budgets", "freeze", path, ANN).exit_code == 1
    assert run("budgets", "freeze", path, ANN, "--window", "month").exit_code == 0
    assert {a.window for a in store.accounts() if a.frozen} == {"month"}


def test_an_unknown_scope_is_not_made(store: SQLiteBudgetStore, path: Path) -> None:
    """A typing error makes no account; some that there are are named, not all of thousands."""
    for number in range(30):
        store.reserve(f"u{number}", [Line(f"b:usd|user={number}", 5, 1)])
    result = run("budgets", "raise", path, "nobody", "--by", "1")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert (lines[0], len(lines)) == ("No account has 'nobody' in its name. There are:", 22)
    assert lines[-1] == "  … and 15 more: see budgets list."
    assert len(store.accounts()) == len(LINES) + 31


def test_approve_answers_the_only_question(store: SQLiteBudgetStore, path: Path) -> None:
    """Without an id the one that waits is meant; the limit is granted again, and it is said how to go on."""
    ask(store, question())
    result = run("budgets", "approve", path)
    assert result.exit_code == 0
    assert "Approval q1 is approved, which adds $5 to the limit." in result.stdout
    assert "thread ann is resumed. graph.invoke(Command(resume='approve'))" in result.stdout
    assert account(store).raised == 5_000_000_000
    assert pending(store) == ()


def test_approve_takes_an_amount_and_the_start_of_an_id(store: SQLiteBudgetStore, path: Path) -> None:
    """One of several is named by as much of its id as it takes."""
    ask(store, question(id="abc1"))
    ask(store, question(id="abd2"))
    assert run("budgets", "approve", path, "abc", "--by", "0.75").exit_code == 0
    assert account(store).raised == 750_000_000
    assert [asked.id for asked in pending(store)] == ["abd2"]


@pytest.mark.parametrize("arguments", [(), ("ab",), ("zz",)])
def test_approve_asks_which_one_is_meant(store: SQLiteBudgetStore, path: Path, arguments: tuple[str, ...]) -> None:
    """Where several wait they are listed, and none is answered."""
    ask(store, question(id="abc1"))
    ask(store, question(id="abd2", message="Another one."))
    result = run("budgets", "approve", path, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "  abc1  The session budget" in result.stderr
    assert "  abd2  Another one." in result.stderr
    assert len(pending(store)) == 2


def test_approve_says_when_nobody_is_asked(store: SQLiteBudgetStore, path: Path) -> None:
    """Nothing to answer is exit code 1."""
    result = run("budgets", "approve", path)
    assert (result.exit_code, result.stderr) == (1, "Nobody is asked anything.\n")


def test_the_second_answer_is_told_the_first(store: SQLiteBudgetStore, path: Path) -> None:
    """What was answered stands, and whoever comes later hears of it."""
    ask(store, question())
    denied = run("budgets", "deny", path, "q1")
    assert (denied.exit_code, "Approval q1 is denied." in denied.stdout) == (0, True)
    assert "The run stops when its thread ann is resumed." in denied.stdout
    assert "approve" not in denied.stdout
    for late in (run("budgets", "approve", path, "q1"), run("budgets", "deny", path, "q1")):
        assert late.exit_code == 1
        assert "the first answer stands: denied." in late.stderr
    assert account(store).raised == 0


@pytest.mark.parametrize(("amount", "said"), [("0", "above 0"), ("-1", "above 0"), ("much", "not 'much'")])
def test_approve_refuses_what_makes_no_room(store: SQLiteBudgetStore, path: Path, amount: str, said: str) -> None:
    """An amount that is none leaves the question open."""
    ask(store, question())
    assert said in refused(run("budgets", "approve", path, "--by", amount))
    assert len(pending(store)) == 1


def test_a_breaker_is_approved_without_an_amount(store: SQLiteBudgetStore, path: Path) -> None:
    """It is about no account: an amount is refused, a plain approval is not."""
    ask(store, question(scope="run=r1", unit="", limit=0, thread=None))
    assert "nothing to raise" in refused(run("budgets", "approve", path, "--by", "1"))
    result = run("budgets", "approve", path)
    assert result.stdout.splitlines()[-1] == "Approval q1 is approved."


def test_a_ledger_means_the_store_beside_it(store: SQLiteBudgetStore, path: Path) -> None:
    """The ledger's file or URL will do, and a relative one too."""
    ledger = path.with_name("costs.db")
    SQLiteLedger(ledger).close()
    by_store = run("budgets", "list", path).stdout
    assert "session=ann" in by_store
    relative = os.path.relpath(ledger)
    for name in (ledger, f"sqlite:///{ledger}", f"sqlite:///{path}", relative, f"sqlite:///{relative}"):
        assert run("budgets", "list", name).stdout == by_store


@pytest.mark.parametrize("command", [("list",), ("raise", "x", "--by", "1"), ("approve",), ("deny", "q1")])
def test_a_typing_error_makes_no_store(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A path without a store is one clear line and leaves no file, also beside a ledger that has none."""
    name, *rest = command
    assert "There is no budget store" in refused(run("budgets", name, tmp_path / "cost.budgets.db", *rest))
    SQLiteLedger(tmp_path / "costs.db").close()
    before = sorted(tmp_path.iterdir())
    assert "costs.budgets.db" in refused(run("budgets", name, tmp_path / "costs.db", *rest))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "said"),
    [("memory://", "its own process"), ("mysql://host/db", "No budget store"), ("a\0b", "is not a path")],
)
def test_what_cannot_be_opened_is_said(name: str, said: str) -> None:
    """Stores of other processes, unknown schemes and what is no path."""
    assert said in refused(run("budgets", "list", name))


def test_another_process_approves_while_this_one_waits(store: SQLiteBudgetStore, path: Path) -> None:
    """The console script in a second terminal answers the run that waits in the first."""
    ask(store, question())
    command = [sys.executable, "-m", "langchain_agentcost.cli", "budgets", "approve", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as terminal:
        until = time.monotonic() + 60
        while pending(store) and time.monotonic() < until:
            time.sleep(0.01)
        seen = find(store, "q1")
        out, _ = terminal.communicate(timeout=60)
    assert seen is not None
    assert (seen.status, account(store).raised) == ("approved", 5_000_000_000)
    assert (terminal.returncode, b"Approval q1 is approved" in out) == (0, True)


def test_doctor_finds_nothing_in_a_store_in_order(store: SQLiteBudgetStore, path: Path) -> None:
    """It says what it looked at, and that no ledger was named."""
    result = run("doctor", path)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert ["accounts", "5"] in [line.split() for line in lines]
    assert ["under", "way", "1"] in [line.split() for line in lines]
    assert "--ledger" in result.stdout
    assert lines[-1] == "Nothing is wrong."


def test_doctor_repairs_what_can_be(store: SQLiteBudgetStore, path: Path) -> None:
    """A lost settlement is made up for from the ledger beside the store; a second look finds nothing."""
    book(path.with_name("costs.db"), "c1", "c2")
    found = run("doctor", path.with_name("costs.db"))
    assert found.exit_code == 1
    assert "wrong: Call c2 took $1.25 of session budget:usd|session=ann, says the ledger" in found.stdout
    assert found.stdout.splitlines()[-1] == "Run it again with --repair to put right what can be."
    repaired = run("doctor", path, "--ledger", path.with_name("costs.db"), "--repair")
    assert (repaired.exit_code, repaired.stdout.splitlines()[-1]) == (0, "Everything was put right.")
    assert "repaired: Call c2" in repaired.stdout
    assert (account(store).spent, account(store).reserved) == (2_500_000_000, 0)
    assert run("doctor", path.with_name("costs.db")).stdout.splitlines()[-1] == "Nothing is wrong."


def test_doctor_lists_what_nobody_can_explain(store: SQLiteBudgetStore, path: Path) -> None:
    """Many findings of a kind are counted, and repair leaves them and exit code 1."""
    book(path.with_name("costs.db"), "c1", "c2")
    for number in range(25):
        store.reserve(f"x{number}", [replace(LINES[0], fixed=1)], call_id=f"x{number}")
        store.settle(f"x{number}", [1])
    result = run("doctor", path.with_name("costs.db"), "--repair")
    assert result.exit_code == 1
    assert sum(line.startswith("wrong: Call x") for line in result.stdout.splitlines()) == 20
    assert "… and 5 more like these (unbooked)." in result.stdout
    assert "for a person to look at" in result.stdout


def test_doctor_refuses_a_ledger_that_is_not_there(store: SQLiteBudgetStore, path: Path) -> None:
    """A ledger's typing error is one line, and makes no ledger."""
    assert "There is no ledger" in refused(run("doctor", path, "--ledger", path.with_name("cost.db")))
    assert not path.with_name("cost.db").exists()


def book(ledger: Path, *calls: str) -> None:
    """Write calls of $1.25 into a ledger."""
    with SQLiteLedger(ledger) as opened:
        for call in calls:
            cost = Cost(total_nano=1_250_000_000, input_nano=1_250_000_000)
            opened.append(Entry(call, "llm", datetime.now(UTC), usage=Usage(input_tokens=9), cost=cost))
