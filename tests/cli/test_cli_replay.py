"""`langchain-agentcost replay`, as people run it: a process with files, a pipe or a terminal, and Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from langchain_agentcost.cli import replay
from langchain_agentcost.replay.strategies import DEFAULT, STRATEGIES

COMMAND = (sys.executable, "-m", "langchain_agentcost.cli", "replay")
AT = ("--at", "2026-11-01")
PATIENCE_S = 120.0


def trace(number: int, *, calls: int = 3, **fields: Any) -> str:
    """A run as a line of JSON: orders are looked up, then it says that it is done."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You help in a shop. " * 20},
        {"role": "user", "content": f"What is in order ORDER-{number}?"},
    ]
    for at in range(calls - 1):
        asked = {"name": "get_order", "arguments": json.dumps({"id": f"ORDER-{number + at}"})}
        messages.append({"role": "assistant", "content": "", "tool_calls": [{"id": f"c{at}", "function": asked}]})
        messages.append({"role": "tool", "tool_call_id": f"c{at}", "content": '{"order":  "two lamps"}'})
    known = {"source": f"s{number % 5}", "benchmark": "shop", "task_id": f"t{number % 20}", "success": number % 3 > 0}
    messages.append({"role": "assistant", "content": "Done."})
    return json.dumps({"id": f"run-{number}", "messages": messages, "model": "claude-sonnet-4-5"} | known | fields)


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """A file of 30 runs of five sources, with a line that is none."""
    lines = [trace(number, calls=2 + number % 4) for number in range(30)]
    file = tmp_path / "traces.jsonl"
    file.write_text("\n".join([*lines[:10], "{no json", *lines[10:]]) + "\n")
    return file


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


def called(*arguments: object) -> Result:
    """Run the command in this process: what it does is the same, and it takes no seconds to start."""
    app = typer.Typer()
    app.command("other")(lambda: None)  # a second command keeps typer from making `replay` the whole application
    replay.register(app)
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


def test_a_pipe_gets_tables_and_files_get_all(traces: Path, tmp_path: Path) -> None:
    """One command prints the tables and writes JSON and a page; the fault is in all of them."""
    files = ("--json", tmp_path / "o.json", "--html", tmp_path / "o.html")
    done = run(traces, "--strategy", "minify,mask_sliding:keep=1", *files)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "Replay of 30 runs with 103 model calls"
    assert re.search(r"^Faults +1 could not be read: traces.jsonl:11: not JSON", done.stdout, re.MULTILINE)
    read = json.loads((tmp_path / "o.json").read_text())
    assert [row["strategy"] for row in read["rows"]] == ["none", "minify", "mask_sliding:keep=1"]
    assert (read["episodes"], read["faults"]["count"], read["complete"]) == (30, 1, True)
    assert (tmp_path / "o.html").read_text().count("<svg") == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["o.html", "o.json", "traces.jsonl"]


def test_a_terminal_gets_a_drawn_table_and_a_bar(traces: Path) -> None:
    """In a terminal the table is drawn within its width, and while the traces are read a bar is there."""
    with in_terminal(traces, "--strategy", "minify") as (process, shown):
        text = "".join(shown)
        assert process.wait(PATIENCE_S) == 0
    assert "───" in text
    assert "Replaying" in text


def test_without_a_choice_the_usual_strategies_are_replayed(traces: Path, tmp_path: Path) -> None:
    """`--strategy` may be left out, or given several times."""
    called(traces, "--json", tmp_path / "o.json")
    called(traces, "--strategy", "minify", "--strategy", "truncate,minify", "--json", tmp_path / "p.json")
    rows = [json.loads((tmp_path / f"{name}.json").read_text())["rows"] for name in "op"]
    usual, chosen = ([row["strategy"] for row in found] for found in rows)
    assert (usual, chosen) == (["none", *DEFAULT], ["none", "minify", "truncate"])


