"""`langchain-agentcost langsmith`: what it prints, and how it says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import typer
from langsmith import utils
from typer.testing import CliRunner, Result

from langchain_agentcost.cli import langsmith
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.testing.collector import LangSmithCollector

USAGE = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}


@pytest.fixture
def collector() -> Iterator[LangSmithCollector]:
    """A collector with a key of its own."""
    with LangSmithCollector(api_key="right") as running:
        yield running


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A terminal without LangSmith in its environment; the client caches what it reads there."""
    for name in ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", "LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    cached: Any = utils.get_env_var
    cached.cache_clear()
    yield
    cached.cache_clear()


@pytest.fixture
def environment(collector: LangSmithCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that points at the collector."""
    for name, value in collector.environment().items():
        if name != "LANGSMITH_TRACING":
            monkeypatch.setenv(name, value)


def _run(*arguments: str) -> Result:
    app = typer.Typer()
    langsmith.register(app)
    return CliRunner().invoke(app, ["langsmith", *arguments])


@pytest.mark.usefixtures("environment")
def test_check_prints_the_link_and_that_all_is_well(collector: LangSmithCollector) -> None:
    """Three lines: what was posted, where it is, that the cost came back."""
    result = _run("check")
    assert result.exit_code == 0, result.output
    assert "$0.00066" in result.output
    assert f"{collector.url}/projects/p/" in result.output
    assert "ok      LangSmith gives the same cost back." in result.output


def test_without_a_key_it_says_where_to_get_one() -> None:
    """Nothing is sent."""
    result = _run("check")
    assert result.exit_code == 2
    assert "no LangSmith key: set LANGSMITH_API_KEY" in result.output


@pytest.mark.usefixtures("environment")
def test_a_key_that_is_not_known_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """401: the key is wrong; the key itself is not printed."""
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_wrong_key")
    result = _run("check")
    assert result.exit_code == 2
    assert "does not know the key (401)" in result.output
    assert "lsv2_wrong_key" not in result.output


def test_a_key_that_is_refused_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """403: the key is of another region or workspace."""
    with LangSmithCollector(api_key="right", refusal=403) as collector:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", collector.url)
        monkeypatch.setenv("LANGSMITH_API_KEY", "wrong")
        result = _run("backfill", "--project", "p")
    assert result.exit_code == 2
    assert "refused the key (403)" in result.output


def test_a_server_that_is_not_there_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Address and variable are named."""
    with LangSmithCollector() as collector:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", collector.url)
    monkeypatch.setenv("LANGSMITH_API_KEY", "any")
    result = _run("check")
    assert result.exit_code == 2
    assert f"LangSmith at {collector.url} cannot be reached: check LANGSMITH_ENDPOINT" in result.output


@pytest.mark.usefixtures("environment")
def test_backfill_counts_what_it_did(collector: LangSmithCollector, tmp_path: Path) -> None:
    """Prices come from a file; a dry run comes first and changes nothing."""
    _old_runs(collector, "ours", "unknown-one")
    prices = tmp_path / "prices.toml"
    prices.write_text('[[models]]\nmodel = "ours"\ninput = 1\noutput = 2\n')
    with pytest.warns(match="unknown-one"):
        dry = _run("backfill", "--project", "p", "--prices", str(prices), "--dry-run")
    assert "1 would be priced, $0.001200000 in all" in dry.output
    with pytest.warns(match="unknown-one"):
        done = _run("backfill", "--project", "p", "--prices", str(prices), "--since", "1d")
    assert done.exit_code == 0, done.output
    assert "2 model runs looked at" in done.output
    assert "1 priced, $0.001200000 in all" in done.output
    assert "1 of 'unknown-one': state its price in a file" in done.output


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backfill", "--project", "nothing"), "has no such project"),
        (("backfill", "--project", "p", "--since", "soon"), "'soon' is no time"),
        (("backfill", "--project", "p", "--prices", "absent.toml"), "absent.toml"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    """No traceback, status 2."""
    result = _run(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.output


@pytest.mark.usefixtures("environment")
def test_feedback_goes_into_a_ledger(collector: LangSmithCollector, tmp_path: Path) -> None:
    """Each score becomes an outcome of the ledger's."""
    client = collector.client()
    (run_id,) = _old_runs(collector, "ours")
    project = client.read_project(project_name="p").id
    client.create_feedback(run_id, "solved", score=1, trace_id=run_id, session_id=project)
    client.flush()
    open_ledger(tmp_path / "costs.db").close()
    result = _run("feedback", str(tmp_path / "costs.db"), "--project", "p")
    assert result.exit_code == 0, result.output
    assert "1 outcomes read from project 'p'" in result.output
    with open_ledger(f"sqlite:///{tmp_path / 'costs.db'}") as ledger:
        assert [entry.name for entry in ledger.entries()] == ["solved"]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("since", "said"), [("xx", "'xx' is no time"), ("", "'' is no time"), ("7d", "There is no ledger at")]
)
def test_feedback_makes_no_ledger(tmp_path: Path, since: str, said: str) -> None:
    """A mistyped time or path is an error, not a new empty ledger."""
    for name in (str(tmp_path / "typo.db"), f"sqlite:///{tmp_path / 'typo.db'}"):
        result = _run("feedback", name, "--project", "p", "--since", since)
        assert result.exit_code == 2, result.output
        assert said in result.output
    assert not list(tmp_path.iterdir())


def _old_runs(collector: LangSmithCollector, *models: str) -> list[Any]:
    client = collector.client()
    ids = [uuid4() for _ in models]
    for run_id, model in zip(ids, models, strict=True):
        metadata = {"usage_metadata": USAGE, "ls_model_name": model}
        client.create_run("old", {}, "llm", id=run_id, project_name="p", extra={"metadata": metadata})
    client.flush()
    return ids
