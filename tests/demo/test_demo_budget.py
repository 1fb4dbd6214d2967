import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig

from langchain_agentcost import Budget, CostMeter
from langchain_agentcost.demo.clerk import Clerk
from langchain_agentcost.demo.local_model import LocalModel
from langchain_agentcost.demo.models import BILLED_AS_UNDER_A_BUDGET, ECONOMY_ALIAS, local_model
from langchain_agentcost.demo.prompts import VERIFY, Verdict
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.limits.approvals import pending
from langchain_agentcost.limits.budget import in_whole
from langchain_agentcost.limits.holds import Account
from langchain_agentcost.limits.store import open_store
from tests.demo.test_demo_command import run

BUDGET = Decimal("0.002")
"""Enough for some calls, but for the worst case of none."""

COMMAND = (sys.executable, "-m", "langchain_agentcost.cli")


def arguments(folder: Path) -> list[str]:
    """Ask for one ticket under the budget, with its ledger where the test finds it."""
    return ["demo", "--tickets", "1", "--budget", str(BUDGET), "--out", str(folder), "--ledger", str(folder / "l.db")]


def spent(folder: Path, *by: str) -> dict[tuple[object, ...], Decimal]:
    """Give what the ledger says was spent, by some dimension."""
    with open_ledger(f"sqlite:///{folder / 'l.db'}") as ledger:
        return {row.key: row.cost.usd for row in ledger.totals(by=by)}


def account(folder: Path) -> Account:
    """Give the budget's account; no question may be open."""
    store = open_store(folder / "l.budgets.db", create=False)
    try:
        assert pending(store) == ()
        (only,) = store.accounts()
    finally:
        store.close()
    assert only.reserved == 0
    return only


def read_until(output: IO[bytes], text: bytes) -> bytes:
    """Read what a demo writes until it has written this, or ended."""
    seen = b""
    while text not in seen:
        try:
            more = os.read(output.fileno(), 65536)
        except OSError:  # how Linux says that a terminal's other side is closed
            break
        if not more:
            break
        seen += more
    return seen


@contextmanager
def at_a_terminal(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start the demo at a terminal of its own."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*COMMAND, *arguments(folder)], stdin=theirs, stdout=theirs, stderr=theirs) as demo:
        os.close(theirs)
        with os.fdopen(ours, "r+b", buffering=0) as terminal:
            yield demo, terminal


def test_a_person_at_the_terminal_is_asked_and_the_run_goes_on(tmp_path: Path) -> None:
    """Whoever raises the limit far enough lets the ticket be resolved."""
    with at_a_terminal(tmp_path) as (demo, terminal):
        asked = read_until(terminal, b"such as r 0.01: ")
        assert b"Ticket 1/1 waits" in asked
        terminal.write(b"r 0.05\n")
        rest = read_until(terminal, b"what is never written")
        assert demo.wait(timeout=60) == 0
    assert b"raised, which adds $0.05" in rest
    assert re.search(rb"ticket +1/1 .* resolved", rest)
    after = account(tmp_path)
    assert after.raised == in_whole("usd", "0.05")
    assert after.spent == in_whole("usd", spent(tmp_path)[()])


def test_another_process_answers_as_well(tmp_path: Path) -> None:
    """The command on the screen lets the run go on to its next question; the end of the input says no to that one."""
    given = [*COMMAND, *arguments(tmp_path)]
    with subprocess.Popen(given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as demo:
        assert demo.stdin is not None
        assert demo.stdout is not None
        asked = read_until(demo.stdout, b"such as r 0.01: ")
        command = re.search(rf"budgets approve {re.escape(str(tmp_path))}/l.db \S+", asked.decode())
        assert command is not None
        approved = subprocess.run([*COMMAND, *command[0].split()], capture_output=True, check=False)
        assert approved.returncode == 0, approved.stderr
        again = read_until(demo.stdout, b"such as r 0.01: ")
        demo.stdin.close()
        rest = read_until(demo.stdout, b"what is never written")
        assert demo.wait(timeout=60) == 0
    assert b"Answered from another terminal." in again
    assert b"nobody can answer" in rest
    after = account(tmp_path)
    assert after.raised >= after.limit
    assert 0 < after.spent == in_whole("usd", spent(tmp_path)[()]) <= after.cap


@pytest.mark.parametrize("action", ["interrupt", "raise"])
def test_a_run_that_must_not_go_on_stops_before_it_overspends(tmp_path: Path, action: str) -> None:
    """Denied, as by nobody being there, or raised: the ticket is stopped before the call, and the reports are shown."""
    shown = run(*arguments(tmp_path)[1:], "--on-limit", action)
    assert shown.exit_code == 0, shown.output
    assert re.search(r"ticket +1/1 .* stopped", shown.output)
    assert "0 of 1 tickets resolved" in shown.output
    assert ("nobody can answer" in shown.output) == (action == "interrupt")
    assert spent(tmp_path) == {(): 0}
    assert account(tmp_path).spent == 0


def test_draining_makes_the_call_and_stops_after_it(tmp_path: Path) -> None:
    """The call that there was no room for is made, and the superstep after it is not."""
    shown = run(*arguments(tmp_path)[1:], "--on-limit", "drain")
    assert shown.exit_code == 0, shown.output
    assert re.search(r"ticket +1/1 .* stopped", shown.output)
    assert "has no room" in shown.output
    assert set(spent(tmp_path, "node")) == {("triage",)}


def test_downgrading_takes_the_cheaper_model(served: LocalModel) -> None:
    """Where a budget has no room for the desk's model, the second one answers, with a schema as with a stream."""
    with LocalModel(alias=ECONOMY_ALIAS, slots=1) as economy:
        model = local_model(served, billed_as=BILLED_AS_UNDER_A_BUDGET, economy=economy)
        capped = Budget(usd=BUDGET, on_limit="downgrade")
        with CostMeter(prices=model.prices, budgets=[capped]) as meter:
            clerk, config = Clerk(model.chat), RunnableConfig(callbacks=list(meter.callbacks))
            assert clerk.choose(Verdict, examples=VERIFY[:1], text="Facts: none.\nReply: Yes.", config=config)
            assert clerk.write([HumanMessage("Say yes.")], config)
            (used,) = meter.report(by="model").rows
    assert used.key == (ECONOMY_ALIAS,)
    assert used.llm_calls == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [(["--on-limit", "raise"], "--budget USD"), (["--budget", "much"], "much"), (["--budget", "-1"], "-1")],
)
def test_a_budget_that_cannot_be_is_one_line(tmp_path: Path, given: list[str], said: str) -> None:
    """What is wrong is said before anything is started."""
    failed = run(*given, "--out", tmp_path)
    assert failed.exit_code == 1
    assert said in failed.output
    assert failed.output.count("\n") == 1
