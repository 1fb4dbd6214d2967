from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from langchain_agentcost.cli import check

APP = typer.Typer()
check.register(APP)


@APP.callback()
def root() -> None:
    """Keep `check` a command of its own."""


TOML = """
mode = "observe"
ledger = "sqlite:///costs.db"
store = "postgresql://ann:s3cret@db.example/budgets"
preset = { name = "typical", run_steps = 80 }

[prices]
models = [{ model = "our-model", input = 0.5, output = 1.5 }]

[[budget]]
usd = "20.00"
total_tokens = 1_000_000
per = ["tenant", "user"]
window = "day"
where = { deployment = "production" }
thresholds = { "85%" = "downgrade", "65%" = "warn", "99.5%" = "interrupt" }
name = "daily"

[[budget]]
tool_calls = 3
tool = "send_refund"
per = "session"
on_limit = "drain"

[[breaker]]
kind = "token_velocity"
stop = 2_000_000

[[breaker]]
kind = "tool_errors"
warn = 4
stop = 8
tool = "search"
on_trip = "interrupt"

[[alert]]
webhook = "https://ann:s3cret@hooks.example.com/s3cret"
secret_env = "CHECK_SECRET"
"""


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy file whose secret is in the environment."""
    monkeypatch.setenv("CHECK_SECRET", "s3cret-s3cret-s3cret-s3cret")
    path = tmp_path / "agentcost.toml"
    path.write_text(TOML, encoding="utf-8")
    return path


def run(*arguments: str | Path) -> Result:
    """Run the command line in a pipe."""
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


def test_check_says_what_a_policy_means(policy: Path) -> None:
    """Mode, places, prices and receivers are facts; each limit is a row with whose it is and what happens when."""
    result = run("check", policy)
    assert (result.exit_code, result.stderr) == (0, "")
    facts, table = result.stdout.split("\n\n")
    assert facts.splitlines() == [
        f"policy  {policy} is valid",
        "mode    observe",
        "ledger  sqlite:///costs.db",
        "store   postgresql://db.example/budgets",
        "prices  1 model lines, above the bundled list",
        "alerts  Webhook('https://hooks.example.com/…', signed)",
    ]
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()]
    assert rows == [
        ["name", "limit", "per", "window", "only", "what happens"],
        ["step budget", "8,000 tokens", "step", "total", "raise at the limit"],
        ["run budget", "80 steps", "run", "total", "raise at the limit"],
        ["session budget", "$5", "session", "total", "raise at the limit"],
        ["tool_retries breaker at 3", "tool_retries", "run", "total", "raise at 3"],
        [
            "daily",
            "$20",
            "tenant and user",
            "day",
            "deployment=production",
            "warn at 65%, downgrade at 85%, interrupt at 99.5%, raise at the limit",
        ],
        [
            "daily",
            "1,000,000 tokens",
            "tenant and user",
            "day",
            "deployment=production",
            "warn at 65%, downgrade at 85%, interrupt at 99.5%, raise at the limit",
        ],
        ["session budget send_refund", "3 tool calls", "session", "total", "send_refund", "drain at the limit"],
        ["token_velocity breaker at 2000000", "token_velocity", "run", "total", "raise at 2,000,000"],
        [
            "tool_errors breaker of search at 8",
            "tool_errors",
            "run",
            "total",
            "search",
            "warn at 4, interrupt at 8",
        ],
    ]


def test_check_shows_nothing_secret(policy: Path) -> None:
    """Neither secrets nor passwords nor the paths of receivers are printed."""
    result = run("check", policy)
    assert "s3cret" not in result.output
    assert "ann" not in result.output


def test_check_of_an_empty_policy_says_what_holds_then(tmp_path: Path) -> None:
    """What is not stated is said, too."""
    path = tmp_path / "agentcost.toml"
    path.write_text("", encoding="utf-8")
    result = run("check", path)
    assert result.exit_code == 0
    assert result.stdout.endswith("prices  the bundled list\n\nNo limits.\n")


def test_check_refuses_with_one_line(policy: Path, tmp_path: Path) -> None:
    """A fault is exit code 1 and one line on standard error, with file, line and key; nothing else is printed."""
    policy.write_text(f"{TOML}\n[[budget]]\nusd = -1\n", encoding="utf-8")
    lines = len(TOML.splitlines())
    for path, told in (
        (policy, f"{policy}, line {lines + 3}, budget[2].usd: usd=-1"),
        (tmp_path / "no.toml", "no.toml"),
    ):
        result = run("check", path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert told in result.stderr


def test_check_is_on_the_command_line() -> None:
    """The console script has the command."""
    from langchain_agentcost.cli.app import app  # noqa: PLC0415  # the whole command line is slow to import

    assert "check" in {command.name for command in app.registered_commands}
