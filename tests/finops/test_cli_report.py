from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from langchain_agentcost.cli import report as command
from langchain_agentcost.errors import QueryError
from tests.finops.booked import Book, cost, opened

NOW = datetime.now(UTC)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A ledger file with an old and two new calls and an outcome."""
    made = Book()
    opened(
        "sqlite",
        tmp_path,
        made(nano=1_000, node="old", user="ann", at=NOW - timedelta(days=30)),
        made(nano=2_000, node="draft", user="ann", tenant="acme", run="r", step=2, at=NOW - timedelta(hours=2)),
        made(nano=4_000, node="triage", user="bob", at=NOW - timedelta(hours=2)),
        made.outcome(run="r", at=NOW - timedelta(hours=1)),
    ).close()
    return tmp_path / "ledger.db"


def _run(*arguments: object) -> Result:
    app = typer.Typer()
    # A second command keeps typer from making `report` the whole application.
    app.command("other")(lambda: None)
    command.register(app)
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def _nano(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [row["cost_usd"] for row in csv.DictReader(io.StringIO(result.stdout))]


def test_a_pipe_gets_a_plain_table(book: Path) -> None:
    """Without a terminal there are no colours and no boxes, and nothing is cut."""
    result = _run(book)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "Cost by node"
    assert result.stdout.isascii()
    assert "Calls per request" in result.stdout


def test_a_terminal_gets_a_rich_table(book: Path) -> None:
    """On a terminal the report is drawn by rich, within its width."""
    code = "import typer; from langchain_agentcost.cli import report; a = typer.Typer(); report.register(a); a()"
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm", "NO_COLOR": "1"}
    subprocess.run([sys.executable, "-c", code, str(book)], stdout=follower, env=environment, check=True)
    os.close(follower)
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    assert "───" in shown
    assert "triage" in shown


@pytest.mark.parametrize(
    ("arguments", "amounts"),
    [
        (["--by", "node"], ["0.000004000", "0.000002000", "0.000001000"]),
        (["--since", "7d"], ["0.000004000", "0.000002000"]),
        (["--until", "24h"], ["0.000001000"]),
        (["--since", "1w", "--until", "30m", "--where", "user=ann"], ["0.000002000"]),
        (["--where", "user=ann", "--where", "user=bob", "--by", "user"], ["0.000004000", "0.000003000"]),
        (["--where", "tenant="], ["0.000004000", "0.000001000"]),
        (["--where", "tenant=", "--where", "user=bob"], ["0.000004000"]),
        (["--where", "kind=llm", "--where", "kind=tool", "--where", "status=ok", "--by", "kind"], ["0.000007000"]),
        (["--where", "step=2"], ["0.000002000"]),
        (
            ["--by", "user,node", "--since", (NOW - timedelta(days=2)).date().isoformat()],
            ["0.000004000", "0.000002000"],
        ),
        (["--by", "driver"], ["0.000007000"]),
        (["--by", "outcome"], ["0.000002000"]),
        (["--where", "node=nowhere"], []),
    ],
)
def test_the_report_is_narrowed_and_grouped(book: Path, arguments: list[str], amounts: list[str]) -> None:
    """Groups, conditions, ages and dates do what they say; a condition that is given twice allows either value."""
    assert _nano(_run(book, *arguments, "--format", "csv")) == amounts


def test_somebody_can_be_called_none(tmp_path: Path) -> None:
    """Only an empty value is one that is not stated."""
    made = Book()
    opened("sqlite", tmp_path, made(nano=1_000, user="none"), made(nano=2_000)).close()
    assert _nano(_run(tmp_path / "ledger.db", "--where", "user=none", "--format", "csv")) == ["0.000001000"]
    assert _nano(_run(tmp_path / "ledger.db", "--where", "user=", "--format", "csv")) == ["0.000002000"]


def test_a_url_opens_the_same_ledger(book: Path) -> None:
    """`sqlite:///FILE` is the file."""
    assert _run(f"sqlite:///{book}").stdout == _run(book).stdout


def test_each_format_can_be_written_to_a_file(book: Path, tmp_path: Path) -> None:
    """--out writes what would have been printed, and prints nothing."""
    for form in ("table", "json", "csv", "html"):
        out = tmp_path / f"report.{form}"
        assert _run(book, "--format", form, "--out", out).stdout == ""
        assert out.read_text(encoding="utf-8") == _run(book, "--format", form).stdout
    assert json.loads((tmp_path / "report.json").read_text())["total"]["calls"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--by", "prompt"], "'prompt'; choose from tenant, user"),
        (["--where", "prompt=1"], "'prompt'; choose from kind, status"),
        (["--where", "user"], "--where takes COLUMN=VALUE, got 'user'"),
        (["--where", "=x"], "--where takes COLUMN=VALUE"),
        (["--where", "step=two"], "step must be compared with a whole number, got 'two'"),
        (["--since", "yesterday"], "'yesterday' is no time; give an age such as 30m, 24h or 7d, or an ISO date."),
        (["--since", ""], "'' is no time; give an age"),
        (["--until", ""], "'' is no time; give an age"),
        (["--where", "kind=llms"], "kind is one of llm, embedding, tool,"),
        (["--where", "kind="], "kind is one of llm, embedding, tool,"),
        (["--where", "status=bad"], "status is one of ok, error, aborted; got 'bad'."),
        (["--where", "day=2026-11-23"], "cannot narrow by day; use --since and --until"),
        (["--where", "hour=2026-11-23T10:00"], "cannot narrow by hour; use --since and --until"),
        (["--until", "999999w"], "'999999w' is no time"),
        (["--by", "driver,outcome"], "not by both"),
        (["--out", "/nowhere/report.txt"], "/nowhere/report.txt"),
    ],
)
def test_a_mistake_is_answered_in_one_line(book: Path, arguments: list[str], said: str) -> None:
    """What was wrong and what is right, on one line of the error stream, with exit code 2."""
    result = _run(book, *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith("error: ")
    assert said in result.stderr


def test_a_report_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    """Where the disk is full, the old report stays, nothing is left beside it, and the error names the file."""
    made = Book()
    opened("sqlite", tmp_path, *(made(nano=1_000, node=f"n{at}") for at in range(100))).close()
    out = tmp_path / "out" / "report.json"
    out.parent.mkdir()
    out.write_text("old")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        # SQLite needs 32 kB for its index of the log; the report has 90.
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); from langchain_agentcost.cli import main; main()"
    )
    words = ["report", str(tmp_path / "ledger.db"), "--format", "json", "--out", str(out)]
    command_line = [sys.executable, "-c", code, *words]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    assert (done.returncode, out.read_text(), list(out.parent.iterdir())) == (2, "old", [out])
    assert done.stderr.startswith(f"error: {out} cannot be written: ")


@pytest.mark.parametrize("beside", ["", "-wal"])
def test_a_report_never_replaces_a_ledger(book: Path, beside: str) -> None:
    """--out with the name of a ledger, or of a file of its, is refused, and the ledger stays whole."""
    before = _run(book).stdout
    result = _run(book, "--out", f"{book}{beside}")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"belongs to the ledger {book}" in result.stderr
    assert _run(book).stdout == before


def test_a_pipe_is_written_to(book: Path, tmp_path: Path) -> None:
    """A pipe is filled and a device stays one: neither is replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text, encoding="utf-8")
        assert _run(book, "--out", pipe).exit_code == 0
        assert read.result(timeout=30) == _run(book).stdout
    assert pipe.is_fifo()
    assert _run(book, "--out", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("form", ["table", "json", "csv", "html"])
def test_a_terminal_that_cannot_show_a_label_gets_escapes(tmp_path: Path, form: str) -> None:
    """Where only ASCII can be written, the report is written all the same, in each format."""
    opened("sqlite", tmp_path, Book()(nano=1_000, user="é日本")).close()
    words = ["report", str(tmp_path / "ledger.db"), "--by", "user", "--format", form]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command_line = [sys.executable, "-m", "langchain_agentcost.cli", *words]
    done = subprocess.run(command_line, capture_output=True, env=environment, check=True)
    assert b"\\xe9\\u65e5\\u672c" in done.stdout


def test_what_caches_saved(tmp_path: Path) -> None:
    """`--by cache` is a report of its own, as drivers and outcomes are."""
    opened("sqlite", tmp_path, Book()("cache_hit", name="semantic", saved=cost(output=5 * 10**9))).close()
    result = _run(tmp_path / "ledger.db", "--by", "cache")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "Savings by cache"
    assert "$5.00" in result.stdout


def test_a_missing_ledger_is_not_made(tmp_path: Path) -> None:
    """A mistyped path is an error, not a new empty ledger."""
    for name in (tmp_path / "costs.db", f"sqlite:///{tmp_path / 'costs.db'}", tmp_path, "redis://somewhere"):
        result = _run(name)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert not list(tmp_path.iterdir())


def test_an_instant_without_a_zone_is_utc() -> None:
    """Ledgers are in UTC, so times are read in it unless they name a zone."""
    assert command.instant("2026-03-01T10:00").isoformat() == "2026-03-01T10:00:00+00:00"
    assert command.instant("2026-03-01T10:00+02:00").astimezone(UTC).hour == 8
    assert command.instant("90m", now=NOW) == NOW - timedelta(minutes=90)
    with pytest.raises(QueryError, match="no time"):
        command.instant("")
