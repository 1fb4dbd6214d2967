from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.cli import prices, reprice
from langchain_agentcost.ledger import Entry, open_ledger
from langchain_agentcost.usage import Usage

APP = typer.Typer()
prices.register(APP)
reprice.register(APP)

TOML = """
[[models]]
model = "our-model"
input = 1.5
output = 6
cache_read = 0.15
tiers = [{ above_input_tokens = 200_000, input = 3, output = 9 }]
request = 0.002

[currency]
code = "EUR"
rates = [{ from = 2026-01-01, per_usd = 0.8 }]
"""


@pytest.fixture
def price_file(tmp_path: Path) -> Path:
    """A valid price file."""
    path = tmp_path / "prices.toml"
    path.write_text(TOML, encoding="utf-8")
    return path


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


def test_show_prints_the_rates_and_their_source(price_file: Path) -> None:
    """A model's rates, steps, fees, currency and source are shown as plain columns."""
    result = run("prices", "show", "our-model", "--prices", price_file, "--at", "2026-05-01")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["input", "1.5", "3", "1.2"] in rows
    assert ["cache_read", "0.15", "0.15", "0.12"] in rows
    assert "per request" in result.stdout
    assert "above 200,000 input tokens" in result.stdout
    assert "override" in result.stdout


def test_show_finds_a_bundled_price() -> None:
    """Without a file the bundled list is asked, for a tier and a time too."""
    result = run("prices", "show", "GPT-4o-mini", "--provider", "openai", "--tier", "nonsense", "--at", "2026-10-01")
    assert result.exit_code == 0
    assert "genai-prices" in result.stdout
    assert "no nonsense price; standard used" in result.stdout


def test_show_refuses_an_unknown_model() -> None:
    """A model without a price is one clear line and exit code 2."""
    assert "No price is known for 'nobody' of openai" in refused(
        run("prices", "show", "nobody", "--provider", "openai")
    )


def test_show_refuses_a_time_that_is_none() -> None:
    """A time that cannot be read is named."""
    assert "'soon' is no time" in refused(run("prices", "show", "gpt-4o-mini", "--at", "soon"))


def test_check_tells_age_source_and_hash() -> None:
    """The bundled list's version, hash, size and newest price are shown."""
    result = run("prices", "check")
    assert result.exit_code == 0
    facts = dict(line.split("  ", 1) for line in result.stdout.splitlines() if "  " in line)
    assert "genai-prices" in facts["list"]
    assert len(facts["hash"].strip()) == 12
    assert "days ago" in result.stdout


def test_check_accepts_a_valid_file(price_file: Path) -> None:
    """A valid file is said to be valid, with what it holds."""
    result = run("prices", "check", "--prices", price_file)
    assert result.exit_code == 0
    assert f"{price_file} is valid: 1 model lines" in result.stdout
    assert "in EUR" in result.stdout


def test_check_refuses_a_faulty_file(price_file: Path) -> None:
    """A fault is one line that names file, line and key, and no traceback."""
    price_file.write_text(TOML.replace("1.5", "-1"), encoding="utf-8")
    assert f"{price_file}, line 4, models[0].input: must be at least 0" in refused(
        run("prices", "check", "--prices", price_file)
    )


def test_check_refuses_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    assert "nowhere.toml" in refused(run("prices", "check", "--prices", tmp_path / "nowhere.toml"))


def test_diff_lists_what_changed(price_file: Path, tmp_path: Path) -> None:
    """Each rate, step and fee that differs is a row with the old and the new price."""
    new = tmp_path / "new.toml"
    new.write_text(TOML.replace("cache_read = 0.15", "").replace("output = 9", "output = 10"), encoding="utf-8")
    result = run("prices", "diff", price_file, new)
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    assert rows == [
        ["our-model", "any", "standard", "cache_read", "0.15", "-"],
        ["our-model", "any", "standard", "output", "above", "200000", "9", "10"],
    ]


def test_diff_compares_a_file_with_the_bundled_list(tmp_path: Path) -> None:
    """A file can be held against the bundled list; equal prices are said to be equal."""
    path = tmp_path / "p.toml"
    path.write_text('[[models]]\nmodel = "gpt-4o-mini"\nprovider = "openai"\ninput = 9999\n', encoding="utf-8")
    assert "9999" in run("prices", "diff", "bundled", path).stdout
    assert run("prices", "diff", path, path).stdout == "No price differs.\n"


