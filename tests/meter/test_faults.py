"""A fault of ours is warned about once, and never reaches the user's run."""

from __future__ import annotations

import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool

from langchain_agentcost import Cost, CostMeter, Entry, MeteringWarning, PriceBook, PriceNotFoundWarning, Usage
from langchain_agentcost.ledger import MemoryLedger
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel


def model(**changes: Any) -> FakeMeteredChatModel:
    """A model with a price."""
    return FakeMeteredChatModel(**{"model": "gpt-4o-mini", "counts": FakeCounts(1_000, 10), **changes})


class Broken(MemoryLedger):
    """A ledger whose disk is full until it is mended."""

    broken = True

    def append(self, entry: Entry) -> None:
        """Fail, or not."""
        if self.broken:
            raise OSError("no space left on device")
        super().append(entry)


class Buggy(PriceBook):
    """A price book with a bug."""

    def card(self, model: str, **kwargs: Any) -> Any:
        """Fail."""
        raise ZeroDivisionError("a bug")


def test_a_broken_ledger_warns_once_and_loses_nothing_when_it_comes_back() -> None:
    """Entries wait for the ledger in their order; the run never notices."""
    ledger = Broken()
    meter = CostMeter(ledger)
    with pytest.warns(MeteringWarning, match="no space left on device"):
        assert model().invoke("one", {"callbacks": meter.callbacks}).text == "OK"
    assert model().invoke("two", {"callbacks": meter.callbacks}).text == "OK"
    ledger.broken = False
    model().invoke("three", {"callbacks": meter.callbacks})
    assert len(list(ledger.entries())) == 3


def test_entries_that_never_got_through_are_counted_at_the_end() -> None:
    """Closing says how much is missing."""
    meter = CostMeter(Broken())
    with pytest.warns(MeteringWarning, match="no space left"):
        model().invoke("one", {"callbacks": meter.callbacks})
    with pytest.warns(MeteringWarning, match="1 ledger entries could not be written to memory://"):
        meter.close()


def test_a_bug_in_pricing_leaves_the_cost_unknown() -> None:
    """The entry is there with its usage; its cost is None, and one warning says why."""
    meter = CostMeter(prices=Buggy())
    with pytest.warns(MeteringWarning, match="pricing.*ZeroDivisionError"):
        model().invoke("one", {"callbacks": meter.callbacks})
    model().invoke("two", {"callbacks": meter.callbacks})
    for entry in meter.ledger.entries():
        assert entry.cost is None
        assert entry.usage is not None
    assert meter.report().total.unpriced_calls == 2


def test_a_bug_in_the_meter_itself_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler raises on purpose where a limit says so, never by accident."""
    meter = CostMeter()
    monkeypatch.setattr(type(meter.books), "model_started", lambda *_: 1 / 0)
    with pytest.warns(MeteringWarning, match="on_chat_model_start.*ZeroDivisionError"):
        assert model().invoke("one", {"callbacks": meter.callbacks}).text == "OK"
    [entry] = meter.ledger.entries()
    assert entry.cost is not None
    assert entry.attribution.model == "gpt-4o-mini"


def test_warnings_as_errors_do_not_break_the_run() -> None:
    """Under -W error a warning would raise inside the callback; it is logged instead."""
    meter = CostMeter(Broken())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model(model="no-such-model").invoke("one", {"callbacks": meter.callbacks}).text == "OK"


def test_an_unknown_model_is_none_with_one_warning_and_a_line() -> None:
    """Unknown is not 0: not in the entry, and not in the report."""
    meter = CostMeter()
    with pytest.warns(PriceNotFoundWarning, match="no-such-model"):
        model(model="no-such-model").invoke("one", {"callbacks": meter.callbacks})
    model(model="no-such-model").invoke("two", {"callbacks": meter.callbacks})
    assert [entry.cost for entry in meter.ledger.entries()] == [None, None]
    report = meter.report(by="model")
    assert report.total.unpriced_calls == 2
    assert "unknown" in str(report)
    assert "no-such-model" in str(report)


@pytest.mark.parametrize("count", [float("nan"), -5, True, "12", 10**30])
def test_counts_that_cannot_be_are_flagged_and_not_believed(count: Any) -> None:
    """A provider's nonsense is neither billed nor hidden."""

    def nonsense(usage: Any) -> Any:
        return {**usage, "input_tokens": count, "total_tokens": None}

    meter = CostMeter()
    answer = model().invoke("one")
    object.__setattr__(answer, "usage_metadata", nonsense(answer.usage_metadata))
    broken = FakeMeteredChatModel(answers=[answer], model="gpt-4o-mini", usage="none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        broken.invoke("two", {"callbacks": meter.callbacks})
    [entry] = meter.ledger.entries()
    assert entry.usage is not None
    assert entry.usage.estimated or entry.usage.anomalies
    assert entry.usage.input_tokens < 10_000


def test_the_kill_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """AGENTCOST_MODE=off makes the meter deaf, whatever the code says."""
    monkeypatch.setenv("AGENTCOST_MODE", "off")
    meter = CostMeter()

    @tool
    def look_up() -> str:
        """Look it up."""
        return "found"

    model().invoke("one", {"callbacks": meter.callbacks})
    look_up.invoke({}, {"callbacks": meter.callbacks})
    assert list(meter.ledger.entries()) == []


def test_no_text_of_prompt_or_answer_is_kept(tmp_path: Path) -> None:
    """Not in the entries, and not in the bytes of the file."""
    file = tmp_path / "costs.db"
    with CostMeter(f"sqlite:///{file}") as meter:
        model(answers=["the-secret-answer"]).invoke("the-secret-question", {"callbacks": meter.callbacks})
        assert "secret" not in repr(list(meter.ledger.entries()))
    assert all(b"secret" not in path.read_bytes() for path in tmp_path.iterdir())


def test_fingerprints_recognise_and_do_not_tell() -> None:
    """With a key, the same message has the same fingerprint in every call; nothing of its text is kept."""
    with CostMeter(fingerprint_key=b"0123456789abcdef") as meter:
        model().invoke([SystemMessage("be kind"), HumanMessage("one")], {"callbacks": meter.callbacks})
        model().invoke([SystemMessage("be kind"), HumanMessage("two")], {"callbacks": meter.callbacks})
        first, second = (entry.fingerprints or () for entry in meter.ledger.entries())
    assert first[0] == second[0]
    assert first[1][0] != second[1][0]
    assert "kind" not in repr(first)
    other = CostMeter(fingerprint_key=b"another key of 16")
    model().invoke([SystemMessage("be kind")], {"callbacks": other.callbacks})
    [entry] = other.ledger.entries()
    assert entry.fingerprints is not None
    assert entry.fingerprints[0][0] != first[0][0]


def test_a_weak_fingerprint_key_is_refused() -> None:
    """Short messages could be guessed from it."""
    with pytest.raises(ValueError, match="16 to 64 bytes, got 4"):
        CostMeter(fingerprint_key=b"salt")


def test_a_ledger_of_the_callers_stays_open(tmp_path: Path) -> None:
    """The meter closes what it opened, and nothing else."""
    ledger = MemoryLedger()
    with CostMeter(ledger) as meter:
        model().invoke("one", {"callbacks": meter.callbacks})
    ledger.append(Entry("later", "llm", datetime.now().astimezone(), usage=Usage(input_tokens=1), cost=Cost()))
    assert len(list(ledger.entries())) == 2
