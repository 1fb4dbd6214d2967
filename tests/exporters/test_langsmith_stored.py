"""What works on traces that LangSmith already has: check, backfill, feedback."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.tracers.langchain import LangChainTracer
from langsmith.utils import LangSmithAuthError, LangSmithConnectionError, LangSmithError, LangSmithNotFoundError
from urllib3 import Retry

from langchain_agentcost.exporters.langsmith import backfill, check, import_feedback
from langchain_agentcost.exporters.langsmith.probe import POSTED
from langchain_agentcost.exporters.langsmith.runs import PAGE, runs
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.testing.collector import LangSmithCollector
from langchain_agentcost.testing.langsmith_api import Answer, Request
from tests.exporters.langsmith_world import (
    CACHED,
    CACHED_COST,
    QUESTION,
    Canned,
    Traced,
    book,
    costs,
    desk,
    exactly,
    metadata,
)


@pytest.fixture
def collector() -> Iterator[LangSmithCollector]:
    """A collector."""
    with LangSmithCollector() as running:
        yield running


class Plain(Traced):
    """LangChain's own tracer: traces as they were before this package came."""

    def __init__(self, collector: LangSmithCollector) -> None:
        super().__init__(collector)
        self.tracer = LangChainTracer(client=self.client, project_name="tests")  # type: ignore[assignment]


def test_backfill_puts_costs_on_old_runs_and_keeps_the_rest_of_them(collector: LangSmithCollector) -> None:
    """A run gains costs and loses nothing: inputs, outputs, tags, metadata and times stay."""
    plain = Plain(collector)
    config: Any = {"callbacks": plain.callbacks, "tags": ["mine"], "metadata": {"tenant": "acme"}}
    desk(Canned()).invoke(QUESTION, config)
    before = plain.runs("llm")
    result = backfill(plain.client, project="tests", prices=book())
    after = plain.runs("llm")
    assert (result.examined, result.priced, result.total) == (2, 2, 2 * CACHED_COST)
    assert [exactly(costs(run)["total_cost"]) for run in after] == [CACHED_COST, CACHED_COST]
    for old, new in zip(before, after, strict=True):
        assert metadata(new).items() >= {**metadata(old), "usage_metadata": metadata(new)["usage_metadata"]}.items()
        times = ("start_time", "end_time")
        assert [_at(new[key]) for key in times] == [_at(old[key]) for key in times]
        assert {key: new.get(key) for key in old if key not in ("extra", *times)} == {
            key: old[key] for key in old if key not in ("extra", *times)
        }
        assert new["extra"]["runtime"] == old["extra"]["runtime"]