def test_the_list_needs_no_traces() -> None:
    """`--list` names every strategy with its numbers and what it does; what it shows can be given to --strategy."""
    done = run("--list")
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines()[1 : 1 + len(STRATEGIES)]} == set(STRATEGIES)
    assert re.search(r"^mask_batched +open-loop +keep=3:until=13 +Let tool results pile up", done.stdout, re.MULTILINE)
    assert ", ".join(DEFAULT) in done.stdout


def test_prices_are_a_model_a_file_or_both(traces: Path, tmp_path: Path) -> None:
    """A model prices all calls, a file prices each by its own model, and a file may price a model that no list has."""
    (tmp_path / "prices.toml").write_text(
        'models = [{ model = "claude-sonnet-4-5", input = 100, output = 0 }, { model = "us", input = 50, output = 0 }]'
    )
    bills = []
    for given in (["gpt-4.1"], [tmp_path / "prices.toml"], ["us", tmp_path / "prices.toml"]):
        options = [option for prices in given for option in ("--prices", prices)]
        done = called(traces, *options, *AT, "--strategy", "minify", "--json", tmp_path / "o.json")
        assert done.exit_code == 0, done.stderr
        read = json.loads((tmp_path / "o.json").read_text())
        bills.append((read["settings"]["prices"], float(read["rows"][0]["usd_cache_off"])))
        assert read["settings"]["priced_at"] == "2026-11-01T00:00:00+00:00"
    assert [name for name, _ in bills] == ["gpt-4.1", "each run's own model", "us"]
    assert bills[1][1] == pytest.approx(2 * bills[2][1])
    assert bills[0][1] < bills[2][1]