LINES = """
[[models]]
model = "our-*"
discount_percent = 5
request = 0.1

[[models]]
model = "gateway/*"
input = 1
tiers = [{ above_input_tokens = 1000, input = 2 }]

[[discounts]]
provider = "anthropic"
percent = 10

[tools]
search = 0.005
"sql_*" = { per_call = 0.25, per_second = 0.01 }

[hosted.llama]
gpu_hour = 3.6
input_tokens_per_s = 1000
output_tokens_per_s = 100
"""


@pytest.mark.parametrize(
    ("was", "becomes", "row"),
    [
        ("percent = 10", "percent = 12.5", ["*", "anthropic", "any", "discount", "%", "10", "12.5"]),
        ("discount_percent = 5", "discount_percent = 6", ["our-*", "any", "standard", "discount", "%", "5", "6"]),
        ("request = 0.1", "", ["our-*", "any", "standard", "per", "request", "0.1", "-"]),
        ("input = 1\n", "input = 3\n", ["gateway/*", "any", "standard", "input", "1", "3"]),
        ("input = 2 }", "input = 4 }", ["gateway/*", "any", "standard", "input", "above", "1000", "2", "4"]),
        ("search = 0.005", "search = 0.008", ["search", "any", "any", "tool", "per", "call", "0.005", "0.008"]),
        (", per_second = 0.01", "", ["sql_*", "any", "any", "tool", "per", "second", "0.01", "-"]),
        ("tokens_per_s = 100\n", "tokens_per_s = 50\n", ["llama", "any", "any", "hosted", "output", "10", "20"]),
    ],
)
def test_diff_lists_what_changed_for_no_model_by_name(tmp_path: Path, was: str, becomes: str, row: list[str]) -> None:
    """A discount, a pattern's line, a tool's price or a hosted rate that differs is a row."""
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text(LINES, encoding="utf-8")
    new.write_text(LINES.replace(was, becomes, 1), encoding="utf-8")
    assert [line.split() for line in run("prices", "diff", old, new).stdout.splitlines()[1:]] == [row]


def test_diff_says_when_files_differ_and_prices_do_not(tmp_path: Path) -> None:
    """A line that holds at another time is no difference in price today, and is not passed over in silence."""
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text(LINES, encoding="utf-8")
    new.write_text(f"{LINES}\n[[discounts]]\npercent = 1\nuntil = 2020-01-01\n", encoding="utf-8")
    said = run("prices", "diff", old, new, "--at", "2026-05-01").stdout
    assert said == "No price differs on 2026-05-01. The files do: in order, in other dates or in currency.\n"
    assert "discount %" in run("prices", "diff", old, new, "--at", "2019-05-01").stdout


def test_reprice_corrects_a_ledger(price_file: Path, tmp_path: Path) -> None:
    """A ledger is corrected once; a dry run before it changes nothing, a second run neither."""
    ledger = tmp_path / "costs.db"
    usage = Usage(input_tokens=100_000)
    with open_ledger(f"sqlite:///{ledger}") as entries:
        entries.append(
            Entry("r1", "llm", datetime(2026, 5, 1, tzinfo=UTC), Attribution(model="our-model"), usage=usage)
        )
    dry = run("reprice", ledger, "--prices", price_file, "--dry-run")
    real = run("reprice", ledger, "--prices", price_file, "--as-of", "2026-06-01")
    again = run("reprice", ledger, "--prices", price_file)
    assert [result.exit_code for result in (dry, real, again)] == [0, 0, 0]
    assert "+0.152000000 USD" in dry.stdout
    assert "+0.152000000 USD" in real.stdout
    assert "+0.000000000 USD" in again.stdout
    with open_ledger(f"sqlite:///{ledger}") as entries:
        assert str(entries.totals()[0].cost.usd) == "0.152000000"


def test_reprice_refuses_what_is_no_ledger(tmp_path: Path) -> None:
    """A ledger that is not there is not made, and the message says so."""
    missing = tmp_path / "none.db"
    assert "none.db" in refused(run("reprice", missing))
    assert not missing.exists()