def _at(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def test_backfill_again_changes_nothing(collector: LangSmithCollector) -> None:
    """The runs have costs by then."""
    plain = Plain(collector)
    desk(Canned()).invoke(QUESTION, {"callbacks": plain.callbacks})
    plain.client.flush()
    backfill(plain.client, project="tests", prices=book())
    sent = len(collector.operations())
    again = backfill(plain.client, project="tests", prices=book())
    assert (again.priced, again.kept) == (0, 2)
    assert len(collector.operations()) == sent


def test_a_dry_run_sends_nothing(collector: LangSmithCollector) -> None:
    """It says what it would do, and does not."""
    plain = Plain(collector)
    desk(Canned()).invoke(QUESTION, {"callbacks": plain.callbacks})
    plain.client.flush()
    sent = len(collector.operations())
    assert backfill(plain.client, project="tests", prices=book(), dry_run=True).priced == 2
    assert len(collector.operations()) == sent


def test_force_replaces_our_own_figures_and_never_a_stated_one(collector: LangSmithCollector) -> None:
    """New prices replace what we wrote; what the application stated, and a cache hit's 0, stay."""
    traced = Traced(collector)
    for usage in (CACHED, {**CACHED, "total_cost": 7.5}, {**CACHED, "total_cost": 0}):
        Canned(usage=usage).invoke("Hi", {"callbacks": traced.callbacks})
    traced.client.flush()
    dearer = PriceBook({"models": [{"model": "small", "input": 1, "output": 1, "cache_read": 1}]})
    result = backfill(traced.client, project="tests", prices=dearer, force=True)
    assert (result.priced, result.kept) == (1, 2)
    assert [costs(run)["total_cost"] for run in traced.runs()] == [0.0105, 7.5, 0]


def test_backfill_says_what_it_could_not_price(collector: LangSmithCollector) -> None:
    """Unknown models are counted by name, runs without token counts by number."""
    plain = Plain(collector)
    for model in (Canned(model="nobodys-model"), Canned(usage=None)):
        model.invoke("Hi", {"callbacks": plain.callbacks})
    plain.client.flush()
    with pytest.warns(match="nobodys-model"):
        result = backfill(plain.client, project="tests", prices=book())
    assert (dict(result.unpriced), result.without_usage, result.priced) == ({"nobodys-model": 1}, 1, 0)


def test_backfill_prices_a_run_at_its_own_time(collector: LangSmithCollector) -> None:
    """A price that came later does not change what was paid."""
    plain = Plain(collector)
    started = datetime.now(UTC) - timedelta(days=3)
    plain.client.create_run(
        "old", {}, "llm", id=uuid4(), project_name="tests", start_time=started, end_time=started,
        extra={"metadata": {"usage_metadata": CACHED, "ls_model_name": "changing"}},
    )  # fmt: skip
    plain.client.flush()
    today = datetime.now(UTC).date()
    lines = [
        {"model": "changing", "input": 9, "output": 9, "from": (today - timedelta(days=1)).isoformat()},
        {"model": "changing", "input": 1, "output": 1, "cache_read": 1},
    ]
    result = backfill(plain.client, project="tests", prices=PriceBook({"models": lines}))
    assert result.total == Decimal("0.0105")


def test_backfill_reads_every_page(collector: LangSmithCollector) -> None:
    """The service gives a hundred runs at a time."""
    plain = Plain(collector)
    Canned().batch(["Hi"] * (PAGE + 5), {"callbacks": plain.callbacks})
    plain.client.flush()
    assert backfill(plain.client, project="tests", prices=book()).priced == PAGE + 5


def test_reading_runs_gives_no_deprecation_warning_and_respects_since(collector: LangSmithCollector) -> None:
    """LangSmith's older readers go away after January 2027."""
    plain = Plain(collector)
    Canned().invoke("Hi", {"callbacks": plain.callbacks})
    plain.client.flush()
    session = str(plain.client.read_project(project_name="tests").id)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (run,) = runs(plain.client, project=session, since=datetime.now(UTC) - timedelta(hours=1), run_type="LLM")
        later = list(runs(plain.client, project=session, since=datetime.now(UTC) + timedelta(hours=1)))
    assert run.usage_metadata["input_tokens"] == 10_000
    assert later == []


def test_an_unknown_project_is_an_error(collector: LangSmithCollector) -> None:
    """A typing mistake must not look like an empty project."""
    with pytest.raises(LangSmithNotFoundError, match="nothing-here"):
        backfill(collector.client(), project="nothing-here", prices=book())


def test_check_posts_a_run_and_reads_its_cost_back(collector: LangSmithCollector) -> None:
    """The cost that comes back is the one that was sent, for a model that only we can price."""
    result = check(collector.client())
    assert result.ok
    assert result.shown == result.posted == POSTED
    assert result.url
    assert result.run_id in result.url
    (run,) = collector.runs().values()
    assert exactly(costs(run)["total_cost"]) == POSTED


def test_check_is_not_ok_where_the_cost_does_not_come_back(collector: LangSmithCollector) -> None:
    """A server that drops the run is found out."""
    client = collector.client(tracing_sampling_rate=0.0)
    result = check(client, timeout_s=0.3)
    assert not result.ok
    assert (result.shown, result.url) == (None, None)


@pytest.mark.parametrize(("refusal", "kind"), [(401, LangSmithAuthError), (403, LangSmithError)])
def test_a_wrong_key_is_an_error_before_anything_is_posted(
    refusal: int, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """Posting happens in the background, where errors are only logged: so the key is tried first."""
    with LangSmithCollector(api_key="right", refusal=refusal) as collector, pytest.raises(kind):
        check(collector.client(api_key="wrong"))
    assert "Failed" not in caplog.text


def test_an_unreachable_server_is_an_error() -> None:
    """Nobody listens."""
    with LangSmithCollector() as collector:
        client = collector.client(retry_config=Retry(0))
    with pytest.raises(LangSmithConnectionError):
        check(client)


def test_a_server_that_is_too_old_says_so() -> None:
    """Reading runs needs LangSmith 0.16; that is not a missing project."""

    class Old(LangSmithCollector):
        """A collector without the second version of the interface."""

        def answer(self, request: Request) -> Answer:
            """Know nothing of it."""
            return (404, {}) if request.path.startswith("/api/v2") else super().answer(request)

    with Old() as collector:
        Canned().invoke("Hi", {"callbacks": Plain(collector).callbacks})
        with pytest.raises(LangSmithError, match=r"LangSmith 0\.16 or later"):
            check(collector.client(), timeout_s=0.5)


def test_feedback_becomes_outcomes_of_its_trace(collector: LangSmithCollector) -> None:
    """Score, name and success go to the trace that the feedback is about, and nothing twice."""
    plain = Plain(collector)
    desk(Canned()).invoke(QUESTION, {"callbacks": plain.callbacks})
    root, child = plain.root(), plain.runs("llm")[0]
    _feedback(plain, root, "solved", 1)
    _feedback(plain, child, "solved", 0.25)
    _feedback(plain, root, "tone", None)
    with open_ledger("memory://") as ledger:
        for _ in range(2):
            assert import_feedback(plain.client, ledger, project="tests") == 3
        found = sorted((entry.name, entry.value, entry.success) for entry in ledger.entries() if entry.value)
        assert found == [("solved", Decimal("0.25"), False), ("solved", Decimal("1"), True)]
        entries = list(ledger.entries())
        assert len(entries) == 3
        assert {entry.attribution.run for entry in entries} == {root["trace_id"]}
        assert {entry.kind for entry in entries} == {"outcome"}


def test_feedback_can_be_chosen_by_key_and_judged_by_a_rule(collector: LangSmithCollector) -> None:
    """One key; success as the user means it."""
    plain = Plain(collector)
    Canned().invoke("Hi", {"callbacks": plain.callbacks})
    for key, score in (("stars", 4), ("stars", 2), ("other", 5)):
        _feedback(plain, plain.root(), key, score)
    with open_ledger("memory://") as ledger:
        import_feedback(
            plain.client, ledger, project="tests", key="stars", succeeds=lambda given: (given.score or 0) >= 3
        )
        assert sorted((entry.value, entry.success) for entry in ledger.entries()) == [
            (Decimal(2), False),
            (Decimal(4), True),
        ]


def _feedback(plain: Plain, run: Any, key: str, score: float | None) -> None:
    project = plain.client.read_project(project_name="tests").id
    plain.client.create_feedback(run["id"], key, score=score, trace_id=run["trace_id"], session_id=project)
    plain.client.flush()


def test_the_collector_reads_json_of_any_length(collector: LangSmithCollector) -> None:
    """A megabyte of prompt, with what looks like a boundary in it."""
    client = collector.client()
    text = "\r\n--boundary\r\n" * 70_000
    client.create_run("long", {"text": text}, "chain", id=(run_id := uuid4()), project_name="tests")
    client.flush()
    assert json.dumps(collector.runs()[str(run_id)]["inputs"]) == json.dumps({"text": text})