def test_a_warm_start_is_cheaper(tmp_path: Path) -> None:
    """With --warm a run finds its system message in the cache; JSON says which start was taken."""
    (tmp_path / "t.jsonl").write_text(trace(1, system="You know all of our rules. " * 400))
    bills = {}
    for start in ((), ("--warm",)):
        called(tmp_path / "t.jsonl", *start, *AT, "--json", tmp_path / "o.json")
        read = json.loads((tmp_path / "o.json").read_text())
        bills[read["settings"]["warm"]] = float(read["rows"][0]["usd"])
    assert bills[True] < bills[False]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "No traces are named"),
        (["nowhere.jsonl"], "nowhere.jsonl does not exist"),
        (["TRACES", "--strategy", "magic"], "There is no strategy 'magic'"),
        (["TRACES", "--strategy", "truncate:tokens=0"], "tokens is at least 1"),
        (["TRACES", "--prices", "nobody-sells-this"], "No price is known for 'nobody-sells-this'"),
        (["TRACES", "--prices", "nowhere.toml"], "nowhere.toml"),
        (["TRACES", "--prices", "gpt-4.1", "--prices", "gpt-4o"], "--prices takes one model, not 2"),
        (["TRACES", "--at", "yesterday"], "'yesterday' is no time"),
        (["TRACES", "--html", "no/such/folder/o.html"], "cannot be written"),
        (["TRACES", "--html", "TRACES"], "is one of the traces and would be lost"),
        (["TRACES", "--html", "o.json"], "already being written to"),
    ],
)
def test_misuse_is_one_line_and_writes_nothing(
    traces: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    """What is wrong is said in one line, with exit code 2; no file is there that was not there before."""
    monkeypatch.chdir(traces.parent)
    before = traces.read_bytes()
    done = called("--json", "o.json", *(str(traces) if argument == "TRACES" else argument for argument in arguments))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert [file.name for file in traces.parent.iterdir()] == ["traces.jsonl"]
    assert traces.read_bytes() == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_fault_in_the_middle_is_one_line_too(traces: Path, jobs: int) -> None:
    """A model that a strategy cannot price is found when its first run is replayed, in whatever process that is."""
    wanted = ("--strategy", "route_reads:to=nobody-sells-this", "--jobs", jobs)
    done = run(traces, *wanted, "--json", traces.parent / "o.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: No price is known for 'nobody-sells-this'")
    assert done.stderr.count("\n") == 1
    assert [file.name for file in traces.parent.iterdir()] == ["traces.jsonl"]


def test_nothing_to_replay_is_exit_code_1(tmp_path: Path) -> None:
    """Where no run could be read the faults are told, and a script can see that there is no result."""
    (tmp_path / "t.jsonl").write_text(trace(1, messages=[]) + "\n")
    done = called(tmp_path / "t.jsonl")
    assert done.exit_code == 1
    assert "no model was called" in done.stdout


def test_the_number_of_processes_changes_nothing(traces: Path, tmp_path: Path) -> None:
    """Three processes give the same tables, JSON and page as one, to the last byte: faults are counted once."""
    for jobs in (1, 3):
        files = ("--json", tmp_path / f"{jobs}.json", "--html", tmp_path / f"{jobs}.html")
        done = run(traces, *AT, "--jobs", jobs, *files)
        assert (done.returncode, done.stderr) == (0, "")
        (tmp_path / f"{jobs}.txt").write_text(done.stdout)
    for kind in ("txt", "json", "html"):
        assert (tmp_path / f"1.{kind}").read_bytes() == (tmp_path / f"3.{kind}").read_bytes()


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, jobs: int) -> None:
    """A replay that is stopped writes what it has, says that it is incomplete, and ends with exit code 130."""
    count = 40_000
    (tmp_path / "t.jsonl").write_text("\n".join(trace(number) for number in range(count)))
    files = ("--json", str(tmp_path / "o.json"), "--html", str(tmp_path / "o.html"))
    with in_terminal(tmp_path / "t.jsonl", "--strategy", "minify", "--jobs", jobs, *files) as (process, shown):
        text = until(shown, r"[1-9][\d.]*/[\d.]+ MB")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes
        text += "".join(shown)
        assert process.wait(PATIENCE_S) == 130
    assert "Stopping; what is done is kept." in text
    assert "the replay was stopped" in text
    read = json.loads((tmp_path / "o.json").read_text())
    assert read["complete"] is False
    assert 0 < read["episodes"] < count
    assert {row["episodes"] for row in read["rows"]} == {read["episodes"]}
    assert "the replay was stopped" in (tmp_path / "o.html").read_text()
    assert_nothing_runs(process.pid)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, jobs: int) -> None:
    """Whoever cannot wait for the run that is replayed presses again: nothing is written, nothing goes on running."""
    (tmp_path / "t.jsonl").write_text(trace(1, calls=4000))
    with in_terminal(tmp_path / "t.jsonl", "--jobs", jobs, "--html", str(tmp_path / "o.html")) as (process, shown):
        until(shown, r"([1-9][\d.]*)/\1 [kM]B")  # its only line was read, so that the run is being replayed
        os.killpg(process.pid, signal.SIGINT)
        until(shown, "Stopping")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
    assert [file.name for file in tmp_path.iterdir()] == ["t.jsonl"]
    assert_nothing_runs(process.pid)


@contextmanager
def in_terminal(*arguments: object) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[str]]]:
    """Run the command in a terminal, in a process group of its own; give the process and what it shows, bit by bit."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=follower,
        stderr=follower,
        env=environment,
        start_new_session=True,
    )
    os.close(follower)
    try:
        yield process, _shown(leader)
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def until(shown: Iterator[str], pattern: str) -> str:
    """Read what a terminal shows until this is there."""
    text = ""
    for bit in shown:
        text = (text + bit)[-4000:]
        if re.search(pattern, text):
            return text
    pytest.fail(f"the command ended and did not show {pattern!r}, but {text!r}")


def _shown(leader: int) -> Iterator[str]:
    while True:
        try:
            read = os.read(leader, 65536)
        except OSError:  # Linux says EIO when the last process that has the terminal is gone
            return
        if not read:
            return
        yield read.decode(errors="replace")


def assert_nothing_runs(group: int) -> None:
    """All processes of a group are gone, within a moment."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a process of the replay goes on running")
